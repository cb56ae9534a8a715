//! Plans from facts.

use rollout::facts::{Facts, RolloutState as State, ServiceDeploymentView, ServiceView};
use rollout::plan::{self, ExpectedImage, NewService, Refusal, ServiceSettings, Step, Wanted};
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
