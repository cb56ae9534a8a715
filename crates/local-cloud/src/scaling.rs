//! Application Auto Scaling, in which nothing is ever registered: clients ask whether a service scales by itself, and read that it does not.
//!
//! Documented in the Application Auto Scaling API reference: *DescribeScalableTargets*, *DescribeScalingPolicies*.

use serde_json::{Value, json};

use crate::error::ApiError;

/// Answers one operation.
pub(crate) fn apply(operation: &str, request: &Value) -> Result<Value, ApiError> {
    let list = match operation {
        "DescribeScalableTargets" => "ScalableTargets",
        "DescribeScalingPolicies" => "ScalingPolicies",
        _ => {
            return Err(ApiError::unknown_operation(
                "Application Auto Scaling",
                operation,
            ));
        }
    };
    if !request["ServiceNamespace"].is_string() {
        return Err(ApiError::new(
            "ValidationException",
            "1 validation error detected: Value null at 'serviceNamespace' failed to satisfy constraint: Member must not be null",
        ));
    }
    Ok(json!({list: []}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_scales_by_itself() {
        let ecs = json!({"ServiceNamespace": "ecs", "ResourceIds": ["service/local/api"]});
        let cases = [
            ("DescribeScalableTargets", json!({"ScalableTargets": []})),
            ("DescribeScalingPolicies", json!({"ScalingPolicies": []})),
        ];
        for (operation, expected) in cases {
            assert_eq!(apply(operation, &ecs), Ok(expected));
            let code = apply(operation, &json!({})).map_err(|error| error.code);
            assert_eq!(code, Err("ValidationException"));
        }
        let code = apply("PutScalingPolicy", &ecs).map_err(|error| error.code);
        assert_eq!(code, Err("UnknownOperationException"));
    }
}
