//! What is said to requests that are not as the API models them.

use serde_json::json;

use super::world::World;

#[test]
fn every_operation_judges_types_and_values_as_its_parser_does() {
    let mut world = World::new();
    let table = [
        (
            "DescribeServices",
            json!({"services": "api"}),
            "SerializationException",
            "Expected list or null",
        ),
        (
            "DescribeServices",
            json!({"services": [1]}),
            "SerializationException",
            "NUMBER_VALUE can not be converted to a String",
        ),
        (
            "DescribeServices",
            json!({"services": ["a"], "include": ["ALL"]}),
            "InvalidParameterException",
            "Value 'ALL' at 'include.1.member' failed to satisfy constraint: Member must satisfy enum value set: [TAGS]",
        ),
        (
            "UpdateService",
            json!({"service": {}}),
            "SerializationException",
            "Start of structure or map found where not expected.",
        ),
        (
            "UpdateService",
            json!({"service": "api", "desiredCount": "2"}),
            "SerializationException",
            "STRING_VALUE can not be converted to an Integer",
        ),
        (
            "UpdateService",
            json!({"service": "api", "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true}}}),
            "InvalidParameterException",
            "Value null at 'deploymentConfiguration.deploymentCircuitBreaker.rollback' failed to satisfy constraint: Member must not be null",
        ),
        (
            "CreateService",
            json!({"serviceName": "a", "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"], "assignPublicIp": "YES"}}}),
            "InvalidParameterException",
            "Value 'YES' at 'networkConfiguration.awsvpcConfiguration.assignPublicIp'",
        ),
        (
            "RunTask",
            json!({"overrides": []}),
            "SerializationException",
            "Start of list found where not expected.",
        ),
        (
            "ListTasks",
            json!({"maxResults": true}),
            "SerializationException",
            "TRUE_VALUE can not be converted to an Integer",
        ),
        (
            "ListServiceDeployments",
            json!({"service": "a", "createdAt": {"after": "now"}}),
            "SerializationException",
            "STRING_VALUE can not be converted to a Timestamp",
        ),
        (
            "StopServiceDeployment",
            json!({"serviceDeploymentArn": "a", "stopType": "NOW"}),
            "InvalidParameterException",
            "Value 'NOW' at 'stopType'",
        ),
        (
            "TagResource",
            json!([]),
            "SerializationException",
            "Start of list found where not expected.",
        ),
    ];
    for (operation, request, code, words) in table {
        let error = world.try_call(operation, &request).unwrap_err();
        assert_eq!(error.code, code, "{operation} {request}: {error}");
        assert!(
            error.message.contains(words),
            "{operation} {request}: {error}"
        );
    }
    let error = world.try_call("MakeService", &json!([])).unwrap_err();
    assert_eq!(error.code, "SerializationException");
    let error = world.try_call("MakeService", &json!({})).unwrap_err();
    assert_eq!(error.code, "UnknownOperationException");
}

#[test]
fn members_that_nobody_models_are_ignored_and_not_shown() {
    let mut world = World::new();
    let definition = world.register("app:1");
    let more = json!({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"], "colour": "red"}}, "colour": "red"});
    world.service(&definition, 1, &more);
    let configuration = &world.describe()["networkConfiguration"];
    assert_eq!(
        configuration,
        &json!({"awsvpcConfiguration": {"subnets": ["s"]}})
    );
}

#[test]
fn what_the_model_leaves_out_is_refused_and_not_passed_over() {
    let mut world = World::new();
    let definition = world.register("app:1");
    let hook = json!({"hookTargetArn": "arn:aws:lambda:eu-central-1:123456789012:function:check", "roleArn": "arn:aws:iam::123456789012:role/hooks", "lifecycleStages": ["POST_SCALE_UP"]});
    for configuration in [
        json!({"strategy": "BLUE_GREEN", "lifecycleHooks": [hook]}),
        json!({"earlySuccessCriteria": {"enable": true, "healthyPercent": 50}}),
    ] {
        let request = json!({
            "cluster": "main", "serviceName": "api", "taskDefinition": definition, "desiredCount": 1,
            "deploymentConfiguration": configuration,
        });
        let error = world.try_call("CreateService", &request).unwrap_err();
        assert_eq!(error.code, "UnsupportedFeatureException", "{error}");
    }
}
