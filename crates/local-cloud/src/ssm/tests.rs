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
