//! What a deployment relies on, and what is said when it is not there.

use std::collections::BTreeSet;

use rollout::facts::{BalancerView, DeploymentRules, Facts, RolloutState as State, ServiceView};
use rollout::plan::{
    BeforeTask, Breaker, CapacityProvider, Marker, OnFailure, Plan, ServiceSettings, Step,
};
use rollout::preflight::{Answers, FindingSeverity, Named, Seen, TargetGroup, findings, questions};
use serde_json::{Value, json};

use super::{arn, deployment, service};

const GROUP: &str = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/api/06cb";

fn document() -> Value {
    json!({
        "family": "api",
        "networkMode": "awsvpc",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "containerDefinitions": [{
            "name": "app",
            "portMappings": [{"containerPort": 8080}],
            "secrets": [
                {"name": "A", "valueFrom": "/app/a"},
                {"name": "B", "valueFrom": "arn:aws:ssm:eu-central-1:123456789012:parameter/app/b"},
                {"name": "C", "valueFrom": "arn:aws:ssm:eu-central-1:123456789012:parameter/plain"},
                {"name": "D", "valueFrom": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:d-Ab12Cd:key:AWSCURRENT:"},
            ],
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/app"}},
        }, {
            "name": "sidecar",
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/made", "awslogs-create-group": "true"}},
        }],
    })
}

fn facts() -> Facts {
    let mut live: ServiceView = service(vec![deployment(1, "PRIMARY", State::Completed, 2)]);
    live.rules.circuit_breaker = Some(Breaker {
        enable: true,
        rollback: true,
    });
    live.placement.launch_type = Some("FARGATE".into());
    live.balancers = vec![BalancerView {
        target_group_arn: GROUP.into(),
        container: "app".into(),
        port: 8080,
    }];
    Facts {
        service: Some(live),
        ..Facts::default()
    }
}

fn plan() -> Plan {
    Plan {
        way_back: Some(arn(1)),
        timeout_seconds: 900,
        steps: vec![Step::UpdateService {
            task_definition: None,
            settings: ServiceSettings::default(),
        }],
        ..Plan::default()
    }
}

fn codes(document: &Value, facts: &Facts, plan: &Plan, answers: &Answers) -> Vec<String> {
    findings(document, facts, plan, answers)
        .into_iter()
        .map(|finding| finding.code)
        .collect()
}

#[test]
fn everything_by_name_is_asked_for_and_no_value() {
    let asked = questions(&document(), &facts(), &plan());
    let set = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<BTreeSet<_>>()
    };
    let there = |name: &str| Named {
        name: name.into(),
        region: Some("eu-central-1".into()),
        account: Some("123456789012".into()),
    };
    let parameters = [Named::here("/app/a"), there("/app/b"), there("plain")];
    assert_eq!(asked.parameters, parameters.into());
    let secret = there("arn:aws:secretsmanager:eu-central-1:123456789012:secret:d-Ab12Cd");
    assert_eq!(asked.secrets, [secret].into());
    assert_eq!(asked.log_groups, [Named::here("/app")].into());
    assert_eq!(
        asked.roles,
        set(&["arn:aws:iam::123456789012:role/execution"])
    );
    assert_eq!(asked.target_groups, set(&[GROUP]));
    assert_eq!(asked.way_back, Some(arn(1)));
}

/// A log group may be in another region than the tasks.
#[test]
fn a_log_group_is_asked_for_where_it_is() {
    let mut document = document();
    let options = &mut document["containerDefinitions"][0]["logConfiguration"]["options"];
    options["awslogs-region"] = "us-east-1".into();
    let asked = questions(&document, &facts(), &plan());
    let group = Named {
        region: Some("us-east-1".into()),
        ..Named::here("/app")
    };
    assert_eq!(asked.log_groups, [group].into());
}

#[test]
fn a_task_before_cannot_have_a_volume_that_is_configured_at_launch() {
    let mut document = document();
    document["volumes"] = json!([{"name": "scratch", "configuredAtLaunch": true}]);
    let mut plan = plan();
    assert_eq!(
        codes(&document, &facts(), &plan, &Answers::default()),
        [""; 0]
    );
    plan.steps.insert(
        0,
        Step::RunTask {
            task: BeforeTask::default(),
        },
    );
    assert_eq!(
        codes(&document, &facts(), &plan, &Answers::default()),
        ["volume-at-launch"]
    );
}

#[test]
fn nothing_is_said_when_all_is_there() {
    let answers = Answers {
        cluster: Some(Seen::Found("ACTIVE".into())),
        roles: vec![("r".into(), Seen::Found("…ecs-tasks.amazonaws.com…".into()))],
        secrets: vec![("s".into(), Seen::Found(false))],
        target_groups: vec![(
            GROUP.into(),
            Seen::Found(TargetGroup {
                target_type: "ip".into(),
                health_port: "traffic-port".into(),
            }),
        )],
        way_back: Some(Seen::Found("ACTIVE".into())),
        image_platforms: vec!["linux/amd64".into(), "linux/arm64".into()],
        ..Answers::default()
    };
    assert_eq!(codes(&document(), &facts(), &plan(), &answers), [""; 0]);
}

#[test]
fn all_that_is_wrong_is_said_at_once_errors_first() {
    let denied = || Seen::Unknown("AccessDenied".to_owned());
    let mut plan = plan();
    plan.alarms = vec!["errors".into()];
    let mut facts = facts();
    if let Some(service) = &mut facts.service {
        service.balancers[0].port = 9090;
    }
    let answers = Answers {
        cluster: Some(Seen::Found("INACTIVE".into())),
        parameters: vec![("p".into(), Seen::Missing), ("q".into(), denied())],
        secrets: vec![("s".into(), Seen::Missing), ("t".into(), Seen::Found(true))],
        log_groups: vec![("g".into(), Seen::Missing)],
        roles: vec![
            ("r".into(), Seen::Missing),
            ("e".into(), Seen::Found("ec2".into())),
        ],
        target_groups: vec![(
            GROUP.into(),
            Seen::Found(TargetGroup {
                target_type: "instance".into(),
                health_port: "8081".into(),
            }),
        )],
        way_back: Some(Seen::Found("INACTIVE".into())),
        alarms: Some(Seen::Found(BTreeSet::new())),
        image_platforms: vec!["linux/arm64".into()],
    };
    assert_eq!(
        codes(&document(), &facts, &plan, &answers),
        [
            "cluster-not-active",
            "no-such-secret",
            "no-such-secret",
            "secret-deleted",
            "no-such-log-group",
            "no-such-role",
            "role-not-for-tasks",
            "no-such-alarm",
            "architecture",
            "port-mismatch",
            "target-type",
            "health-port",
            "no-way-back",
            "not-checked",
        ]
    );
    plan.on_failure = OnFailure::Stay;
    assert!(!codes(&document(), &facts, &plan, &answers).contains(&"no-way-back".to_owned()));
}

#[test]
fn a_missing_permission_is_a_note_and_never_stands_in_the_way() {
    fn denied<T>() -> Seen<T> {
        Seen::Unknown("AccessDenied".to_owned())
    }
    let answers = Answers {
        cluster: Some(denied()),
        parameters: vec![("p".into(), denied())],
        secrets: vec![("s".into(), denied())],
        log_groups: vec![("g".into(), denied())],
        roles: vec![("r".into(), denied())],
        target_groups: vec![(GROUP.into(), denied())],
        way_back: Some(denied()),
        alarms: Some(denied()),
        image_platforms: Vec::new(),
    };
    let facts = Facts {
        unread: Some("AccessDenied".into()),
        ..facts()
    };
    let found = findings(&document(), &facts, &plan(), &answers);
    assert_eq!(found.len(), 9);
    assert!(
        found
            .iter()
            .all(|finding| finding.severity == FindingSeverity::Note)
    );
}

#[test]
fn what_is_to_protect_the_service_must_be_able_to() {
    let with = |change: &dyn Fn(&mut DeploymentRules, &mut Plan)| {
        let (mut facts, mut plan) = (facts(), plan());
        if let Some(service) = &mut facts.service {
            change(&mut service.rules, &mut plan);
        }
        codes(&document(), &facts, &plan, &Answers::default())
    };
    assert_eq!(
        with(&|rules, _| rules.circuit_breaker = None),
        ["no-circuit-breaker"]
    );
    assert_eq!(
        with(&|_, plan| plan.timeout_seconds = 60),
        ["timeout-before-breaker"]
    );
    let never = Step::RunTask {
        task: BeforeTask {
            marker: Marker::Never,
            ..BeforeTask::default()
        },
    };
    assert_eq!(
        with(&|_, plan| plan.steps.insert(0, never.clone())),
        ["rolls-back-by-itself"]
    );
    assert_eq!(
        with(&|rules, plan| {
            rules.strategy = Some("BLUE_GREEN".into());
            rules.bake_minutes = 20;
            plan.timeout_seconds = 900;
        }),
        ["timeout-within-bake"]
    );
}

#[test]
fn a_sidecar_may_tell_the_health() {
    let mut document = document();
    document["containerDefinitions"][1]["portMappings"] = json!([{"containerPort": 9901}]);
    let answers = |port: &str| Answers {
        target_groups: vec![(
            GROUP.into(),
            Seen::Found(TargetGroup {
                target_type: "ip".into(),
                health_port: port.into(),
            }),
        )],
        ..Answers::default()
    };
    let found = |port| codes(&document, &facts(), &plan(), &answers(port));
    assert_eq!(found("9901"), [""; 0]);
    assert_eq!(found("9902"), ["health-port"]);
}

#[test]
fn only_fargate_takes_an_architecture_that_nobody_named() {
    let answers = Answers {
        image_platforms: vec!["linux/arm64".into()],
        ..Answers::default()
    };
    let found = |launch: Option<&str>, provider: Option<&str>, compatible: Value| {
        let mut document = document();
        document["requiresCompatibilities"] = compatible;
        let mut facts = facts();
        if let Some(service) = &mut facts.service {
            service.placement.launch_type = launch.map(str::to_owned);
            service.placement.capacity_providers = provider
                .map(|name| CapacityProvider {
                    name: name.to_owned(),
                    ..CapacityProvider::default()
                })
                .into_iter()
                .collect();
        }
        codes(&document, &facts, &plan(), &answers).len()
    };
    assert_eq!(found(Some("EC2"), None, json!(["EC2"])), 0, "Graviton");
    assert_eq!(found(None, Some("graviton"), json!([])), 0);
    assert_eq!(found(Some("FARGATE"), None, json!([])), 1);
    assert_eq!(found(None, Some("FARGATE_SPOT"), json!([])), 1);
    assert_eq!(found(None, None, json!(["FARGATE"])), 1);
    assert_eq!(found(None, None, json!(["EC2", "FARGATE"])), 0);
}

#[test]
fn percentages_that_leave_no_room_are_refused() {
    let found = |desired: u32, live: (u32, u32), wanted: (Option<u32>, Option<u32>)| {
        let (mut facts, mut plan) = (facts(), plan());
        if let Some(service) = &mut facts.service {
            service.desired_count = desired;
            service.rules.minimum_healthy_percent = Some(live.0);
            service.rules.maximum_percent = Some(live.1);
        }
        plan.steps = vec![Step::UpdateService {
            task_definition: None,
            settings: ServiceSettings {
                minimum_healthy_percent: wanted.0,
                maximum_percent: wanted.1,
                ..ServiceSettings::default()
            },
        }];
        !codes(&document(), &facts, &plan, &Answers::default()).is_empty()
    };
    let keep = (None, None);
    assert!(found(2, (100, 100), keep));
    assert!(found(1, (50, 100), keep), "half of one is one");
    assert!(found(2, (100, 149), keep), "three are 150 %");
    assert!(!found(2, (100, 150), keep));
    assert!(!found(2, (50, 100), keep));
    assert!(!found(0, (100, 100), keep));
    assert!(!found(2, (100, 100), (None, Some(200))));
    assert!(found(2, (100, 200), (None, Some(100))));
    assert!(!found(2, (100, 100), (Some(0), None)));
}
