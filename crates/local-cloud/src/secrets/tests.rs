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

#[test]
fn a_version_has_the_labels_that_were_asked_for() {
    let mut secrets = Secrets::default();
    let create = json!({"Name": "s!", "SecretString": "one", "ClientRequestToken": "v1"});
    call(&mut secrets, "CreateSecret", &create).unwrap();
    let put = json!({"SecretId": "s!", "SecretString": "two", "ClientRequestToken": "v2", "VersionStages": ["PENDING"]});
    let answer = call(&mut secrets, "PutSecretValue", &put).unwrap();
    assert_eq!(answer["VersionStages"], json!(["PENDING"]));
    assert_eq!(secrets.value("s!", None, None).unwrap(), "one");
    assert_eq!(secrets.value("s!", Some("PENDING"), None).unwrap(), "two");

    let finish = |from: Option<&str>, to: Option<&str>, stage: &str| {
        let mut request = json!({"SecretId": "s!", "VersionStage": stage});
        for (member, id) in [("RemoveFromVersionId", from), ("MoveToVersionId", to)] {
            if let Some(id) = id {
                request[member] = id.into();
            }
        }
        request
    };
    let refused = [
        (None, Some("v2"), "AWSCURRENT", INVALID),
        (Some("v2"), Some("v2"), "AWSCURRENT", INVALID),
        (Some("v1"), None, "AWSCURRENT", INVALID),
        (
            Some("v1"),
            Some("v9"),
            "AWSCURRENT",
            "ResourceNotFoundException",
        ),
        (Some("v1"), None, "PENDING", INVALID),
    ];
    for (from, to, stage, code) in refused {
        let request = finish(from, to, stage);
        assert_eq!(
            call(&mut secrets, "UpdateSecretVersionStage", &request),
            Err(code),
            "{request}"
        );
    }
    for request in [
        finish(Some("v1"), Some("v2"), "AWSCURRENT"),
        finish(Some("v2"), None, "PENDING"),
    ] {
        call(&mut secrets, "UpdateSecretVersionStage", &request).unwrap();
    }
    let listed = call(
        &mut secrets,
        "ListSecretVersionIds",
        &json!({"SecretId": "s!"}),
    )
    .unwrap();
    let stages: Vec<&Value> = listed["Versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| &v["VersionStages"])
        .collect();
    assert_eq!(stages, [&json!(["AWSPREVIOUS"]), &json!(["AWSCURRENT"])]);
}

#[test]
fn the_first_version_is_current_whatever_its_labels() {
    let mut secrets = Secrets::default();
    call(&mut secrets, "CreateSecret", &json!({"Name": "s"})).unwrap();
    let put = json!({"SecretId": "s", "SecretString": "one", "VersionStages": ["PENDING"]});
    call(&mut secrets, "PutSecretValue", &put).unwrap();
    assert_eq!(secrets.value("s", None, None).unwrap(), "one");
    let none = json!({"SecretId": "s", "SecretString": "two", "VersionStages": []});
    assert_eq!(call(&mut secrets, "PutSecretValue", &none), Err(INVALID));
}

#[test]
fn an_update_changes_what_it_names() {
    let mut secrets = Secrets::default();
    let create =
        json!({"Name": "s", "SecretString": "one", "Description": "d", "ClientRequestToken": "v1"});
    call(&mut secrets, "CreateSecret", &create).unwrap();
    let update =
        |secrets: &mut Secrets, request: Value| call(secrets, "UpdateSecret", &request).unwrap();
    let answer = update(&mut secrets, json!({"SecretId": "s", "Description": "e"}));
    assert!(answer.get("VersionId").is_none(), "{answer}");
    let answer = update(
        &mut secrets,
        json!({"SecretId": "s", "Description": "f", "SecretString": "two", "ClientRequestToken": "v2"}),
    );
    assert_eq!(answer["VersionId"], "v2");
    let described = call(&mut secrets, "DescribeSecret", &json!({"SecretId": "s"})).unwrap();
    assert_eq!(described["Description"], "f");
    assert_eq!(
        described["VersionIdsToStages"],
        json!({"v1": ["AWSPREVIOUS"], "v2": ["AWSCURRENT"]})
    );
}

#[test]
fn secrets_are_tagged_and_read_in_batches() {
    let mut secrets = Secrets::default();
    for name in ["a/one", "a/two", "b"] {
        let create =
            json!({"Name": name, "SecretString": name, "Tags": [{"Key": "k", "Value": "v"}]});
        call(&mut secrets, "CreateSecret", &create).unwrap();
    }
    let tag = json!({"SecretId": "b", "Tags": [{"Key": "x", "Value": "y"}]});
    call(&mut secrets, "TagResource", &tag).unwrap();
    call(
        &mut secrets,
        "UntagResource",
        &json!({"SecretId": "b", "TagKeys": ["k"]}),
    )
    .unwrap();
    let described = call(&mut secrets, "DescribeSecret", &json!({"SecretId": "b"})).unwrap();
    assert_eq!(described["Tags"], json!([{"Key": "x", "Value": "y"}]));

    let batch = json!({"SecretIdList": ["b", "none"]});
    let answer = call(&mut secrets, "BatchGetSecretValue", &batch).unwrap();
    assert_eq!(answer["SecretValues"][0]["SecretString"], "b");
    assert_eq!(
        answer["Errors"][0]["ErrorCode"],
        "ResourceNotFoundException"
    );
    let filter = json!({"Filters": [{"Key": "name", "Values": ["a/"]}]});
    let answer = call(&mut secrets, "BatchGetSecretValue", &filter).unwrap();
    assert_eq!(answer["SecretValues"].as_array().unwrap().len(), 2);
    for bad in [
        json!({}),
        json!({"SecretIdList": ["b"], "Filters": filter["Filters"]}),
    ] {
        assert_eq!(
            call(&mut secrets, "BatchGetSecretValue", &bad),
            Err(INVALID)
        );
    }
    let policy = call(&mut secrets, "GetResourcePolicy", &json!({"SecretId": "b"})).unwrap();
    assert!(policy.get("ResourcePolicy").is_none());
}

#[test]
fn a_password_has_the_characters_that_were_asked_for() {
    let mut secrets = Secrets::default();
    let mut password = |request: Value| {
        let answer = call(&mut secrets, "GetRandomPassword", &request)?;
        Ok(answer["RandomPassword"].as_str().unwrap().to_owned())
    };
    let usual = password(json!({})).unwrap();
    assert_eq!(usual.chars().count(), 32);
    assert_ne!(usual, password(json!({})).unwrap());
    for _ in 0..50 {
        let short = password(json!({"PasswordLength": 4})).unwrap();
        let has = |what: fn(char) -> bool| short.contains(what);
        assert!(
            has(|c| c.is_ascii_lowercase())
                && has(|c| c.is_ascii_uppercase())
                && has(|c| c.is_ascii_digit())
                && has(|c| c.is_ascii_punctuation()),
            "{short}"
        );
    }
    let plain = json!({"ExcludePunctuation": true, "ExcludeUppercase": true, "ExcludeNumbers": true, "ExcludeCharacters": "bcdefghijklmnopqrstuvwxyz"});
    assert_eq!(password(plain.clone()), Ok("a".repeat(32)));
    let mut none = plain;
    none["ExcludeLowercase"] = true.into();
    for bad in [
        none,
        json!({"PasswordLength": 3}),
        json!({"PasswordLength": 0}),
        json!({"PasswordLength": 4097}),
    ] {
        assert_eq!(password(bad.clone()), Err(INVALID), "{bad}");
    }
}
