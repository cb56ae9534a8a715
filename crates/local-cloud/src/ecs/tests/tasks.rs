//! Tasks run by hand, and the end of task definitions.

use serde_json::json;

use super::world::{World, text};

#[test]
fn a_request_that_comes_again_with_its_token_runs_nothing_again() {
    let mut world = World::new();
    let definition = world.register("app:1");
    let request = |count: u64| json!({"cluster": "main", "taskDefinition": definition, "count": count, "clientToken": "once"});
    let first = world.call("RunTask", &request(2));
    world.run_for(1_000);
    let again = world.call("RunTask", &request(2));
    for index in 0..2 {
        assert_eq!(
            again["tasks"][index]["taskArn"],
            first["tasks"][index]["taskArn"]
        );
    }
    assert_eq!(again["tasks"][0]["lastStatus"], "RUNNING");
    assert_eq!(world.tasks.len(), 2);
    let error = world.try_call("RunTask", &request(1)).unwrap_err();
    assert_eq!(error.code, "ConflictException");
    // A token is good for a day.
    world.run_for(24 * 3_600_000);
    let later = world.call("RunTask", &request(1));
    assert_eq!(later["tasks"].as_array().unwrap().len(), 1);
}

#[test]
fn a_service_is_made_once_for_its_token() {
    let mut world = World::new();
    let definition = world.register("app:1");
    let request = |desired: u64, token: Option<&str>| json!({"cluster": "main", "serviceName": "api", "taskDefinition": definition, "desiredCount": desired, "clientToken": token});
    let first = world.call("CreateService", &request(1, Some("once")));
    world.run_for(10_000);
    let again = world.call("CreateService", &request(1, Some("once")));
    let arn = |answer: &serde_json::Value| text(&answer["service"]["serviceArn"]);
    assert_eq!(arn(&again), arn(&first));
    assert_eq!(again["service"]["runningCount"], 1);
    assert_eq!(again["service"]["deployments"].as_array().unwrap().len(), 1);
    for other in [
        request(2, Some("once")),
        request(1, Some("twice")),
        request(1, None),
    ] {
        let error = world.try_call("CreateService", &other).unwrap_err();
        let words = "Creation of service was not idempotent.";
        assert_eq!(
            (error.code, error.message.as_str()),
            ("InvalidParameterException", words)
        );
    }
    // Without a token, a request that comes again is another one.
    let mut bare = request(1, None);
    bare["serviceName"] = json!("bare");
    world.call("CreateService", &bare);
    world.try_call("CreateService", &bare).unwrap_err();
}

#[test]
fn tokens_have_their_length_and_characters() {
    let mut world = World::new();
    let definition = world.register("app:1");
    for (operation, most) in [("RunTask", 64), ("CreateService", 36)] {
        let mut try_token = |token: &str| {
            let request = json!({"cluster": "main", "serviceName": "api", "taskDefinition": definition, "desiredCount": 0, "clientToken": token});
            world
                .try_call(operation, &request)
                .map_err(|error| error.code)
        };
        for bad in [&"x".repeat(most + 1), "a b", "\u{e9}"] {
            let error = try_token(bad).unwrap_err();
            assert_eq!(error, "InvalidParameterException", "{operation} {bad}");
        }
        try_token(&"x".repeat(most)).unwrap();
    }
}

#[test]
fn overrides_of_memory_reach_the_containers() {
    let mut world = World::new();
    let own = json!({"name": "own", "image": "app:1", "memory": 128});
    let request = json!({
        "family": "two", "memory": "512",
        "containerDefinitions": [own, {"name": "shares", "image": "app:1"}],
    });
    let answer = world.call("RegisterTaskDefinition", &request);
    let definition = answer["taskDefinition"]["taskDefinitionArn"].clone();
    let table = [
        (json!({}), (128, 512)),
        (json!({"memory": "1024", "cpu": "512"}), (128, 1_024)),
        (
            json!({"containerOverrides": [{"name": "own", "memory": 256}]}),
            (256, 512),
        ),
    ];
    for (overrides, (first, second)) in table {
        world.tasks.clear();
        let request =
            json!({"cluster": "main", "taskDefinition": definition, "overrides": overrides});
        let answer = world.call("RunTask", &request);
        world.run_for(1_000);
        let task = world.tasks.values().next().unwrap();
        let limits: Vec<_> = task.containers.iter().map(|one| one.memory_mib).collect();
        assert_eq!(limits, [Some(first), Some(second)], "{overrides}");
        let memory = overrides["memory"].as_str().unwrap_or("512");
        assert_eq!(answer["tasks"][0]["memory"], memory);
    }
}

#[test]
fn a_deleted_revision_goes_when_nothing_uses_it_any_more() {
    let mut world = World::new();
    let old = world.register("app:1");
    world.service(&old, 1, &json!({}));
    let new = world.register("app:2");
    world.call("DeregisterTaskDefinition", &json!({"taskDefinition": old}));
    world.call("DeleteTaskDefinitions", &json!({"taskDefinitions": [old]}));
    let status = |world: &mut World| {
        let answer = world.try_call("DescribeTaskDefinition", &json!({"taskDefinition": old}));
        answer.map(|answer| text(&answer["taskDefinition"]["status"]))
    };
    world.run_for(300_000);
    assert_eq!(status(&mut world).unwrap(), "DELETE_IN_PROGRESS");
    // It still starts tasks of the service that has it.
    world.update(&json!({"desiredCount": 2}));
    world.run_for(10_000);
    assert_eq!(world.describe()["runningCount"], 2);

    world.update(&json!({"taskDefinition": new}));
    world.run_for(300_000);
    assert_eq!(status(&mut world).unwrap_err().code, "ClientException");
    // Its number is not used again.
    assert!(world.register("app:3").ends_with("/api:3"));
}

#[test]
fn a_task_has_one_address_wherever_it_is_shown() {
    let mut world = World::new();
    let group = world.target_group();
    let answer = world.call(
        "RegisterTaskDefinition",
        &json!({
            "family": "own", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
            "containerDefinitions": [{"name": "app", "image": "app:1", "portMappings": [{"containerPort": 8080}]}],
        }),
    );
    let definition = text(&answer["taskDefinition"]["taskDefinitionArn"]);
    let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"]}});
    let balancer = json!({"targetGroupArn": group, "containerName": "app", "containerPort": 8080});
    let request = json!({
        "cluster": "main", "serviceName": "own", "taskDefinition": definition, "desiredCount": 3,
        "launchType": "FARGATE", "networkConfiguration": network, "loadBalancers": [balancer],
    });
    world.call("CreateService", &request);
    world.run_for(10_000);
    let list = json!({"cluster": "main", "serviceName": "own"});
    let arns = world.call("ListTasks", &list)["taskArns"].clone();
    let request = json!({"cluster": "main", "tasks": arns});
    let tasks = world.call("DescribeTasks", &request)["tasks"].clone();
    let mut shown: Vec<String> = Vec::new();
    for task in tasks.as_array().unwrap() {
        let attachment = &task["attachments"][0];
        assert_eq!(attachment["status"], "ATTACHED");
        assert_eq!(
            attachment["details"][0],
            json!({"name": "subnetId", "value": "subnet-1"})
        );
        let details = attachment["details"].as_array().unwrap().iter();
        let mut named = details.filter(|detail| detail["name"] == "privateIPv4Address");
        let address = text(&named.next().unwrap()["value"]);
        let interface = &task["containers"][0]["networkInterfaces"][0];
        assert_eq!(interface["attachmentId"], attachment["id"]);
        assert_eq!(interface["privateIpv4Address"], json!(address));
        assert!(address.starts_with("127."), "{address}");
        shown.push(address);
    }
    let health = world.ecs.target_health(&group);
    let mut targets: Vec<String> = health.iter().map(|one| one.address.to_string()).collect();
    shown.sort();
    targets.sort();
    assert_eq!(shown, targets);
    targets.dedup();
    assert_eq!(targets.len(), 3, "each has its own");

    // A task without an interface of its own is at this machine's address.
    let bridge = world.register("app:1");
    let answer = world.call(
        "RunTask",
        &json!({"cluster": "main", "taskDefinition": bridge}),
    );
    assert_eq!(answer["tasks"][0]["attachments"], json!([]));
}
