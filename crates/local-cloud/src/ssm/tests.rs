use super::*;

fn place() -> Place {
    Place {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        port: 7411,
    }
}

fn call(ssm: &mut Ssm, operation: &str, request: &Value) -> Result<Value, &'static str> {
    ssm.apply(operation, request, &place(), 1_753_000_000_000)
        .map_err(|error| error.code)
}

fn filled() -> Ssm {
    let mut ssm = Ssm::default();
    for (name, kind) in [
        ("/api/db", "SecureString"),
        ("/api/deep/x", "String"),
        ("plain", "StringList"),
    ] {
        let request = json!({"Name": name, "Value": format!("value of {name}"), "Type": kind});
        call(&mut ssm, "PutParameter", &request).unwrap();
    }
    ssm
}

#[test]
fn a_parameter_is_read_by_name_arn_and_version() {
    let mut ssm = filled();
    let put = json!({"Name": "/api/db", "Value": "second", "Overwrite": true});
    assert_eq!(call(&mut ssm, "PutParameter", &put).unwrap()["Version"], 2);
    let cases = [
        ("/api/db", Some("second")),
        ("/api/db:1", Some("value of /api/db")),
        ("/api/db:3", None),
        (
            "arn:aws:ssm:us-east-1:000000000000:parameter/api/db",
            Some("second"),
        ),
        (
            "arn:aws:ssm:us-east-1:000000000000:parameter/api/db:1",
            Some("value of /api/db"),
        ),
        (
            "arn:aws:ssm:us-east-1:000000000000:parameter/plain",
            Some("value of plain"),
        ),
        ("/nothing", None),
    ];
    for (name, expected) in cases {
        assert_eq!(ssm.value(name), expected, "{name}");
    }
    let get = |ssm: &mut Ssm, name| call(ssm, "GetParameter", &json!({"Name": name}));
    assert_eq!(get(&mut ssm, "/api/db:3"), Err("ParameterVersionNotFound"));
    assert_eq!(get(&mut ssm, "/nothing"), Err("ParameterNotFound"));
}

#[test]
fn a_secure_string_is_shown_only_decrypted() {
    let mut ssm = filled();
    let get = |ssm: &mut Ssm, decrypt: bool| {
        let request = json!({"Name": "/api/db", "WithDecryption": decrypt});
        call(ssm, "GetParameter", &request).unwrap()["Parameter"].clone()
    };
    assert_eq!(get(&mut ssm, true)["Value"], "value of /api/db");
    assert_eq!(get(&mut ssm, true)["Type"], "SecureString");
    assert_ne!(get(&mut ssm, false)["Value"], "value of /api/db");
    assert!(!format!("{ssm:?}").contains("value of"));
}

#[test]
fn lists_by_names_and_paths() {
    let mut ssm = filled();
    let names = json!({"Names": ["plain", "/nothing"]});
    let answer = call(&mut ssm, "GetParameters", &names).unwrap();
    assert_eq!(answer["Parameters"][0]["Name"], "plain");
    assert_eq!(answer["InvalidParameters"], json!(["/nothing"]));
    for (path, recursive, expected) in [
        ("/api", false, 1),
        ("/api/", true, 2),
        ("/", true, 2),
        ("/ap", true, 0),
    ] {
        let request = json!({"Path": path, "Recursive": recursive});
        let answer = call(&mut ssm, "GetParametersByPath", &request).unwrap();
        assert_eq!(
            answer["Parameters"].as_array().unwrap().len(),
            expected,
            "{path}"
        );
    }
    let filter =
        json!({"ParameterFilters": [{"Key": "Name", "Option": "BeginsWith", "Values": ["/api"]}]});
    let answer = call(&mut ssm, "DescribeParameters", &filter).unwrap();
    assert_eq!(answer["Parameters"].as_array().unwrap().len(), 2);
    assert!(answer["Parameters"][0].get("Value").is_none());
}

#[test]
fn what_ssm_refuses() {
    let mut ssm = filled();
    let cases = [
        (
            json!({"Name": "plain", "Value": "x", "Type": "String"}),
            "ParameterAlreadyExists",
        ),
        (json!({"Name": "new", "Value": "x"}), INVALID),
        (
            json!({"Name": "new", "Value": "", "Type": "String"}),
            INVALID,
        ),
        (
            json!({"Name": "new", "Value": "x", "Type": "Number"}),
            "UnsupportedParameterType",
        ),
        (
            json!({"Name": "a/b", "Value": "x", "Type": "String"}),
            INVALID,
        ),
        (
            json!({"Name": "/aws/b", "Value": "x", "Type": "String"}),
            INVALID,
        ),
        (
            json!({"Name": "a b", "Value": "x", "Type": "String"}),
            INVALID,
        ),
        (json!({"Value": "x", "Type": "String"}), INVALID),
    ];
    for (request, code) in cases {
        assert_eq!(
            call(&mut ssm, "PutParameter", &request),
            Err(code),
            "{request}"
        );
    }
    assert_eq!(
        call(&mut ssm, "LabelParameterVersion", &json!({})),
        Err("UnknownOperationException")
    );
}

#[test]
fn the_same_secure_value_makes_no_new_version() {
    let mut ssm = Ssm::default();
    for (value, generation) in [("a", 1), ("a", 1), ("b", 2)] {
        ssm.put_secure("/x", value, 0).unwrap();
        assert_eq!(ssm.generation(), generation);
    }
    let delete = json!({"Names": ["/x", "/y"]});
    let answer = call(&mut ssm, "DeleteParameters", &delete).unwrap();
    assert_eq!(
        answer,
        json!({"DeletedParameters": ["/x"], "InvalidParameters": ["/y"]})
    );
    assert!(ssm.is_empty());
}

#[test]
fn a_value_is_as_long_as_its_tier_allows() {
    let mut ssm = Ssm::default();
    let put = |length: usize, tier: Option<&str>| {
        let mut request =
            json!({"Name": "/x", "Value": "v".repeat(length), "Type": "String", "Overwrite": true});
        if let Some(tier) = tier {
            request["Tier"] = tier.into();
        }
        request
    };
    let cases = [
        (4097, None, Err(INVALID)),
        (4097, Some("Standard"), Err(INVALID)),
        (4096, None, Ok("Standard")),
        (4096, Some("Intelligent-Tiering"), Ok("Standard")),
        (1, Some("Other"), Err(INVALID)),
        (4097, Some("Intelligent-Tiering"), Ok("Advanced")),
        (8193, Some("Advanced"), Err(INVALID)),
        (8192, None, Ok("Advanced")),
        // There is no way back.
        (1, Some("Standard"), Err(INVALID)),
    ];
    for (length, tier, expected) in cases {
        let answer = call(&mut ssm, "PutParameter", &put(length, tier));
        let answer = answer.map(|answer| answer["Tier"].as_str().unwrap().to_owned());
        assert_eq!(answer.as_deref(), expected.as_deref(), "{length} {tier:?}");
    }
    let described = call(&mut ssm, "DescribeParameters", &json!({})).unwrap();
    assert_eq!(described["Parameters"][0]["Tier"], "Advanced");
}

#[test]
fn a_value_matches_its_pattern_and_nests_none() {
    let mut ssm = Ssm::default();
    let put = json!({"Name": "/n", "Value": "12", "Type": "String", "AllowedPattern": "^\\d+$"});
    call(&mut ssm, "PutParameter", &put).unwrap();
    let cases = [
        (json!({"Value": "13"}), Ok(())),
        // The pattern stays.
        (
            json!({"Value": "x"}),
            Err("ParameterPatternMismatchException"),
        ),
        (
            json!({"Value": "x", "AllowedPattern": "["}),
            Err("InvalidAllowedPatternException"),
        ),
        (
            json!({"Value": "{{ssm:/other}}", "AllowedPattern": ".*"}),
            Err(INVALID),
        ),
        (
            json!({"Value": "14", "Tags": [{"Key": "a", "Value": "b"}]}),
            Err(INVALID),
        ),
    ];
    for (mut request, expected) in cases {
        request["Name"] = "/n".into();
        request["Overwrite"] = true.into();
        let answer = call(&mut ssm, "PutParameter", &request).map(drop);
        assert_eq!(answer, expected, "{request}");
    }
}

#[test]
fn parameters_are_filtered_tagged_and_remembered() {
    let mut ssm = filled();
    let tags = json!([{"Key": "team", "Value": "a"}]);
    let add = json!({"ResourceType": "Parameter", "ResourceId": "/api/deep/x", "Tags": tags});
    call(&mut ssm, "AddTagsToResource", &add).unwrap();
    let named = |ssm: &mut Ssm, operation: &str, request: &Value| {
        let answer = call(ssm, operation, request)?;
        let all = answer["Parameters"].as_array().unwrap().iter();
        Ok(all
            .map(|one| one["Name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>())
    };
    let filter = |key: &str, option: &str, value: &str| json!({"ParameterFilters": [{"Key": key, "Option": option, "Values": [value]}]});
    let cases: [(Value, Result<&[&str], &str>); 9] = [
        (
            filter("Path", "Recursive", "/api"),
            Ok(&["/api/db", "/api/deep/x"]),
        ),
        (filter("Path", "OneLevel", "/api"), Ok(&["/api/db"])),
        (filter("tag:team", "Equals", "a"), Ok(&["/api/deep/x"])),
        (filter("KeyId", "Equals", "alias/aws/ssm"), Ok(&["/api/db"])),
        (
            json!({"Filters": [{"Key": "Type", "Values": ["StringList"]}]}),
            Ok(&["plain"]),
        ),
        (filter("Path", "Equals", "/api"), Err("InvalidFilterOption")),
        (filter("Other", "Equals", "a"), Err("InvalidFilterKey")),
        (json!({"MaxResults": 51}), Err(INVALID)),
        (
            json!({"Filters": [{"Key": "Name", "Values": ["a"]}], "ParameterFilters": [{"Key": "Name", "Values": ["a"]}]}),
            Err(INVALID),
        ),
    ];
    for (request, expected) in cases {
        let found = named(&mut ssm, "DescribeParameters", &request);
        let found = found.as_deref().map_err(|code| *code);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{request}"),
            (found, expected) => assert_eq!(found.err(), expected.err(), "{request}"),
        }
    }
    let by_path = |extra: Value| {
        let mut request = json!({"Path": "/", "Recursive": true});
        for (member, value) in extra.as_object().unwrap() {
            request[member] = value.clone();
        }
        request
    };
    let secure = by_path(filter("Type", "Equals", "SecureString"));
    assert_eq!(
        named(&mut ssm, "GetParametersByPath", &secure).unwrap(),
        ["/api/db"]
    );
    for (bad, code) in [
        (json!({"MaxResults": 11}), INVALID),
        (filter("Name", "Equals", "a"), "InvalidFilterKey"),
    ] {
        assert_eq!(
            named(&mut ssm, "GetParametersByPath", &by_path(bad)),
            Err(code)
        );
    }

    let list = json!({"ResourceType": "Parameter", "ResourceId": "/api/deep/x"});
    assert_eq!(
        call(&mut ssm, "ListTagsForResource", &list).unwrap()["TagList"],
        tags
    );
    let remove =
        json!({"ResourceType": "Parameter", "ResourceId": "/api/deep/x", "TagKeys": ["team"]});
    call(&mut ssm, "RemoveTagsFromResource", &remove).unwrap();
    assert_eq!(
        call(&mut ssm, "ListTagsForResource", &list).unwrap()["TagList"],
        json!([])
    );
    let none = json!({"ResourceType": "Parameter", "ResourceId": "/none"});
    assert_eq!(
        call(&mut ssm, "ListTagsForResource", &none),
        Err("InvalidResourceId")
    );

    let put = json!({"Name": "/api/db", "Value": "second", "Overwrite": true});
    call(&mut ssm, "PutParameter", &put).unwrap();
    let history = json!({"Name": "/api/db", "WithDecryption": true});
    let history = call(&mut ssm, "GetParameterHistory", &history).unwrap();
    let values: Vec<&Value> = history["Parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["Value"])
        .collect();
    assert_eq!(values, ["value of /api/db", "second"]);
}
