//! Where tasks are to run: launch types, capacity providers and strategies, and what is told of them.

use serde_json::{Value, json};

use super::world::{World, text};

/// A world with a cluster of this default strategy, and a definition for Fargate.
fn world(default: &Value) -> World {
    let mut world = World::new();
    let put = json!({
        "cluster": "main",
        "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
        "defaultCapacityProviderStrategy": default,
    });
    world.call("PutClusterCapacityProviders", &put);
    let definition = json!({
        "family": "api", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [{"name": "app", "image": "app:1"}],
    });
    world.call("RegisterTaskDefinition", &definition);
    world
}

fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}})
}

fn with(more: &Value) -> Value {
    let mut request = json!({
        "cluster": "main", "serviceName": "api", "taskDefinition": "api", "desiredCount": 1, "networkConfiguration": network(),
    });
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

fn create(world: &mut World, more: &Value) -> Value {
    world.call("CreateService", &with(more))["service"].clone()
}

fn run(world: &mut World, more: &Value) -> Value {
    let mut request = with(more);
    for member in ["serviceName", "desiredCount"] {
        request.as_object_mut().unwrap().remove(member);
    }
    world.call("RunTask", &request)["tasks"][0].clone()
}

#[test]
fn without_a_launch_type_the_clusters_default_strategy_decides_and_else_it_is_ec2() {
    let mut plain = world(&json!([]));
    let service = create(&mut plain, &json!({}));
    assert_eq!(service["launchType"], "EC2");
    assert!(service.get("platformVersion").is_none());
    assert_eq!(run(&mut plain, &json!({}))["launchType"], "EC2");

    let mut world = world(&json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1}]));
    let service = create(&mut world, &json!({}));
    let strategy = json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]);
    assert_eq!(service["capacityProviderStrategy"], strategy);
    assert!(service.get("launchType").is_none());
    let task = run(&mut world, &json!({}));
    assert_eq!(task["capacityProviderName"], "FARGATE_SPOT");
    assert_eq!(task["launchType"], "FARGATE");
    let task = run(&mut world, &json!({"launchType": "FARGATE"}));
    assert!(task.get("capacityProviderName").is_none());
    world.run_for(10_000);
    let of_service: Vec<Value> = world
        .described("RUNNING")
        .into_iter()
        .filter(|task| task["group"] == "service:api")
        .collect();
    assert_eq!(of_service[0]["capacityProviderName"], "FARGATE_SPOT");
}

#[test]
fn what_ecs_refuses_of_strategies() {
    let mut world = world(&json!([]));
    let fargate = json!([{"capacityProvider": "FARGATE"}]);
    let other = json!([{"capacityProvider": "other", "weight": 1}]);
    for operation in ["CreateService", "RunTask"] {
        let both = with(&json!({"launchType": "FARGATE", "capacityProviderStrategy": fargate}));
        let error = world.try_call(operation, &both).unwrap_err();
        assert!(
            error.message.starts_with("Specifying both a launch type"),
            "{error}"
        );
        let unknown = with(&json!({"capacityProviderStrategy": other}));
        let error = world.try_call(operation, &unknown).unwrap_err();
        assert!(
            error.message.contains("not associated with the cluster"),
            "{error}"
        );
    }
    let put = json!({"cluster": "main", "capacityProviders": ["other"], "defaultCapacityProviderStrategy": []});
    let error = world
        .try_call("PutClusterCapacityProviders", &put)
        .unwrap_err();
    assert!(error.message.contains("'other' was not found"), "{error}");
}

#[test]
fn another_strategy_needs_a_forced_deployment() {
    let mut world = world(&json!([]));
    create(&mut world, &json!({"launchType": "FARGATE"}));
    let spot = json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1}]);
    let change = |strategy: &Value, force: bool| json!({"cluster": "main", "service": "api", "capacityProviderStrategy": strategy, "forceNewDeployment": force});
    let error = world
        .try_call("UpdateService", &change(&spot, false))
        .unwrap_err();
    assert!(
        error.message.contains("you must force a new deployment"),
        "{error}"
    );
    let service = world.update(&change(&spot, true));
    assert_eq!(
        service["capacityProviderStrategy"][0]["capacityProvider"],
        "FARGATE_SPOT"
    );
    assert!(service.get("launchType").is_none());
    // The same again is no change.
    world.update(&change(&spot, false));
    assert!(
        world
            .try_call("UpdateService", &change(&json!([]), false))
            .is_err()
    );
    let service = world.update(&change(&json!([]), true));
    assert!(service.get("capacityProviderStrategy").is_none());
    assert_eq!(service["launchType"], "FARGATE");
}

#[test]
fn the_latest_platform_has_a_number_where_it_runs() {
    let mut world = world(&json!([]));
    let service = create(&mut world, &json!({"launchType": "FARGATE"}));
    assert_eq!(service["platformVersion"], "LATEST");
    assert_eq!(service["deployments"][0]["platformVersion"], "1.4.0");
    let arn = &service["currentServiceRevisions"][0]["arn"];
    let revisions = world.call(
        "DescribeServiceRevisions",
        &json!({"serviceRevisionArns": [arn]}),
    );
    assert_eq!(revisions["serviceRevisions"][0]["platformVersion"], "1.4.0");
    assert_eq!(
        run(&mut world, &json!({"launchType": "FARGATE"}))["platformVersion"],
        "1.4.0"
    );
}

#[test]
fn zones_are_rebalanced_where_there_is_room_for_it() {
    for (most, expected) in [
        (None, "ENABLED"),
        (Some(200), "ENABLED"),
        (Some(100), "DISABLED"),
    ] {
        let mut world = world(&json!([]));
        let mut configuration = json!({"minimumHealthyPercent": 50});
        if let Some(most) = most {
            configuration["maximumPercent"] = most.into();
        }
        let service = create(
            &mut world,
            &json!({"deploymentConfiguration": configuration}),
        );
        assert_eq!(service["availabilityZoneRebalancing"], expected, "{most:?}");
    }
}

#[test]
fn managed_tags_name_cluster_and_service() {
    let mut world = world(&json!([]));
    create(
        &mut world,
        &json!({"enableECSManagedTags": true, "launchType": "FARGATE"}),
    );
    world.run_for(10_000);
    let list = world.call("ListTasks", &json!({"cluster": "main"}));
    let request = json!({"cluster": "main", "tasks": list["taskArns"], "include": ["TAGS"]});
    let task = world.call("DescribeTasks", &request)["tasks"][0].clone();
    let tags = json!([{"key": "aws:ecs:clusterName", "value": "main"}, {"key": "aws:ecs:serviceName", "value": "api"}]);
    assert_eq!(task["tags"], tags);
    let task = run(&mut world, &json!({"enableECSManagedTags": true}));
    assert_eq!(task["tags"], json!([tags[0]]));
}

#[test]
fn clusters_show_what_is_asked_for_and_stay_a_while() {
    let mut world = World::new();
    let settings = json!([{"name": "containerInsights", "value": "enabled"}]);
    world.call("CreateCluster", &json!({"clusterName": "other"}));
    let describe = |world: &mut World, include: Value| {
        let request = json!({"clusters": ["other"], "include": include});
        let answer = world.call("DescribeClusters", &request);
        answer["clusters"][0].clone()
    };
    let insights = |world: &mut World| describe(world, json!(["SETTINGS"]))["settings"].clone();
    assert_eq!(
        insights(&mut world),
        json!([{"name": "containerInsights", "value": "disabled"}])
    );
    assert_eq!(describe(&mut world, json!([]))["settings"], json!([]));
    for operation in ["UpdateClusterSettings", "UpdateCluster"] {
        let request = json!({"cluster": "other", "settings": settings});
        assert_eq!(
            world.call(operation, &request)["cluster"]["settings"],
            settings
        );
        assert_eq!(insights(&mut world), settings);
    }
    world.call("DeleteCluster", &json!({"cluster": "other"}));
    assert_eq!(describe(&mut world, json!([]))["status"], "INACTIVE");
    assert!(
        world
            .try_call("ListServices", &json!({"cluster": "other"}))
            .is_err()
    );
    world.run_for(3_600_000);
    assert_eq!(describe(&mut world, json!([])), Value::Null);
    let instances = world.call("ListContainerInstances", &json!({"cluster": "main"}));
    assert_eq!(instances["containerInstanceArns"], json!([]));
    let providers = json!({"capacityProviders": ["FARGATE", "other"]});
    let providers = world.call("DescribeCapacityProviders", &providers);
    assert_eq!(providers["capacityProviders"][0]["status"], "ACTIVE");
    assert_eq!(providers["failures"][0]["reason"], "MISSING");
}

#[test]
fn account_settings_are_kept() {
    let mut world = World::new();
    let values = |world: &mut World, request: Value| {
        let answer = world.call("ListAccountSettings", &request);
        let settings = answer["settings"].as_array().unwrap().iter();
        settings.map(|one| text(&one["value"])).collect::<Vec<_>>()
    };
    let insights = json!({"name": "containerInsights"});
    let effective = json!({"name": "containerInsights", "effectiveSettings": true});
    assert!(values(&mut world, insights.clone()).is_empty());
    assert_eq!(values(&mut world, effective.clone()), ["disabled"]);
    world.call(
        "PutAccountSetting",
        &json!({"name": "containerInsights", "value": "enhanced"}),
    );
    assert_eq!(values(&mut world, insights), ["enhanced"]);
    assert_eq!(values(&mut world, effective), ["enhanced"]);
}
