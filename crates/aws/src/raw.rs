//! Bodies as they are: the SDK signs, sends, retries and reads errors; the document itself passes untouched.
//!
//! A task definition rebuilt from the SDK's builders would lose every member that this SDK version does not know, in both directions.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ecs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ecs::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// Sends these bytes in place of what the SDK serialized. They are signed as they are.
#[derive(Debug)]
pub(crate) struct ExactBody(pub String);

impl Intercept for ExactBody {
    fn name(&self) -> &'static str {
        "ExactBody"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        request
            .headers_mut()
            .insert("content-length", self.0.len().to_string());
        *request.body_mut() = SdkBody::from(self.0.as_str());
        Ok(())
    }
}

/// Keeps the body of the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptBody(Arc<Mutex<Vec<u8>>>);

impl KeptBody {
    /// The answer as JSON; none when there was none or it is not JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::from_slice(&body).ok()
    }
}

impl Intercept for KeptBody {
    fn name(&self) -> &'static str {
        "KeptBody"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(bytes) = context.response().body().bytes() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes.to_vec();
        }
        Ok(())
    }
}
