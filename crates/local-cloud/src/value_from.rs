//! What a container's `secrets[].valueFrom` refers to.
//!
//! Documented in the ECS developer guide, "Pass sensitive data to an Amazon ECS container": the name or ARN of an SSM parameter, or the ARN of a secret with an
//! optional `:json-key:version-stage:version-id` behind it.

use serde_json::Value;

use crate::secrets::Secrets;
use crate::ssm::Ssm;

/// The value, or why there is none in the words of ECS's agent.
pub(crate) fn resolve(value_from: &str, ssm: &Ssm, secrets: &Secrets) -> Result<String, String> {
    if value_from.starts_with("arn:aws:secretsmanager:") {
        secret(value_from, secrets).map_err(|why| {
            format!("unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: {why}")
        })
    } else {
        ssm.value(value_from).map(str::to_owned).ok_or_else(|| {
            format!("unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: {value_from}")
        })
    }
}

fn secret(value_from: &str, secrets: &Secrets) -> Result<String, String> {
    // arn:aws:secretsmanager:region:account:secret:name, then what is asked of it.
    let parts: Vec<&str> = value_from.split(':').collect();
    let at = |index: usize| parts.get(index).copied().filter(|part| !part.is_empty());
    let arn = parts[..parts.len().min(7)].join(":");
    let (key, stage, version) = (at(7), at(8), at(9));
    let value = secrets
        .value(&arn, stage, version)
        .map_err(|error| format!("failed to fetch secret {arn} from secrets manager: {error}"))?;
    let Some(key) = key else {
        return Ok(value.to_owned());
    };
    // Neither message may hold a part of the value.
    let fields: Value = serde_json::from_str(value)
        .map_err(|_| format!("secret {arn} is not JSON, but the key {key} of it is asked for"))?;
    match fields.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => Err(format!(
            "retrieved secret from Secrets Manager did not contain json key {key}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::place::Place;

    #[test]
    fn every_form_of_reference() {
        let place = Place {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            port: 7411,
        };
        let (mut ssm, mut secrets) = (Ssm::default(), Secrets::default());
        ssm.put_secure("/api/url", "postgres://…", 0).unwrap();
        let mut arn = String::new();
        for (name, value) in [
            ("plain", "text"),
            ("fields", r#"{"user":"api","port":5432}"#),
        ] {
            let request = json!({"Name": name, "SecretString": value, "ClientRequestToken": "v1"});
            let made = secrets.apply("CreateSecret", &request, &place, 0).unwrap();
            arn = made["ARN"].as_str().unwrap().to_owned();
        }
        let plain = "arn:aws:secretsmanager:us-east-1:000000000000:secret:plain";
        let cases = [
            ("/api/url".to_owned(), Ok("postgres://…")),
            (
                "arn:aws:ssm:us-east-1:000000000000:parameter/api/url".to_owned(),
                Ok("postgres://…"),
            ),
            (
                "/api/none".to_owned(),
                Err("invalid ssm parameters: /api/none"),
            ),
            (plain.to_owned(), Ok("text")),
            (format!("{plain}:::v1"), Ok("text")),
            (format!("{plain}:::v2"), Err("VersionId: v2")),
            (format!("{plain}:user::"), Err("is not JSON")),
            (format!("{arn}:user::"), Ok("api")),
            (format!("{arn}:port:AWSCURRENT:"), Ok("5432")),
            (
                format!("{arn}:none::"),
                Err("did not contain json key none"),
            ),
            (
                "arn:aws:secretsmanager:x".to_owned(),
                Err("can't find the specified secret"),
            ),
        ];
        for (reference, expected) in cases {
            let got = resolve(&reference, &ssm, &secrets);
            match expected {
                Ok(value) => assert_eq!(got.as_deref(), Ok(value), "{reference}"),
                Err(part) => assert!(
                    got.as_ref().unwrap_err().contains(part),
                    "{reference}: {got:?}"
                ),
            }
        }
    }
}
