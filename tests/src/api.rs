//! AWS's API as infrastructure code uses it: for what longshore leaves alone, such as the way in which a service is deployed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::load::runtime;
use crate::project::Project;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

impl Project {
    /// One operation of ECS, signed by AWS's own code; it must succeed.
    pub fn ecs(&self, operation: &str, body: &Value) -> Value {
        let (status, answer) = self.request(operation, body);
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// The service `api` as ECS has it.
    pub fn service(&self) -> Value {
        let asked = serde_json::json!({"cluster": "local", "services": ["api"]});
        self.ecs("DescribeServices", &asked)["services"][0].clone()
    }

    fn request(&self, operation: &str, body: &Value) -> (u16, Value) {
        let env: BTreeMap<String, String> = self.aws_env().into_iter().collect();
        let url = format!("{}/", env["AWS_ENDPOINT_URL"]);
        let host = url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let (body, headers) = (
            body.to_string(),
            [
                ("host", host.as_str()),
                ("content-type", CONTENT_TYPE),
                ("x-amz-target", target.as_str()),
            ],
        );
        let key = Credentials::new(
            &env["AWS_ACCESS_KEY_ID"],
            &env["AWS_SECRET_ACCESS_KEY"],
            None,
            None,
            "test",
        );
        let identity = key.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&env["AWS_REGION"])
            .name("ecs")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let signable = SignableBody::Bytes(body.as_bytes());
        let signable =
            SignableRequest::new("POST", &url, headers.iter().copied(), signable).unwrap();
        let (signature, _) = sign(signable, &parameters).unwrap().into_parts();
        let mut request = Request::post(&url);
        for (name, value) in headers.into_iter().chain(signature.headers()) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        runtime().block_on(async {
            let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
            let answer = client.request(request).await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (status, serde_json::from_slice(&body).unwrap_or_default())
        })
    }
}
