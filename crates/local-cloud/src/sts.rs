//! STS: the one question tools ask before they begin, "who am I?".

use crate::error::ApiError;
use crate::place::Place;

/// The identity that signs every request to this cloud.
pub fn caller(place: &Place) -> String {
    format!("arn:aws:iam::{}:user/longshore", place.account)
}

/// Answers one operation of the query protocol as XML.
pub fn apply(
    operation: &str,
    access_key_id: &str,
    request_id: &str,
    place: &Place,
) -> Result<String, ApiError> {
    if operation != "GetCallerIdentity" {
        return Err(ApiError::new(
            "InvalidAction",
            format!(
                "Could not find operation {operation} for version 2011-06-15: the local cloud's STS knows GetCallerIdentity."
            ),
        ));
    }
    Ok(format!(
        concat!(
            r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">"#,
            "<GetCallerIdentityResult><Arn>{arn}</Arn><UserId>{id}</UserId><Account>{account}</Account></GetCallerIdentityResult>",
            "<ResponseMetadata><RequestId>{request}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        ),
        arn = caller(place),
        id = access_key_id,
        account = place.account,
        request = request_id,
    ))
}

/// An error as the query protocol writes it.
pub fn error(error: &ApiError, request_id: &str) -> String {
    format!(
        concat!(
            r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">"#,
            "<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>",
            "<RequestId>{request}</RequestId></ErrorResponse>",
        ),
        code = error.code,
        message = escape(&error.message),
        request = request_id,
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
