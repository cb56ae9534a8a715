//! Requests and answers: what is kept, what is refused and in which words, and lists in pages.

use serde_json::{Value, json};

use super::world::{CALLER, World, text};

fn register(world: &mut World, request: &Value) -> Result<Value, (String, String)> {
    world
        .try_call("RegisterTaskDefinition", request)
        .map(|answer| answer["taskDefinition"].clone())
        .map_err(|error| (error.code.to_owned(), error.message))
}

#[test]
fn a_task_definition_is_kept_whole_and_filled_in() {
    let mut world = World::new();
    let given = json!({
        "family": "api", "networkMode": "awsvpc", "cpu": ".25 vCPU", "memory": "1 GB",
        "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
        "ephemeralStorage": {"sizeInGiB": 30},
        "tags": [{"key": "team", "value": "shop"}],
        "revision": 7,
        "containerDefinitions": [{
            "name": "app", "image": "registry/app@sha256:00",
            "portMappings": [{"containerPort": 8080, "unheardOf": 1}],
            "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 10},
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": "/ecs/api", "awslogs-stream-prefix": "ecs", "awslogs-region": "eu-central-1",
            }},
            "dockerLabels": {"a": "b"},
            "linuxParameters": {"capabilities": {"drop": ["ALL"]}, "initProcessEnabled": true},
            "cpu": null,
        }],
    });
    let answer = world.call("RegisterTaskDefinition", &given);
    assert_eq!(answer["tags"], json!([{"key": "team", "value": "shop"}]));
    let mut document = answer["taskDefinition"].clone();
    assert!(document["registeredAt"].is_f64());
    document["registeredAt"] = json!(0);
    assert_eq!(
        document,
        json!({
            "family": "api", "networkMode": "awsvpc", "cpu": "256", "memory": "1024",
            "requiresCompatibilities": ["FARGATE"],
            "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
            "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
            "ephemeralStorage": {"sizeInGiB": 30}, "enableFaultInjection": false,
            "containerDefinitions": [{
                "name": "app", "image": "registry/app@sha256:00",
                "portMappings": [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}],
                "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 10, "timeout": 5, "retries": 3},
                "logConfiguration": {"logDriver": "awslogs", "options": {
                    "awslogs-group": "/ecs/api", "awslogs-stream-prefix": "ecs", "awslogs-region": "eu-central-1",
                }},
                "dockerLabels": {"a": "b"},
                "linuxParameters": {"capabilities": {"drop": ["ALL"]}, "initProcessEnabled": true},
                "cpu": 0, "essential": true, "environment": [], "mountPoints": [], "volumesFrom": [],
                "systemControls": [],
            }],
            "volumes": [], "placementConstraints": [],
            "taskDefinitionArn": "arn:aws:ecs:eu-central-1:123456789012:task-definition/api:1",
            "revision": 1, "status": "ACTIVE",
            "requiresAttributes": [
                {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"},
                {"name": "ecs.capability.task-eni"},
                {"name": "com.amazonaws.ecs.capability.logging-driver.awslogs"},
                {"name": "ecs.capability.execution-role-awslogs"},
                {"name": "ecs.capability.container-health-check"},
            ],
            "compatibilities": ["EC2", "FARGATE", "MANAGED_INSTANCES"],
            "registeredAt": 0, "registeredBy": CALLER,
        })
    );
    for name in [
        "api",
        "api:1",
        "arn:aws:ecs:eu-central-1:123456789012:task-definition/api:1",
    ] {
        let plain = world.call("DescribeTaskDefinition", &json!({"taskDefinition": name}));
        assert_eq!(plain["taskDefinition"], answer["taskDefinition"]);
        assert!(plain.get("tags").is_none());
        let request = json!({"taskDefinition": name, "include": ["TAGS"]});
        assert_eq!(world.call("DescribeTaskDefinition", &request), answer);
    }
}

#[test]
fn what_ecs_refuses_is_refused_in_its_words() {
    let container = json!({"name": "app", "image": "app:1", "memory": 128});
    let with = |more: Value| {
        let mut container = container.clone();
        for (name, value) in more.as_object().unwrap() {
            container[name] = value.clone();
        }
        json!({"family": "x", "containerDefinitions": [container]})
    };
    let fargate = |cpu: &str, memory: &str, mode: &str| {
        json!({
            "family": "x", "cpu": cpu, "memory": memory, "networkMode": mode,
            "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container],
        })
    };
    let impatient = |member: &str, seconds: u64| {
        let mut request = fargate("256", "512", "awsvpc");
        request["containerDefinitions"][0][member] = seconds.into();
        request
    };
    let cases = [
        (json!([]), "SerializationException", "Start of list"),
        (
            json!({}),
            "ClientException",
            "Family cannot be null or empty.",
        ),
        (
            json!({"family": ""}),
            "ClientException",
            "Container list cannot be empty.",
        ),
        (
            json!({"family": "x"}),
            "ClientException",
            "Container list cannot be empty.",
        ),
        (
            json!({"family": "x", "containerDefinitions": []}),
            "ClientException",
            "Container list cannot be empty.",
        ),
        (
            json!({"family": 1}),
            "SerializationException",
            "NUMBER_VALUE can not be converted to a String",
        ),
        (
            json!({"family": "x y", "containerDefinitions": [container]}),
            "ClientException",
            "Family must match",
        ),
        (
            with(json!({"memory": "128"})),
            "SerializationException",
            "STRING_VALUE can not be converted to an Integer",
        ),
        (
            with(json!({"memory": 1.5})),
            "SerializationException",
            "NUMBER_VALUE can not be converted to an Integer",
        ),
        (
            with(json!({"essential": "true"})),
            "SerializationException",
            "STRING_VALUE can not be converted to Boolean",
        ),
        (
            with(json!({"command": "serve"})),
            "SerializationException",
            "Expected list or null",
        ),
        (
            with(json!({"environment": {"A": "1"}})),
            "SerializationException",
            "Start of structure or map found",
        ),
        (
            with(json!({"healthCheck": {}})),
            "ClientException",
            "healthCheck.command",
        ),
        (
            with(json!({"ulimits": [{"name": "nope", "softLimit": 1, "hardLimit": 1}]})),
            "InvalidParameterException",
            "enum value set",
        ),
        (
            with(json!({"image": ""})),
            "ClientException",
            "Container.image should not be null or empty.",
        ),
        (
            with(json!({"memory": null})),
            "ClientException",
            "At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
        (
            with(json!({"essential": false})),
            "ClientException",
            "at least one essential container",
        ),
        (
            with(json!({"mountPoints": [{"sourceVolume": "nope"}]})),
            "ClientException",
            "Unknown volume",
        ),
        (
            with(json!({"dependsOn": [{"containerName": "nope", "condition": "START"}]})),
            "ClientException",
            "not in the task definition",
        ),
        (
            with(json!({"dependsOn": [{"containerName": "app", "condition": "START"}]})),
            "ClientException",
            "cycle",
        ),
        (
            with(json!({"logConfiguration": {"logDriver": "awslogs"}})),
            "ClientException",
            "awslogs-group",
        ),
        (
            fargate("256", "512", "bridge"),
            "ClientException",
            "Fargate only supports network mode 'awsvpc'.",
        ),
        (
            fargate("256", "1536", "awsvpc"),
            "ClientException",
            "No Fargate configuration exists for given values.",
        ),
        (
            fargate("4096", "4096", "awsvpc"),
            "ClientException",
            "No Fargate configuration exists for given values.",
        ),
        (
            impatient("startTimeout", 1),
            "ClientException",
            "'startTimeout' must be between 2 and 120 seconds on Fargate.",
        ),
        (
            impatient("stopTimeout", 121),
            "ClientException",
            "'stopTimeout' must be between 2 and 120 seconds on Fargate.",
        ),
        (
            fargate("many", "4096", "awsvpc"),
            "ClientException",
            "Invalid 'cpu' setting for task.",
        ),
        (
            json!({"family": "x", "containerDefinitions": [container, container]}),
            "ClientException",
            "unique",
        ),
    ];
    let mut world = World::new();
    for (request, code, part) in cases {
        let (is, message) = register(&mut world, &request).unwrap_err();
        assert_eq!(is, code, "{request}: {message}");
        assert!(message.contains(part), "{request}: {message}");
    }
    // None of them took a number.
    assert_eq!(
        register(&mut world, &with(json!({}))).unwrap()["revision"],
        1
    );
}

#[test]
fn calls_that_name_what_is_not_there() {
    let mut world = World::new();
    let definition = world.register("app:1");
    let cases = [
        (
            "DescribeServices",
            json!({"cluster": "nope", "services": ["a"]}),
            "ClusterNotFoundException",
        ),
        (
            "DescribeServices",
            json!({"cluster": "main", "services": []}),
            "InvalidParameterException",
        ),
        (
            "DescribeServices",
            json!({"cluster": "main", "services": vec!["a"; 11]}),
            "InvalidParameterException",
        ),
        (
            "DescribeTasks",
            json!({"cluster": "main", "tasks": vec!["a"; 101]}),
            "InvalidParameterException",
        ),
        (
            "UpdateService",
            json!({"cluster": "main"}),
            "InvalidParameterException",
        ),
        (
            "UpdateService",
            json!({"cluster": "main", "service": "nope"}),
            "ServiceNotFoundException",
        ),
        (
            "ListTasks",
            json!({"cluster": "main", "serviceName": "nope"}),
            "ServiceNotFoundException",
        ),
        (
            "StopTask",
            json!({"cluster": "main", "task": "nope"}),
            "InvalidParameterException",
        ),
        (
            "RunTask",
            json!({"cluster": "main", "taskDefinition": "nope"}),
            "ClientException",
        ),
        (
            "DescribeTaskDefinition",
            json!({"taskDefinition": "nope"}),
            "ClientException",
        ),
        (
            "DeregisterTaskDefinition",
            json!({"taskDefinition": "api"}),
            "InvalidParameterException",
        ),
        (
            "StopServiceDeployment",
            json!({"serviceDeploymentArn": "nope"}),
            "ServiceDeploymentNotFoundException",
        ),
        (
            "TagResource",
            json!({"resourceArn": "nope", "tags": []}),
            "InvalidParameterException",
        ),
        (
            "ListTaskDefinitions",
            json!({"nextToken": "?"}),
            "InvalidParameterException",
        ),
        (
            "ListTaskDefinitions",
            json!({"maxResults": 101}),
            "InvalidParameterException",
        ),
        (
            "CreateService",
            json!({"cluster": "main", "serviceName": "a", "desiredCount": 1}),
            "InvalidParameterException",
        ),
        (
            "CreateService",
            json!({"cluster": "main", "serviceName": "a", "desiredCount": 1, "taskDefinition": definition,
                "deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}}),
            "InvalidParameterException",
        ),
        (
            "CreateService",
            json!({"cluster": "main", "serviceName": "a", "desiredCount": 1, "taskDefinition": definition,
                "loadBalancers": [{"targetGroupArn": "nope", "containerName": "app", "containerPort": 8080}]}),
            "InvalidParameterException",
        ),
        ("ExecuteCommand", json!({}), "UnknownOperationException"),
    ];
    for (operation, request, code) in cases {
        let error = world.try_call(operation, &request).unwrap_err();
        assert_eq!(error.code, code, "{operation} {request}: {error}");
    }
    let missing = [
        (
            "DescribeServices",
            json!({"cluster": "main", "services": ["nope"]}),
            "service/main/nope",
        ),
        (
            "DescribeTasks",
            json!({"cluster": "main", "tasks": ["nope"]}),
            "task/main/nope",
        ),
        (
            "DescribeClusters",
            json!({"clusters": ["nope"]}),
            "cluster/nope",
        ),
    ];
    for (operation, request, arn) in missing {
        let failures = world.call(operation, &request)["failures"].clone();
        assert_eq!(
            failures,
            json!([{"arn": format!("arn:aws:ecs:eu-central-1:123456789012:{arn}"), "reason": "MISSING"}])
        );
    }
}

#[test]
fn task_definitions_are_listed_in_order_and_in_pages() {
    let mut world = World::new();
    for _ in 0..12 {
        world.register("app:1");
    }
    world.call(
        "DeregisterTaskDefinition",
        &json!({"taskDefinition": "api:3"}),
    );
    let mut list = |sort: &str, status: &str| {
        let (mut revisions, mut token): (Vec<String>, Value) = (Vec::new(), Value::Null);
        loop {
            let request = json!({
                "familyPrefix": "api", "sort": sort, "status": status, "maxResults": 5, "nextToken": token,
            });
            let page = world.call("ListTaskDefinitions", &request);
            let arns = page["taskDefinitionArns"].as_array().unwrap();
            revisions.extend(
                arns.iter()
                    .map(|arn| text(arn).rsplit(':').next().unwrap().to_owned()),
            );
            match page.get("nextToken") {
                Some(next) => token = next.clone(),
                None => break revisions.join(" "),
            }
        }
    };
    assert_eq!(list("ASC", "ACTIVE"), "1 2 4 5 6 7 8 9 10 11 12");
    assert_eq!(list("DESC", "ACTIVE"), "12 11 10 9 8 7 6 5 4 2 1");
    assert_eq!(list("ASC", "INACTIVE"), "3");
    let families = world.call("ListTaskDefinitionFamilies", &json!({"familyPrefix": "a"}));
    assert_eq!(families["families"], json!(["api"]));

    let answer = world.call(
        "DeleteTaskDefinitions",
        &json!({"taskDefinitions": ["api:3", "api:4", "api:99"]}),
    );
    assert_eq!(answer["taskDefinitions"][0]["status"], "DELETE_IN_PROGRESS");
    assert_eq!(answer["failures"].as_array().unwrap().len(), 2);
}

#[test]
fn service_deployments_are_listed_newest_first_by_status_and_time() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.service(&definition, 1, &json!({}));
    for _ in 0..4 {
        world.update(&json!({"forceNewDeployment": true}));
        world.run_until("it is complete", |world| {
            world.primary()["rolloutState"] == "COMPLETED"
        });
    }
    world.update(&json!({"forceNewDeployment": true}));
    let mut list = |more: Value| {
        let mut request = json!({"cluster": "main", "service": "api"});
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        world.call("ListServiceDeployments", &request)
    };
    let all = list(json!({}));
    let all = all["serviceDeployments"].as_array().unwrap();
    assert_eq!(all.len(), 6);
    let times: Vec<f64> = all
        .iter()
        .map(|one| one["createdAt"].as_f64().unwrap())
        .collect();
    assert!(times.is_sorted_by(|a, b| a >= b));
    let number = |answer: Value| answer["serviceDeployments"].as_array().unwrap().len();
    assert_eq!(number(list(json!({"status": ["SUCCESSFUL"]}))), 5);
    assert_eq!(
        number(list(json!({"status": ["PENDING", "IN_PROGRESS"]}))),
        1
    );
    assert_eq!(number(list(json!({"createdAt": {"after": times[2]}}))), 2);
    assert_eq!(number(list(json!({"createdAt": {"before": times[2]}}))), 3);
    let first = list(json!({"maxResults": 4}));
    let second = list(json!({"maxResults": 4, "nextToken": first["nextToken"]}));
    assert_eq!((number(first), number(second.clone())), (4, 2));
    assert!(second.get("nextToken").is_none());
}

#[test]
fn tasks_are_listed_in_pages_and_by_filter() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.service(&definition, 3, &json!({}));
    for _ in 0..2 {
        world.call(
            "RunTask",
            &json!({"cluster": "main", "taskDefinition": definition, "count": 10}),
        );
    }
    let mut all = Vec::new();
    let mut token = Value::Null;
    loop {
        let request = json!({"cluster": "main", "maxResults": 7, "nextToken": token});
        let page = world.call("ListTasks", &request);
        all.extend(page["taskArns"].as_array().unwrap().clone());
        match page.get("nextToken") {
            Some(next) => token = next.clone(),
            None => break,
        }
    }
    assert_eq!(all.len(), 23);
    all.dedup();
    assert_eq!(all.len(), 23);
    let mut number = |more: Value| {
        let mut request = json!({"cluster": "main"});
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        let page = world.call("ListTasks", &request);
        page["taskArns"].as_array().unwrap().len()
    };
    assert_eq!(number(json!({"serviceName": "api"})), 3);
    assert_eq!(number(json!({"family": "api"})), 23);
    assert_eq!(number(json!({"family": "other"})), 0);
    assert_eq!(number(json!({"desiredStatus": "STOPPED"})), 0);
    assert_eq!(number(json!({"containerInstance": "one"})), 0);
}

#[test]
fn tags_of_every_kind_of_resource() {
    let mut world = World::new();
    let definition = world.register("app:1");
    world.service(
        &definition,
        1,
        &json!({"tags": [{"key": "a", "value": "1"}], "propagateTags": "SERVICE"}),
    );
    let task = world.described("RUNNING")[0]["taskArn"].clone();
    let service = world.describe()["serviceArn"].clone();
    let cluster = json!("arn:aws:ecs:eu-central-1:123456789012:cluster/main");
    for arn in [json!(definition), task.clone(), service.clone(), cluster] {
        let request = json!({"resourceArn": arn, "tags": [{"key": "b", "value": "2"}]});
        world.call("TagResource", &request);
        let tags = world.call("ListTagsForResource", &json!({"resourceArn": arn}))["tags"].clone();
        assert!(
            tags.as_array()
                .unwrap()
                .contains(&json!({"key": "b", "value": "2"})),
            "{arn}"
        );
        world.call(
            "UntagResource",
            &json!({"resourceArn": arn, "tagKeys": ["b"]}),
        );
    }
    let propagated =
        world.call("ListTagsForResource", &json!({"resourceArn": task}))["tags"].clone();
    assert_eq!(propagated, json!([{"key": "a", "value": "1"}]));
    let request = json!({"resourceArn": service, "tags": [{"key": "aws:x", "value": "2"}]});
    assert_eq!(
        world.try_call("TagResource", &request).unwrap_err().code,
        "InvalidParameterException"
    );
    let many: Vec<Value> = (0..50)
        .map(|n| json!({"key": format!("k{n}"), "value": ""}))
        .collect();
    let request = json!({"resourceArn": service, "tags": many});
    assert_eq!(
        world.try_call("TagResource", &request).unwrap_err().code,
        "LimitExceededException"
    );
}

#[test]
fn clusters_come_and_go() {
    let mut world = World::new();
    let answer = world.call("CreateCluster", &json!({}));
    assert_eq!(answer["cluster"]["clusterName"], "default");
    let list = world.call("ListClusters", &json!({}));
    assert_eq!(list["clusterArns"].as_array().unwrap().len(), 2);
    let definition = world.register("app:1");
    world.service(&definition, 1, &json!({}));
    let main =
        world.call("DescribeClusters", &json!({"clusters": ["main"]}))["clusters"][0].clone();
    assert_eq!(
        json!([
            main["status"],
            main["runningTasksCount"],
            main["activeServicesCount"]
        ]),
        json!(["ACTIVE", 1, 1])
    );
    let error = world
        .try_call("DeleteCluster", &json!({"cluster": "main"}))
        .unwrap_err();
    assert_eq!(error.code, "ClusterContainsServicesException");
    assert_eq!(
        world.call("DeleteCluster", &json!({"cluster": "default"}))["cluster"]["status"],
        "INACTIVE"
    );
    let error = world.try_call("ListTasks", &json!({})).unwrap_err();
    assert_eq!(error.code, "ClusterNotFoundException");
}
