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
