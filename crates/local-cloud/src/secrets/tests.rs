use super::*;

const NOW: Millis = 1_753_000_000_000;

fn call(secrets: &mut Secrets, operation: &str, request: &Value) -> Result<Value, &'static str> {
    let place = Place {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        port: 7411,
    };
    secrets
        .apply(operation, request, &place, NOW)
        .map_err(|error| error.code)
}

#[test]
fn a_secret_is_found_by_every_name_it_has() {
    let mut secrets = Secrets::default();
    let request = json!({"Name": "prod/db", "SecretString": "sesame", "ClientRequestToken": "v1"});
    let made = call(&mut secrets, "CreateSecret", &request).unwrap();
    let arn = made["ARN"].as_str().unwrap().to_owned();
    let (start, suffix) = arn.rsplit_once('-').unwrap();
    assert_eq!(
        start,
        "arn:aws:secretsmanager:us-east-1:000000000000:secret:prod/db"
    );
    assert_eq!(suffix.len(), 6);
    for id in ["prod/db", &arn, start] {
        let got = call(&mut secrets, "GetSecretValue", &json!({"SecretId": id})).unwrap();
        assert_eq!(got["SecretString"], "sesame", "{id}");
    }
    assert_eq!(
        call(&mut secrets, "GetSecretValue", &json!({"SecretId": "prod"})),
        Err("ResourceNotFoundException")
    );
    assert_eq!(
        call(&mut secrets, "CreateSecret", &request),
        Err("ResourceExistsException")
    );
    assert!(!format!("{secrets:?}").contains("sesame"));
}

#[test]
fn a_new_value_becomes_current_and_the_last_one_previous() {
    let mut secrets = Secrets::default();
    call(
        &mut secrets,
        "CreateSecret",
        &json!({"Name": "s", "SecretString": "one", "ClientRequestToken": "v1"}),
    )
    .unwrap();
    let put = json!({"SecretId": "s", "SecretString": "two", "ClientRequestToken": "v2"});
    call(&mut secrets, "PutSecretValue", &put).unwrap();
    // Again, as a client that retries does.
    call(&mut secrets, "PutSecretValue", &put).unwrap();
    let cases = [
        (None, None, Ok("two")),
        (Some("AWSPREVIOUS"), None, Ok("one")),
        (None, Some("v1"), Ok("one")),
        (
            Some("AWSCURRENT"),
            Some("v1"),
            Err("ResourceNotFoundException"),
        ),
        (Some("OTHER"), None, Err("ResourceNotFoundException")),
    ];
    for (stage, version, expected) in cases {
        let got = secrets
            .value("s", stage, version)
            .map_err(|error| error.code);
        assert_eq!(got, expected, "{stage:?} {version:?}");
    }
    let other = json!({"SecretId": "s", "SecretString": "three", "ClientRequestToken": "v2"});
    assert_eq!(
        call(&mut secrets, "PutSecretValue", &other),
        Err("ResourceExistsException")
    );
    let described = call(&mut secrets, "DescribeSecret", &json!({"SecretId": "s"})).unwrap();
    assert_eq!(
        described["VersionIdsToStages"],
        json!({"v1": ["AWSPREVIOUS"], "v2": ["AWSCURRENT"]})
    );
}

#[test]
fn a_deleted_secret_waits_and_can_come_back() {
    let mut secrets = Secrets::default();
    let id = json!({"SecretId": "s"});
    call(
        &mut secrets,
        "CreateSecret",
        &json!({"Name": "s", "SecretString": "one"}),
    )
    .unwrap();
    call(&mut secrets, "DeleteSecret", &id).unwrap();
    assert_eq!(
        call(&mut secrets, "GetSecretValue", &id),
        Err("InvalidRequestException")
    );
    assert_eq!(
        call(&mut secrets, "ListSecrets", &json!({})).unwrap()["SecretList"],
        json!([])
    );
    call(&mut secrets, "RestoreSecret", &id).unwrap();
    assert_eq!(
        call(&mut secrets, "GetSecretValue", &id).unwrap()["SecretString"],
        "one"
    );
    call(
        &mut secrets,
        "DeleteSecret",
        &json!({"SecretId": "s", "ForceDeleteWithoutRecovery": true}),
    )
    .unwrap();
    assert_eq!(
        call(&mut secrets, "GetSecretValue", &id),
        Err("ResourceNotFoundException")
    );
    assert!(secrets.is_empty());
}
