use serde_json::json;

use super::*;

fn place() -> Place {
    Place {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        port: 1,
    }
}

fn ask(iam: &mut Iam, operation: &str, request: &Value) -> Result<Value, &'static str> {
    let answer = iam.apply(operation, request, &place(), 1000);
    answer.map_err(|error| error.code)
}

const TRUST: &str = r#"{"Statement":{"Effect":"Allow","Principal":{"Federated":"issuer"},"Action":"sts:AssumeRoleWithWebIdentity"}}"#;
const UPDATE: &str =
    r#"{"Statement":[{"Effect":"Allow","Action":"ecs:UpdateService","Resource":"*"}]}"#;

#[test]
fn a_role_that_nobody_made_is_there_until_it_is_deleted() {
    let mut iam = Iam::default();
    let role = json!({"RoleName": "api-execution"});
    let found = ask(&mut iam, "GetRole", &role).unwrap();
    assert_eq!(
        found["Role"]["Arn"],
        "arn:aws:iam::000000000000:role/api-execution"
    );
    assert_eq!(ask(&mut iam, "DeleteRole", &role), Ok(Value::Null));
    assert_eq!(ask(&mut iam, "GetRole", &role), Err("NoSuchEntity"));
    let made =
        json!({"RoleName": "api-execution", "Path": "/team/", "AssumeRolePolicyDocument": TRUST});
    let found = ask(&mut iam, "CreateRole", &made).unwrap();
    assert_eq!(
        found["Role"]["Arn"],
        "arn:aws:iam::000000000000:role/team/api-execution"
    );
    assert_eq!(
        ask(&mut iam, "CreateRole", &made),
        Err("EntityAlreadyExists")
    );
    assert_eq!(
        ask(
            &mut iam,
            "CreateRole",
            &json!({"RoleName": "x", "AssumeRolePolicyDocument": "{"})
        ),
        Err("MalformedPolicyDocument")
    );
    assert_eq!(ask(&mut iam, "GetRole", &json!({})), Err("ValidationError"));
}

#[test]
fn a_role_may_do_what_its_policies_allow() {
    let mut iam = Iam::default();
    let identity = Identity::assumed_role(&place(), "deployer", "ci");
    let may = |iam: &Iam, action: &str| {
        iam.decide(&identity, action, "arn", &Context::new()) == Decision::Allowed
    };
    assert!(may(&iam, "ecs:DeleteService"), "nobody said otherwise");
    let policy = json!({"RoleName": "deployer", "PolicyName": "p", "PolicyDocument": UPDATE});
    ask(&mut iam, "PutRolePolicy", &policy).unwrap();
    assert!(may(&iam, "ecs:UpdateService"));
    assert!(!may(&iam, "ecs:DeleteService"));
    let simulated = ask(
        &mut iam,
        "SimulatePrincipalPolicy",
        &json!({
            "PolicySourceArn": "arn:aws:iam::000000000000:role/deployer",
            "ActionNames": ["ecs:UpdateService", "ecs:DeleteService"],
        }),
    )
    .unwrap();
    let decisions: Vec<&str> = simulated["EvaluationResults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["EvalDecision"].as_str().unwrap())
        .collect();
    assert_eq!(decisions, ["allowed", "implicitDeny"]);
    let named = json!({"RoleName": "deployer", "PolicyName": "p"});
    let got = ask(&mut iam, "GetRolePolicy", &named).unwrap();
    assert!(
        got["PolicyDocument"]
            .as_str()
            .unwrap()
            .starts_with("%7B%22")
    );
    let conflict = ask(&mut iam, "DeleteRole", &named);
    assert_eq!(conflict, Err("DeleteConflict"));
    ask(&mut iam, "DeleteRolePolicy", &named).unwrap();
    assert_eq!(
        ask(&mut iam, "DeleteRolePolicy", &named),
        Err("NoSuchEntity")
    );
    // A role that was made and has no policies may do nothing, as on AWS.
    let made = json!({"RoleName": "made", "AssumeRolePolicyDocument": TRUST});
    ask(&mut iam, "CreateRole", &made).unwrap();
    let made = Identity::assumed_role(&place(), "made", "ci");
    let decision = iam.decide(&made, "ecs:UpdateService", "arn", &Context::new());
    assert_eq!(decision, Decision::ImplicitDeny);
}

#[test]
fn a_role_is_assumed_as_it_trusts() {
    let mut iam = Iam::default();
    let none = Context::new();
    assert!(iam.may_assume("any", "issuer", "sts.amazonaws.com", &none));
    assert!(!iam.may_assume("any", "issuer", "another", &none));
    let made = json!({"RoleName": "made", "AssumeRolePolicyDocument": TRUST});
    ask(&mut iam, "CreateRole", &made).unwrap();
    assert!(iam.may_assume("made", "issuer", "sts.amazonaws.com", &none));
    assert!(!iam.may_assume("made", "other", "sts.amazonaws.com", &none));
    assert!(!iam.may_assume("made", "issuer", "another", &none));
    ask(&mut iam, "DeleteRole", &json!({"RoleName": "made"})).unwrap();
    assert!(!iam.may_assume("made", "issuer", "sts.amazonaws.com", &none));
}

#[test]
fn what_a_managed_policy_allows_is_allowed_while_it_is_attached() {
    const EXECUTION: &str = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
    let mut iam = Iam::default();
    let create = json!({"RoleName": "run", "AssumeRolePolicyDocument": TRUST, "Tags": [{"Key": "a", "Value": "b"}]});
    ask(&mut iam, "CreateRole", &create).unwrap();
    let identity = Identity::assumed_role(&place(), "run", "s");
    let may = |iam: &Iam, action: &str| {
        iam.decide(&identity, action, "arn", &Context::new()) == Decision::Allowed
    };
    let named = json!({"RoleName": "run", "PolicyArn": EXECUTION});
    assert!(!may(&iam, "ecr:BatchGetImage"));
    ask(&mut iam, "AttachRolePolicy", &named).unwrap();
    assert!(may(&iam, "ecr:BatchGetImage") && may(&iam, "logs:PutLogEvents"));
    assert!(!may(&iam, "ssm:GetParameters"));
    let listed = ask(&mut iam, "ListAttachedRolePolicies", &named).unwrap();
    assert_eq!(
        listed["AttachedPolicies"],
        json!([{"PolicyName": "AmazonECSTaskExecutionRolePolicy", "PolicyArn": EXECUTION}])
    );
    let policy = ask(&mut iam, "GetPolicy", &named).unwrap();
    assert_eq!(policy["Policy"]["AttachmentCount"], 1);
    let version = json!({"PolicyArn": EXECUTION, "VersionId": "v1"});
    ask(&mut iam, "GetPolicyVersion", &version).unwrap();
    assert_eq!(ask(&mut iam, "DeleteRole", &named), Err("DeleteConflict"));
    ask(&mut iam, "DetachRolePolicy", &named).unwrap();
    assert_eq!(
        ask(&mut iam, "DetachRolePolicy", &named),
        Err("NoSuchEntity")
    );
    assert!(!may(&iam, "ecr:BatchGetImage"));
    let unknown = json!({"RoleName": "run", "PolicyArn": "arn:aws:iam::aws:policy/None"});
    for operation in ["AttachRolePolicy", "GetPolicy"] {
        assert_eq!(ask(&mut iam, operation, &unknown), Err("NoSuchEntity"));
    }
}

#[test]
fn roles_are_listed_and_tagged() {
    let mut iam = Iam::default();
    for (name, path) in [("a", "/"), ("b", "/team/")] {
        let create = json!({"RoleName": name, "Path": path, "AssumeRolePolicyDocument": TRUST, "Tags": [{"Key": "k", "Value": name}]});
        let made = ask(&mut iam, "CreateRole", &create).unwrap();
        assert_eq!(made["Role"]["Tags"], create["Tags"]);
    }
    let names = |iam: &mut Iam, request: Value| {
        let answer = ask(iam, "ListRoles", &request).unwrap();
        let roles = answer["Roles"].as_array().unwrap().iter();
        let names: Vec<String> = roles
            .map(|role| role["RoleName"].as_str().unwrap().to_owned())
            .collect();
        (
            names.join(" "),
            answer["Marker"].as_str().map(str::to_owned),
        )
    };
    assert_eq!(names(&mut iam, json!({})), ("a b".to_owned(), None));
    assert_eq!(names(&mut iam, json!({"PathPrefix": "/team/"})).0, "b");
    let (first, marker) = names(&mut iam, json!({"MaxItems": "1"}));
    assert_eq!(first, "a");
    assert_eq!(
        names(&mut iam, json!({"MaxItems": "1", "Marker": marker})),
        ("b".to_owned(), None)
    );
    let tag = json!({"RoleName": "a", "Tags": [{"Key": "x", "Value": "y"}]});
    ask(&mut iam, "TagRole", &tag).unwrap();
    ask(
        &mut iam,
        "UntagRole",
        &json!({"RoleName": "a", "TagKeys": ["k"]}),
    )
    .unwrap();
    let listed = ask(&mut iam, "ListRoleTags", &json!({"RoleName": "a"})).unwrap();
    assert_eq!(listed["Tags"], tag["Tags"]);
    let profiles = ask(
        &mut iam,
        "ListInstanceProfilesForRole",
        &json!({"RoleName": "a"}),
    );
    assert_eq!(profiles.unwrap()["InstanceProfiles"], json!([]));
}

#[test]
fn who_may_assume_a_role_with_credentials() {
    let mut iam = Iam::default();
    let owner = Identity::owner(&place(), "KEY");
    let other = Identity::assumed_role(&place(), "other", "s");
    let may = |iam: &Iam, who: &Identity, role: &str| iam.may_assume_as(who, role, &place());
    assert!(may(&iam, &owner, "nobody-made-it"));
    let root = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole"}}"#;
    for (name, trust) in [("target", root), ("by-token", TRUST), ("other", TRUST)] {
        let create = json!({"RoleName": name, "AssumeRolePolicyDocument": trust});
        ask(&mut iam, "CreateRole", &create).unwrap();
    }
    assert!(may(&iam, &owner, "target"));
    assert!(!may(&iam, &owner, "by-token"));
    // The account leaves it to the caller's policies, and this one has none.
    assert!(!may(&iam, &other, "target"));
    let policy = r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}"#;
    let put = json!({"RoleName": "other", "PolicyName": "p", "PolicyDocument": policy});
    ask(&mut iam, "PutRolePolicy", &put).unwrap();
    assert!(may(&iam, &other, "target"));
    ask(&mut iam, "DeleteRole", &json!({"RoleName": "target"})).unwrap();
    assert!(!may(&iam, &owner, "target"));
}
