use super::*;
use crate::ecs::{Pace, Settings};

fn cloud() -> (Ecs, Place, String) {
    let settings = Settings {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        pace: Pace::quick(),
        seed: 1,
    };
    let mut ecs = Ecs::new(settings);
    let group = TargetGroup {
        deregistration_delay_seconds: 7,
        ..TargetGroup::new("api")
    };
    let arn = ecs.put_target_group(group, 0);
    let place = Place {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        port: 1,
    };
    (ecs, place, arn)
}

#[test]
fn everything_that_is_listed_can_be_asked_about() {
    let (ecs, place, group) = cloud();
    let ports = BTreeMap::new();
    let balancers = Balancers {
        ecs: &ecs,
        place: &place,
        ports: &ports,
    };
    let ask = |operation: &str, request: Value| {
        let answer = balancers.apply(operation, &request);
        answer.map_err(|error| error.code)
    };
    let all = ask("DescribeLoadBalancers", json!({})).unwrap();
    let balancer = &all["LoadBalancers"][0]["LoadBalancerArn"];
    let all = ask("DescribeListeners", json!({"LoadBalancerArn": balancer})).unwrap();
    let listener = &all["Listeners"][0]["ListenerArn"];
    let rules = ask("DescribeRules", json!({"ListenerArn": listener})).unwrap();
    let rule = &rules["Rules"][0];
    assert_eq!(rule["Actions"][0]["TargetGroupArn"], json!(group));
    let again = ask("DescribeRules", json!({"RuleArns": [rule["RuleArn"]]}));
    assert_eq!(again.as_ref(), Ok(&rules));

    let attributes = ask(
        "DescribeTargetGroupAttributes",
        json!({"TargetGroupArn": group}),
    )
    .unwrap();
    let delay = json!({"Key": "deregistration_delay.timeout_seconds", "Value": "7"});
    assert!(
        attributes["Attributes"]
            .as_array()
            .unwrap()
            .contains(&delay)
    );
    ask(
        "DescribeLoadBalancerAttributes",
        json!({"LoadBalancerArn": balancer}),
    )
    .unwrap();
    ask(
        "DescribeListenerAttributes",
        json!({"ListenerArn": listener}),
    )
    .unwrap();
    let arns = json!([group, balancer, listener, rule["RuleArn"]]);
    let tags = ask("DescribeTags", json!({"ResourceArns": arns})).unwrap();
    assert_eq!(tags["TagDescriptions"].as_array().unwrap().len(), 4);

    let none = format!("{group}0");
    let cases = [
        (
            "DescribeTargetGroupAttributes",
            json!({"TargetGroupArn": none}),
            "TargetGroupNotFound",
        ),
        (
            "DescribeLoadBalancerAttributes",
            json!({}),
            "LoadBalancerNotFound",
        ),
        ("DescribeListenerAttributes", json!({}), "ListenerNotFound"),
        (
            "DescribeTags",
            json!({"ResourceArns": [none]}),
            "TargetGroupNotFound",
        ),
        (
            "DescribeRules",
            json!({"ListenerArn": none}),
            "ListenerNotFound",
        ),
        ("DescribeRules", json!({"RuleArns": [none]}), "RuleNotFound"),
        ("DescribeRules", json!({}), "ValidationError"),
    ];
    for (operation, request, code) in cases {
        assert_eq!(ask(operation, request), Err(code), "{operation}");
    }
}
