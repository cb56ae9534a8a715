//! ecs-deploy, from PyPI: somebody else's deployment tool does its whole work here.

use longshore_tests::Project;

use super::{attempt, run};
use crate::one_at_a_time;

#[test]
#[ignore = "needs ecs-deploy and the AWS CLI"]
fn ecs_deploy_deploys_rolls_back_scales_and_runs() {
    let _guard = one_at_a_time();
    let project = Project::example();
    project.deploy(&[]).expect(0);
    let live = || {
        let status = project.run(&["local", "status", "--format", "json"]);
        let status = status.expect(0).json();
        let service = &status["services"][0];
        let revision = service["task_definition"].as_str().unwrap().to_owned();
        (revision, service["running"].as_u64().unwrap())
    };
    let wait = ["--timeout", "60", "--sleep-time", "1"];
    let deploy = ["deploy", "local", "api"];

    let good = [&deploy[..], &["-e", "api", "LOG_LEVEL", "debug"], &wait].concat();
    let said = run(&project, "ecs", &good);
    assert!(said.contains("Deployment successful"), "{said}");
    assert_eq!(live(), ("api:2".to_owned(), 2));

    // With a circuit breaker both would go back at once, and the tool takes the breaker's words for a failure of its own.
    let breaker = "deploymentCircuitBreaker={enable=false,rollback=false}";
    let service = [
        "ecs",
        "update-service",
        "--cluster",
        "local",
        "--service",
        "api",
    ];
    run(
        &project,
        "aws",
        &[&service[..], &["--deployment-configuration", breaker]].concat(),
    );
    let bad = [
        &deploy[..],
        &["-e", "api", "API_FAULT", "exit", "--rollback"],
        &wait,
    ]
    .concat();
    let output = attempt(&project, "ecs", &bad);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        !output.status.success() && said.contains("Rollback successful"),
        "{output:?}"
    );
    assert_eq!(live(), ("api:2".to_owned(), 2));

    run(
        &project,
        "ecs",
        &[&["scale", "local", "api", "1"][..], &wait].concat(),
    );
    assert_eq!(live().1, 1);
    let task = [
        "run",
        "local",
        "api",
        "1",
        "--launchtype",
        "FARGATE",
        "--subnet",
        "subnet-1",
        "--securitygroup",
        "sg-1",
    ];
    let said = run(&project, "ecs", &task);
    assert!(said.contains("Successfully started 1 instances"), "{said}");
}
