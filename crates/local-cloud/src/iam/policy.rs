//! Whether policies allow an action: the part of IAM's policy language that roles of a pipeline are written in.
//!
//! Documented in the IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators". An operator that is not known here never holds, so what
//! depends on it is not allowed rather than allowed by mistake.

use std::collections::BTreeMap;

use serde_json::Value;

/// What policies say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement allows it.
    ImplicitDeny,
}

/// What conditions are asked about: keys in lower case, as their case does not matter.
pub(crate) type Context = BTreeMap<String, Vec<String>>;

/// Decides about one action on one resource.
pub(crate) fn evaluate<'a>(
    policies: impl IntoIterator<Item = &'a Value>,
    action: &str,
    resource: &str,
    context: &Context,
) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for statement in policies.into_iter().flat_map(statements) {
        let applies = names(statement, "Action", "NotAction", action, true)
            && names(statement, "Resource", "NotResource", resource, false)
            && conditions_hold(statement, context);
        match statement["Effect"].as_str() {
            Some("Deny") if applies => return Decision::ExplicitDeny,
            Some("Allow") if applies => decision = Decision::Allowed,
            _ => {}
        }
    }
    decision
}

/// Whether a trust policy lets a token of this identity provider assume the role.
pub(crate) fn trusts(policy: &Value, provider: &str, context: &Context) -> bool {
    const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
    let federated = |statement: &Value| {
        list(&statement["Principal"]["Federated"]).any(|arn| {
            let name = arn.split_once(":oidc-provider/");
            name.map_or(arn, |(_, name)| name) == provider
        })
    };
    let applies = |statement: &Value| {
        names(statement, "Action", "NotAction", ACTION, true)
            && federated(statement)
            && conditions_hold(statement, context)
    };
    let with_effect = |effect: &str| {
        statements(policy).any(|statement| statement["Effect"] == effect && applies(statement))
    };
    with_effect("Allow") && !with_effect("Deny")
}

/// How a trust policy regards a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trusted {
    No,
    /// It names the caller.
    Caller,
    /// It names the account, which leaves it to the caller's own policies.
    Account,
}

/// Whether a trust policy lets a caller of the account, known by ARN, assume the role.
pub(crate) fn trusts_caller(
    policy: &Value,
    caller: &str,
    account: &str,
    context: &Context,
) -> Trusted {
    const ACTION: &str = "sts:AssumeRole";
    let root = format!("arn:aws:iam::{account}:root");
    let role = caller
        .split_once(":assumed-role/")
        .and_then(|(_, rest)| rest.split('/').next());
    // The ARN of a role may hold a path, that of its session does not.
    let is_role = |arn: &str| {
        let path = arn.strip_prefix(&format!("arn:aws:iam::{account}:role/"));
        path.is_some_and(|path| path.rsplit('/').next() == role)
    };
    let regard = |statement: &Value| {
        if !names(statement, "Action", "NotAction", ACTION, true)
            || !conditions_hold(statement, context)
        {
            return Trusted::No;
        }
        let principal = &statement["Principal"];
        let named = list(principal).chain(list(&principal["AWS"]));
        let mut regard = Trusted::No;
        for arn in named {
            if arn == caller || is_role(arn) {
                return Trusted::Caller;
            }
            if arn == "*" || arn == account || arn == root {
                regard = Trusted::Account;
            }
        }
        regard
    };
    let with_effect = |effect: &'static str| {
        statements(policy)
            .filter(move |statement| statement["Effect"] == effect)
            .map(regard)
    };
    if with_effect("Deny").any(|regard| regard != Trusted::No) {
        return Trusted::No;
    }
    let mut allowed = Trusted::No;
    for regard in with_effect("Allow") {
        if regard == Trusted::Caller {
            return regard;
        }
        if regard == Trusted::Account {
            allowed = regard;
        }
    }
    allowed
}

/// Whether any condition of the policy asks for `key`.
pub(crate) fn asks_for(policy: &Value, key: &str) -> bool {
    statements(policy)
        .filter_map(|statement| statement["Condition"].as_object())
        .flat_map(|operators| operators.values())
        .filter_map(Value::as_object)
        .any(|keys| keys.keys().any(|known| known.eq_ignore_ascii_case(key)))
}

/// The statements of a policy; one alone need not stand in a list.
fn statements(policy: &Value) -> impl Iterator<Item = &Value> {
    let one = match &policy["Statement"] {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    one.iter()
}

/// Strings, or one string alone.
fn list(value: &Value) -> impl Iterator<Item = &str> {
    let all = match value {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    all.iter().filter_map(Value::as_str)
}

/// Whether the patterns of a member, or of its opposite, take in a name.
fn names(statement: &Value, member: &str, not: &str, name: &str, any_case: bool) -> bool {
    let matched = |patterns: &Value| {
        list(patterns).any(|pattern| {
            if any_case {
                like(&pattern.to_lowercase(), &name.to_lowercase())
            } else {
                like(pattern, name)
            }
        })
    };
    match (statement.get(member), statement.get(not)) {
        (Some(patterns), _) => matched(patterns),
        (None, Some(patterns)) => !matched(patterns),
        (None, None) => false,
    }
}

fn conditions_hold(statement: &Value, context: &Context) -> bool {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    operators
        .flat_map(|(operator, keys)| {
            let keys = keys.as_object().into_iter().flatten();
            keys.map(move |(key, wanted)| (operator, key, wanted))
        })
        .all(|(operator, key, wanted)| holds(operator, key, wanted, context))
}

fn holds(operator: &str, key: &str, wanted: &Value, context: &Context) -> bool {
    let given = context.get(&key.to_lowercase());
    let (operator, if_exists) = match operator.strip_suffix("IfExists") {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    // Keys with several values.
    let (all, operator) = match operator.split_once(':') {
        Some(("ForAllValues", operator)) => (true, operator),
        Some(("ForAnyValue", operator)) => (false, operator),
        _ => (false, operator),
    };
    if operator == "Null" {
        let absent = given.is_none();
        return list(wanted).all(|wanted| wanted == absent.to_string()) || *wanted == absent;
    }
    let (negated, compare): (bool, fn(&str, &str) -> bool) = match operator {
        "StringEquals" | "Bool" => (false, |wanted, given| wanted == given),
        "StringNotEquals" => (true, |wanted, given| wanted == given),
        "StringEqualsIgnoreCase" => (false, str::eq_ignore_ascii_case),
        "StringNotEqualsIgnoreCase" => (true, str::eq_ignore_ascii_case),
        "StringLike" | "ArnLike" | "ArnEquals" => (false, like),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (true, like),
        _ => return false,
    };
    let Some(given) = given else {
        // What is not there is not equal to anything.
        return if_exists || negated || all;
    };
    let matches = |given: &String| list(wanted).any(|wanted| compare(wanted, given));
    if all {
        given.iter().all(|given| matches(given) != negated)
    } else if negated {
        !given.iter().any(matches)
    } else {
        given.iter().any(matches)
    }
}

/// Whether `text` matches a pattern in which `*` stands for any characters and `?` for one.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // Where to go on when what follows the last star does not match: the star takes one character more.
    let (mut at, mut in_text, mut again) = (0, 0, None);
    while in_text < text.len() {
        match pattern.get(at) {
            Some('*') => {
                again = Some((at, in_text));
                at += 1;
            }
            Some(one) if *one == '?' || *one == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => {
                let Some((star, from)) = again else {
                    return false;
                };
                again = Some((star, from + 1));
                at = star + 1;
                in_text = from + 1;
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn context(pairs: &[(&str, &str)]) -> Context {
        pairs
            .iter()
            .map(|(key, value)| (key.to_lowercase(), vec![(*value).to_owned()]))
            .collect()
    }

    #[test]
    fn patterns_match_as_in_policies() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("ecs:*", "ecs:UpdateService", true),
            ("ecs:Describe*", "ecs:UpdateService", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("secret:db-??????", "secret:db-AbCdEf", true),
            ("secret:db-??????", "secret:db-AbCdE", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_deny_wins_and_nothing_is_allowed_by_itself() {
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": ["ecs:UpdateService", "ecs:describe*"], "Resource": "arn:aws:ecs:*:*:service/local/*"},
            {"Effect": "Deny", "Action": "ecs:*", "Resource": "arn:aws:ecs:*:*:service/local/secret"},
            {"Effect": "Allow", "NotAction": "iam:*", "Resource": "only-this"},
        ]});
        let service = |name: &str| format!("arn:aws:ecs:us-east-1:0:service/local/{name}");
        let cases = [
            ("ecs:UpdateService", service("api"), Decision::Allowed),
            ("ecs:DescribeServices", service("api"), Decision::Allowed),
            ("ecs:DeleteService", service("api"), Decision::ImplicitDeny),
            (
                "ecs:UpdateService",
                service("secret"),
                Decision::ExplicitDeny,
            ),
            (
                "logs:GetLogEvents",
                "only-this".to_owned(),
                Decision::Allowed,
            ),
            (
                "iam:GetRole",
                "only-this".to_owned(),
                Decision::ImplicitDeny,
            ),
        ];
        for (action, resource, expected) in cases {
            let decision = evaluate([&policy], action, &resource, &Context::new());
            assert_eq!(decision, expected, "{action} {resource}");
        }
    }

    #[test]
    fn conditions() {
        let passed = context(&[("iam:PassedToService", "ecs-tasks.amazonaws.com")]);
        let cases = [
            (
                json!({"StringEquals": {"iam:passedtoservice": "ecs-tasks.amazonaws.com"}}),
                true,
            ),
            (
                json!({"StringLike": {"iam:PassedToService": ["x", "ecs*"]}}),
                true,
            ),
            (
                json!({"StringNotEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}),
                false,
            ),
            (json!({"StringEquals": {"aws:RequestTag/a": "b"}}), false),
            (
                json!({"StringEqualsIfExists": {"aws:RequestTag/a": "b"}}),
                true,
            ),
            (json!({"StringNotEquals": {"aws:RequestTag/a": "b"}}), true),
            (json!({"Null": {"aws:RequestTag/a": "true"}}), true),
            (json!({"Null": {"iam:PassedToService": "true"}}), false),
            (
                json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}),
                true,
            ),
            (
                json!({"NumericLessThan": {"aws:MultiFactorAuthAge": "1"}}),
                false,
            ),
        ];
        for (condition, expected) in cases {
            let policy = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}});
            let allowed = evaluate([&policy], "iam:PassRole", "arn", &passed) == Decision::Allowed;
            assert_eq!(allowed, expected, "{condition}");
        }
    }

    #[test]
    fn trust_is_for_one_provider_audience_and_subject() {
        let policy = json!({"Statement": [{
            "Effect": "Allow",
            "Principal": {"Federated": "arn:aws:iam::000000000000:oidc-provider/token.actions.githubusercontent.com"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"},
                "StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/api:*"},
            },
        }]});
        let token = |subject: &str| {
            context(&[
                (
                    "token.actions.githubusercontent.com:aud",
                    "sts.amazonaws.com",
                ),
                ("token.actions.githubusercontent.com:sub", subject),
            ])
        };
        let provider = "token.actions.githubusercontent.com";
        assert!(trusts(
            &policy,
            provider,
            &token("repo:acme/api:environment:production")
        ));
        assert!(!trusts(
            &policy,
            provider,
            &token("repo:acme/other:environment:production")
        ));
        assert!(!trusts(
            &policy,
            "127.0.0.1:7411",
            &token("repo:acme/api:x")
        ));
        assert!(asks_for(&policy, "token.actions.githubusercontent.com:AUD"));
        assert!(!asks_for(&policy, "iam:PassedToService"));
    }

    #[test]
    fn trust_is_for_a_caller_or_for_the_account() {
        let user = "arn:aws:iam::000000000000:user/longshore";
        let session = "arn:aws:sts::000000000000:assumed-role/deployer/ci";
        let root = "arn:aws:iam::000000000000:root";
        let other = "arn:aws:iam::111111111111:root";
        let role = "arn:aws:iam::000000000000:role/team/deployer";
        let cases = [
            (json!({"AWS": user}), user, Trusted::Caller),
            (json!({"AWS": [root, user]}), user, Trusted::Caller),
            (json!({"AWS": root}), user, Trusted::Account),
            (json!({"AWS": "000000000000"}), session, Trusted::Account),
            (json!({"AWS": role}), session, Trusted::Caller),
            (json!({"AWS": session}), session, Trusted::Caller),
            (json!({"AWS": role}), user, Trusted::No),
            (json!({"AWS": other}), user, Trusted::No),
            (json!("*"), user, Trusted::Account),
            (
                json!({"Service": "ecs-tasks.amazonaws.com"}),
                user,
                Trusted::No,
            ),
        ];
        let statement = |effect: &str, principal: &Value| json!({"Effect": effect, "Principal": principal, "Action": "sts:AssumeRole"});
        let regard = |policy: Value, caller: &str| {
            trusts_caller(&policy, caller, "000000000000", &Context::new())
        };
        for (principal, caller, expected) in cases {
            let policy = json!({"Statement": statement("Allow", &principal)});
            assert_eq!(regard(policy, caller), expected, "{principal} {caller}");
        }
        let everyone = json!({"AWS": root});
        let denied = json!({"Statement": [statement("Allow", &everyone), statement("Deny", &json!({"AWS": user}))]});
        assert_eq!(regard(denied.clone(), user), Trusted::No);
        assert_eq!(regard(denied, session), Trusted::Account);
        let other_action = json!({"Statement": {"Effect": "Allow", "Principal": everyone, "Action": "sts:AssumeRoleWithWebIdentity"}});
        assert_eq!(regard(other_action, user), Trusted::No);
    }
}
