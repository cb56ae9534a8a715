//! Plans from facts.

use rollout::facts::{Facts, RolloutState as State, ServiceDeploymentView, ServiceView};
use rollout::plan::{
    self, BeforeTask, Check, ExpectedImage, Marker, NewService, Plan, Refusal, ServiceSettings,
    Step, Wanted,
};
use serde_json::json;

use super::{arn, deployment, service};

fn document(image: &str) -> serde_json::Value {
    json!({"family": "api", "containerDefinitions": [{"name": "app", "image": image}]})
}

fn wanted(image: &str) -> Wanted {
    Wanted {
        cluster: "c".into(),
        service: "api".into(),
        document: document(image).to_string(),
        image: ExpectedImage {
            container: "app".into(),
            reference: image.into(),
        },
        timeout_seconds: 900,
        ..Wanted::default()
    }
}

fn record(revision: u32, status: &str) -> ServiceDeploymentView {
    ServiceDeploymentView {
        status: status.into(),
        task_definition: arn(revision),
        ..ServiceDeploymentView::default()
    }
}

fn facts(service: ServiceView, live_image: &str, history: &[(u32, &str)]) -> Facts {
    Facts {
        service: Some(service),
        primary_document: Some(document(live_image)),
        history: history
            .iter()
            .map(|(revision, status)| record(*revision, status))
            .collect(),
        ..Facts::default()
    }
}

fn steady(revision: u32) -> ServiceView {
    service(vec![deployment(revision, "PRIMARY", State::Completed, 2)])
}

#[test]
fn a_change_registers_updates_and_knows_the_way_back() {
    let plan = plan::deploy(wanted("r@sha256:2"), &facts(steady(1), "r@sha256:1", &[])).unwrap();
    assert!(matches!(
        plan.steps[..],
        [
            Step::RegisterTaskDefinition { .. },
            Step::UpdateService {
                task_definition: None,
                ..
            }
        ]
    ));
    assert_eq!(plan.way_back, Some(arn(1)));
    assert_eq!(plan.guard.primary_deployment.as_deref(), Some("ecs-svc/1"));
    assert_eq!(
        plan.differences,
        [r#"containerDefinitions.app.image: "r@sha256:1" -> "r@sha256:2""#]
    );
}

#[test]
fn a_plan_tells_what_the_service_has_now() {
    let mut live = facts(steady(1), "r@sha256:1", &[]);
    live.primary_tags = [("longshore:commit".to_owned(), "abc".to_owned())].into();
    let present = plan::deploy(wanted("r@sha256:2"), &live)
        .unwrap()
        .present
        .unwrap();
    assert_eq!(present.task_definition, arn(1));
    assert_eq!(present.commit.as_deref(), Some("abc"));
    assert_eq!(present.image.as_deref(), Some("r@sha256:1"));
    assert_eq!((present.running_count, present.desired_count), (2, 2));
}

#[test]
fn what_is_live_already_needs_no_step() {
    let plan = plan::deploy(wanted("r@sha256:1"), &facts(steady(1), "r@sha256:1", &[])).unwrap();
    assert_eq!(plan.steps, []);
}

/// What the live revision is tagged with; what is asked after the rollout now; whether it is asked again, and where to go back then.
#[test]
fn a_second_run_asks_what_no_run_has_seen_pass() {
    let checked = |bake_seconds| {
        let mut want = wanted("r@sha256:2");
        want.checks = vec![Check::default()];
        want.bake_seconds = bake_seconds;
        want
    };
    let with = |tags: &[(&str, &str)], want: &Wanted| {
        let mut live = facts(
            steady(2),
            "r@sha256:2",
            &[(2, "SUCCESSFUL"), (1, "SUCCESSFUL")],
        );
        let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        live.primary_tags = tags.collect();
        plan::deploy(want.clone(), &live).unwrap()
    };
    let proof = |want: &Wanted| with(&[], want).proof().unwrap();
    let guard = ("longshore:guard", "ecs-svc/1");

    // The run that deployed it failed and left it, or it was deployed by somebody else: nobody goes back from it by himself.
    let plan = with(&[], &checked(60));
    assert!(
        matches!(&plan.steps[..], [Step::Adopt { deployment, .. }] if deployment == "ecs-svc/2")
    );
    assert_eq!(plan.way_back, Some(arn(2)));
    assert!(plan.differences[0].contains("no run on record"));
    // The run that deployed it died: this one does what that one would have done.
    assert_eq!(with(&[guard], &checked(60)).way_back, Some(arn(1)));

    let passed = proof(&checked(60));
    let proven = ("longshore:proven", passed.as_str());
    assert_eq!(with(&[guard, proven], &checked(60)).steps, []);
    let more = with(&[guard, proven], &checked(90));
    assert!(matches!(&more.steps[..], [Step::Adopt { .. }]));
    assert_eq!(more.way_back, Some(arn(2)), "it has been good once");
    assert_eq!(with(&[guard], &wanted("r@sha256:2")).steps, []);
}

#[test]
fn a_stuck_rollout_gets_its_new_settings_or_is_replaced() {
    let stuck = || {
        let mut live = service(vec![
            deployment(2, "PRIMARY", State::InProgress, 0),
            deployment(1, "ACTIVE", State::Completed, 2),
        ]);
        live.rules.maximum_percent = Some(100);
        facts(live, "r@sha256:2", &[])
    };
    let mut want = wanted("r@sha256:2");
    want.settings.maximum_percent = Some(200);
    want.before = vec![BeforeTask {
        marker: Marker::Never,
        ..BeforeTask::default()
    }];
    let plan = plan::deploy(want.clone(), &stuck()).unwrap();
    let [Step::Adopt { settings, ran, .. }] = &plan.steps[..] else {
        panic!("{:?}", plan.steps);
    };
    assert_eq!((settings.maximum_percent, ran.len()), (Some(200), 1));
    let before = plan.settings_before.and_then(|one| one.maximum_percent);
    assert_eq!(before, Some(100));

    want.supersede = true;
    let plan = plan::deploy(want, &stuck()).unwrap();
    assert!(matches!(
        plan.steps[..],
        [
            Step::RegisterTaskDefinition { .. },
            Step::RunTask { .. },
            Step::UpdateService { .. }
        ]
    ));
}

#[test]
fn every_plan_tells_all_and_an_edited_one_does_not() {
    let again = facts(steady(1), "r@sha256:1", &[]);
    let mut proof = wanted("r@sha256:1");
    proof.bake_seconds = 60;
    let mut live = service(vec![deployment(1, "PRIMARY", State::InProgress, 0)]);
    live.rules.maximum_percent = Some(100);
    let stuck = facts(live, "r@sha256:1", &[]);
    let mut settings = wanted("r@sha256:1");
    settings.settings.maximum_percent = Some(200);
    let mut both = wanted("r@sha256:2");
    both.settings.maximum_percent = Some(150);
    for (want, live) in [
        (wanted("r@sha256:2"), &again),
        (proof, &again),
        (both, &again),
        (settings, &stuck),
    ] {
        let mut plan = plan::deploy(want, live).unwrap();
        assert!(plan.tells_all(live), "{plan:?}");
        plan.differences.pop();
        plan.differences.push("cpu: 1 -> 2".to_owned());
        assert!(!plan.tells_all(live), "{plan:?}");
    }
}

#[test]
fn what_ecs_has_given_up_is_not_waited_for_and_its_return_is() {
    let given_up = || {
        service(vec![
            deployment(3, "PRIMARY", State::Failed, 0),
            deployment(2, "ACTIVE", State::Completed, 2),
        ])
    };
    assert!(!facts(given_up(), "r", &[(3, "STOPPED")]).busy());
    assert!(facts(given_up(), "r", &[(3, "ROLLBACK_IN_PROGRESS")]).busy());
    let rolling = service(vec![
        deployment(3, "PRIMARY", State::InProgress, 0),
        deployment(2, "ACTIVE", State::Completed, 2),
    ]);
    assert!(facts(rolling, "r", &[(3, "IN_PROGRESS")]).busy());
    assert!(!facts(steady(2), "r", &[(2, "SUCCESSFUL")]).busy());
}

#[test]
fn a_service_whose_rollouts_cannot_be_judged_is_refused() {
    let mut classic = steady(1);
    classic.classic_balancer = true;
    let mut silent = steady(1);
    silent.deployments[0].rollout_state = None;
    for live in [classic, silent] {
        let facts = facts(live, "r@sha256:1", &[(1, "SUCCESSFUL")]);
        let refusals: [Result<Plan, Refusal>; 2] = [
            plan::deploy(wanted("r@sha256:2"), &facts),
            plan::rollback("c".into(), "api".into(), &facts, Some(arn(9)), None, 900),
        ];
        for refusal in refusals {
            assert!(
                matches!(refusal, Err(Refusal::NoRolloutState { .. })),
                "{refusal:?}"
            );
        }
    }
}

#[test]
fn what_is_live_but_does_not_run_is_watched_until_it_does() {
    let restarting = service(vec![deployment(1, "PRIMARY", State::Completed, 1)]);
    let plan = plan::deploy(wanted("r@sha256:1"), &facts(restarting, "r@sha256:1", &[])).unwrap();
    assert!(
        matches!(&plan.steps[..], [Step::Adopt { deployment, .. }] if deployment == "ecs-svc/1")
    );
}

#[test]
fn the_way_back_is_what_completed_not_what_is_just_failing() {
    let failing = service(vec![
        deployment(3, "PRIMARY", State::InProgress, 0),
        deployment(2, "ACTIVE", State::Completed, 2),
    ]);
    let mut want = wanted("r@sha256:4");
    want.supersede = true;
    let plan = plan::deploy(want, &facts(failing.clone(), "r@sha256:3", &[])).unwrap();
    assert_eq!(plan.way_back, Some(arn(2)));
    let refusal = plan::deploy(
        wanted("r@sha256:4"),
        &facts(failing.clone(), "r@sha256:3", &[]),
    )
    .unwrap_err();
    assert!(matches!(refusal, Refusal::InFlight { .. }));
    // The same content: a run before this one died, and this one takes over.
    let plan = plan::deploy(wanted("r@sha256:3"), &facts(failing, "r@sha256:3", &[])).unwrap();
    assert!(
        matches!(&plan.steps[..], [Step::Adopt { deployment, .. }] if deployment == "ecs-svc/3")
    );
    assert_eq!(plan.way_back, Some(arn(2)));
}

#[test]
fn a_deployment_that_ecs_gave_up_can_be_followed_by_another() {
    let given_up = service(vec![
        deployment(3, "PRIMARY", State::Failed, 0),
        deployment(2, "ACTIVE", State::Completed, 2),
    ]);
    let plan = plan::deploy(wanted("r@sha256:4"), &facts(given_up, "r@sha256:3", &[])).unwrap();
    assert_eq!(plan.steps.len(), 2);
    assert_eq!(plan.way_back, Some(arn(2)));
}

#[test]
fn a_service_that_is_not_there_is_only_made_where_that_is_meant() {
    let mut want = wanted("r@sha256:1");
    assert!(matches!(
        plan::deploy(want.clone(), &Facts::default()),
        Err(Refusal::NoService { .. })
    ));
    want.create = Some(NewService {
        desired_count: 2,
        load_balancer: None,
        subnets: Vec::new(),
        settings: ServiceSettings::default(),
    });
    let plan = plan::deploy(want, &Facts::default()).unwrap();
    assert!(matches!(
        plan.steps[..],
        [
            Step::RegisterTaskDefinition { .. },
            Step::CreateService { .. }
        ]
    ));
    assert_eq!((plan.way_back, plan.guard.primary_deployment), (None, None));
}

/// What it is about; the service; its history, newest first; the revision that is returned to.
type Case<'a> = (&'a str, ServiceView, &'a [(u32, &'a str)], Option<u32>);

#[test]
fn rollback_goes_to_what_was_good_before() {
    let ok = "SUCCESSFUL";
    let bad = "ROLLBACK_SUCCESSFUL";
    let table: [Case<'_>; 6] = [
        ("two good releases", steady(2), &[(2, ok), (1, ok)], Some(1)),
        (
            "a bad neighbour in between",
            steady(3),
            &[(3, ok), (2, bad), (1, ok)],
            Some(1),
        ),
        (
            "after a bad release that ECS took back",
            steady(2),
            &[(3, bad), (2, ok), (1, ok)],
            Some(1),
        ),
        (
            "a second rollback goes further back, not forward",
            steady(2),
            &[(2, ok), (3, ok), (2, ok), (1, ok)],
            Some(1),
        ),
        (
            "a release that is still failing",
            service(vec![
                deployment(3, "PRIMARY", State::InProgress, 0),
                deployment(2, "ACTIVE", State::Completed, 2),
            ]),
            &[(3, "IN_PROGRESS"), (2, ok), (1, ok)],
            Some(2),
        ),
        ("the first release", steady(1), &[(1, ok)], None),
    ];
    for (name, service, history, expected) in table {
        let plan = plan::rollback(
            "c".into(),
            "api".into(),
            &facts(service, "r", history),
            None,
            None,
            900,
        );
        let target = plan.ok().and_then(|plan| plan.target().map(str::to_owned));
        assert_eq!(target, expected.map(arn), "{name}");
    }
}

#[test]
fn a_rollback_follows_a_return_that_is_on_its_way() {
    // A deployment of revision 2 was completed, and is just being taken back: what served last is what nobody wants.
    let ok = "SUCCESSFUL";
    let returning = service(vec![
        deployment(1, "PRIMARY", State::InProgress, 0),
        deployment(2, "ACTIVE", State::Completed, 2),
    ]);
    let history = [(1, "IN_PROGRESS"), (2, ok), (1, ok)];
    let facts = facts(returning, "r", &history);
    let plan = |to| plan::rollback("c".into(), "api".into(), &facts, to, None, 900).unwrap();
    assert_eq!(plan(None).target(), Some(arn(1).as_str()));
    assert!(
        matches!(&plan(None).steps[..], [Step::Adopt { deployment, .. }] if deployment == "ecs-svc/1")
    );
    // Who names a revision gets it.
    assert!(matches!(
        &plan(Some(arn(2))).steps[..],
        [Step::UpdateService { .. }]
    ));
}

#[test]
fn tasks_that_nobody_goes_back_after_are_remembered_on_the_revision() {
    let tags = |marker| {
        let mut want = wanted("r@sha256:2");
        want.before = vec![BeforeTask {
            name: "migrate".into(),
            marker,
            ..BeforeTask::default()
        }];
        let plan = plan::deploy(want, &facts(steady(1), "r@sha256:1", &[])).unwrap();
        plan.tags.get("longshore:ran").cloned()
    };
    assert_eq!(tags(Marker::Never).as_deref(), Some("migrate=never"));
    assert_eq!(tags(Marker::Reverse).as_deref(), Some("migrate=reverse"));
    assert_eq!(tags(Marker::Safe), None);
}
