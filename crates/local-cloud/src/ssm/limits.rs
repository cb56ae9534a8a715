//! What a value may be: how long in which tier, and of which form.

use serde::{Deserialize, Serialize};

use super::INVALID;
use crate::error::ApiError;

/// How many characters the value of a standard parameter has at most.
const STANDARD: usize = 4096;
/// And that of an advanced one.
const ADVANCED: usize = 8192;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Tier {
    #[default]
    Standard,
    Advanced,
}

impl Tier {
    /// The tier of a parameter with this value: as asked for, or as it has been. An advanced parameter stays one.
    pub(super) fn of(
        wanted: Option<&str>,
        known: Option<Self>,
        value: &str,
    ) -> Result<Self, ApiError> {
        let length = value.chars().count();
        let tier = match (wanted, known) {
            (Some("Standard"), Some(Self::Advanced)) => {
                return Err(ApiError::new(
                    INVALID,
                    "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced parameter and recreate it as a standard parameter.",
                ));
            }
            (Some("Standard"), _) => Self::Standard,
            (Some("Advanced"), _) | (_, Some(Self::Advanced)) => Self::Advanced,
            (Some("Intelligent-Tiering"), _) if length > STANDARD => Self::Advanced,
            (Some("Intelligent-Tiering") | None, _) => Self::Standard,
            (Some(other), _) => {
                return Err(ApiError::new(
                    INVALID,
                    format!(
                        "1 validation error detected: Value '{other}' at 'tier' failed to satisfy constraint: Member must satisfy enum value set: [Standard, Advanced, Intelligent-Tiering]"
                    ),
                ));
            }
        };
        match tier {
            _ if length == 0 => Err(ApiError::new(
                INVALID,
                "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1",
            )),
            Self::Standard if length > STANDARD => Err(ApiError::new(
                INVALID,
                "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html",
            )),
            Self::Advanced if length > ADVANCED => Err(ApiError::new(
                INVALID,
                "Advanced tier parameters support a maximum parameter value of 8192 characters.",
            )),
            tier => Ok(tier),
        }
    }
}

/// Refuses a value that refers to another parameter, or that does not match the parameter's pattern.
pub(super) fn check_value(value: &str, pattern: Option<&str>) -> Result<(), ApiError> {
    if value
        .split_once("{{")
        .is_some_and(|(_, rest)| rest.contains("}}"))
    {
        return Err(ApiError::new(
            INVALID,
            "Parameter value can't nest another parameter. Do not use \"{{}}\" in the value.",
        ));
    }
    let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else {
        return Ok(());
    };
    let read = regex::Regex::new(pattern).map_err(|_| {
        ApiError::new(
            "InvalidAllowedPatternException",
            format!("The regular expression is not valid: {pattern}"),
        )
    })?;
    if read.is_match(value) {
        return Ok(());
    }
    Err(ApiError::new(
        "ParameterPatternMismatchException",
        format!("Parameter value, cannot be validated against allowedPattern: {pattern}"),
    ))
}

/// How many items an answer has: as asked for, at most `limit`.
pub(super) fn most(asked: Option<usize>, limit: usize) -> Result<usize, ApiError> {
    match asked {
        None => Ok(limit),
        Some(asked) if (1..=limit).contains(&asked) => Ok(asked),
        Some(asked) => {
            let bound = if asked == 0 {
                "greater than or equal to 1".to_owned()
            } else {
                format!("less than or equal to {limit}")
            };
            Err(ApiError::new(
                INVALID,
                format!(
                    "1 validation error detected: Value '{asked}' at 'maxResults' failed to satisfy constraint: Member must have value {bound}"
                ),
            ))
        }
    }
}
