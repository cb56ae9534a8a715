//! Questions about what is in another account or region than the deployment.

use rollout::preflight::{Named, Questions, Seen};
use serde_json::json;

use super::{Reply, Stub};

const OWN: &str = "123456789012";
const OTHER: &str = "999999999999";

fn of(account: &str, name: &str) -> Named {
    Named {
        name: name.into(),
        region: Some("eu-central-1".into()),
        account: Some(account.into()),
    }
}

/// An account in which there is nothing.
async fn empty() -> Stub {
    Stub::start(|request| match request.operation() {
        "DescribeParameters" => Reply::json(&json!({"Parameters": []})),
        "DescribeSecret" => Reply::error(400, "ResourceNotFoundException", "not found"),
        "DescribeClusters" => Reply::json(&json!({"clusters": []})),
        "DescribeLogGroups" => Reply::json(&json!({"logGroups": []})),
        _ => Reply::Answer(
            200,
            format!("<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>arn:aws:iam::{OWN}:user/x</Arn><Account>{OWN}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"),
        ),
    })
    .await
}

#[tokio::test]
async fn what_another_account_has_is_not_said_to_be_missing() {
    let stub = empty().await;
    let secret = |account: &str| {
        of(
            account,
            &format!("arn:aws:secretsmanager:eu-central-1:{account}:secret:d-Ab12Cd"),
        )
    };
    let questions = Questions {
        parameters: [of(OWN, "/own"), of(OTHER, "/shared"), Named::here("/here")].into(),
        secrets: [secret(OWN), secret(OTHER)].into(),
        ..Questions::default()
    };
    let answers = stub.connect().await.preflight("c", &questions).await;
    let unknown = Seen::Unknown(format!("it belongs to account {OTHER}"));
    assert_eq!(
        answers.parameters,
        [
            ("/here".to_owned(), Seen::Missing),
            ("/own".to_owned(), Seen::Missing),
            (format!("/shared (account {OTHER})"), unknown),
        ]
    );
    let unknown = Seen::Unknown(format!("it belongs to account {OTHER}"));
    assert_eq!(
        answers.secrets,
        [
            (secret(OWN).name, Seen::Missing),
            (secret(OTHER).name, unknown)
        ]
    );
    // Nobody asks the own account for what is another one's.
    let asked = stub.seen();
    assert!(!asked.iter().any(|request| request.body.contains("/shared")));
}

#[tokio::test]
async fn what_is_in_another_region_is_told_with_it() {
    let stub = empty().await;
    let group = Named {
        region: Some("us-east-1".into()),
        ..Named::here("/app")
    };
    let questions = Questions {
        log_groups: [group, Named::here("/app")].into(),
        ..Questions::default()
    };
    let answers = stub.connect().await.preflight("c", &questions).await;
    assert_eq!(
        answers.log_groups,
        [
            ("/app".to_owned(), Seen::Missing),
            ("/app (us-east-1)".to_owned(), Seen::Missing)
        ]
    );
}
