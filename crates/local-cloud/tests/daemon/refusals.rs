//! What is not signed as it must be is refused, whatever it asks for.

use serde_json::Value;

use super::Test;
use super::support::{Cloud, Headers, Key, Scope, send, signed_for};

pub const TESTS: &[Test] = &[(
    "refusals::no_operation_takes_a_request_that_is_not_rightly_signed",
    no_operation_takes_a_request_that_is_not_rightly_signed,
)];

/// All operations of the services that speak JSON. The check against botocore's model shows that there are no more.
const OPERATIONS: [(&str, &str); 7] = [
    (
        "AmazonEC2ContainerServiceV20141113",
        "CreateCluster DeleteCluster DescribeClusters ListClusters RegisterTaskDefinition DeregisterTaskDefinition DeleteTaskDefinitions DescribeTaskDefinition \
         ListTaskDefinitions ListTaskDefinitionFamilies CreateService UpdateService DeleteService DescribeServices ListServices ListServiceDeployments \
         DescribeServiceDeployments DescribeServiceRevisions StopServiceDeployment RunTask StopTask ListTasks DescribeTasks TagResource UntagResource \
         ListTagsForResource UpdateCluster UpdateClusterSettings PutClusterCapacityProviders DescribeCapacityProviders ListContainerInstances \
         PutAccountSetting ListAccountSettings",
    ),
    (
        "AmazonEC2ContainerRegistry_V20150921",
        "GetAuthorizationToken CreateRepository DescribeRepositories DeleteRepository PutImageTagMutability TagResource UntagResource ListTagsForResource \
         DescribeImages ListImages BatchGetImage BatchDeleteImage GetRepositoryPolicy SetRepositoryPolicy \
         DeleteRepositoryPolicy GetLifecyclePolicy PutLifecyclePolicy DeleteLifecyclePolicy PutImageScanningConfiguration PutImage \
         BatchCheckLayerAvailability GetDownloadUrlForLayer DescribeImageScanFindings",
    ),
    (
        "AmazonSSM",
        "PutParameter GetParameter GetParameters GetParametersByPath DescribeParameters DeleteParameter DeleteParameters \
         GetParameterHistory ListTagsForResource AddTagsToResource RemoveTagsFromResource",
    ),
    (
        "secretsmanager",
        "CreateSecret PutSecretValue UpdateSecret GetSecretValue DescribeSecret ListSecrets DeleteSecret RestoreSecret \
         BatchGetSecretValue ListSecretVersionIds UpdateSecretVersionStage GetResourcePolicy GetRandomPassword TagResource UntagResource",
    ),
    (
        "Logs_20140328",
        "CreateLogGroup CreateLogStream DeleteLogGroup DeleteLogStream PutRetentionPolicy DescribeLogGroups DescribeLogStreams PutLogEvents GetLogEvents \
         FilterLogEvents DeleteRetentionPolicy TagResource UntagResource ListTagsForResource",
    ),
    (
        "GraniteServiceVersion20100801",
        "PutMetricAlarm DescribeAlarms SetAlarmState DeleteAlarms ListTagsForResource TagResource UntagResource",
    ),
    (
        "AnyScaleFrontendService",
        "DescribeScalableTargets DescribeScalingPolicies",
    ),
];

/// And of those that speak the query protocol, by version.
const QUERIES: [(&str, &str); 3] = [
    ("2011-06-15", "GetCallerIdentity AssumeRole"),
    (
        "2010-05-08",
        "CreateRole DeleteRole GetRole UpdateAssumeRolePolicy PutRolePolicy GetRolePolicy DeleteRolePolicy ListRolePolicies ListAttachedRolePolicies \
         SimulatePrincipalPolicy AttachRolePolicy DetachRolePolicy GetPolicy GetPolicyVersion ListRoles ListRoleTags TagRole UntagRole \
         ListInstanceProfilesForRole",
    ),
    (
        "2015-12-01",
        "DescribeTargetGroups DescribeTargetHealth DescribeLoadBalancers DescribeListeners DescribeTargetGroupAttributes \
         DescribeLoadBalancerAttributes DescribeListenerAttributes DescribeRules DescribeTags",
    ),
];

fn no_operation_takes_a_request_that_is_not_rightly_signed() {
    let cloud = Cloud::start();
    let instance = &cloud.instance;
    let own = Key {
        id: instance.access_key_id.clone(),
        secret: instance.secret_access_key.clone(),
        token: None,
    };
    let foreign = Key {
        id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        ..own.clone()
    };
    let guessed = Key {
        secret: "x".repeat(40),
        ..own.clone()
    };
    let with_token = Key {
        token: Some("of another account".to_owned()),
        ..own.clone()
    };
    let right = Scope {
        region: &instance.region,
        service: None,
        late_by: 0,
    };
    let elsewhere = Scope {
        region: "eu-west-1",
        ..right
    };
    let other_service = Scope {
        service: Some("s3"),
        ..right
    };
    let late = Scope {
        late_by: 301,
        ..right
    };
    let early = Scope {
        late_by: -302,
        ..right
    };
    let unknown = "UnrecognizedClientException";
    let invalid = "InvalidSignatureException";
    let cases = [
        ("a foreign key", &foreign, right, "{}", unknown),
        ("a foreign token", &with_token, right, "{}", unknown),
        ("a wrong secret", &guessed, right, "{}", invalid),
        ("another region", &own, elsewhere, "{}", invalid),
        ("another service", &own, other_service, "{}", invalid),
        ("too late", &own, late, "{}", invalid),
        ("too early", &own, early, "{}", invalid),
        ("another body", &own, right, "{ }", invalid),
    ];
    let mut asked = 0;
    for (prefix, operations) in OPERATIONS {
        for operation in operations.split_whitespace() {
            let target = format!("{prefix}.{operation}");
            let unsigned: Headers = vec![("x-amz-target".to_owned(), target.clone())];
            let refused = |name: &str, headers: &Headers, body: &str, code: &str| {
                let answer = send(instance, "POST", "/", headers, body.as_bytes());
                assert_eq!(answer.status, 400, "{target} with {name}: {answer:?}");
                let body: Value = serde_json::from_slice(&answer.body).unwrap();
                assert_eq!(body["__type"], code, "{target} with {name}");
            };
            refused(
                "no signature",
                &unsigned,
                "{}",
                "MissingAuthenticationTokenException",
            );
            for (name, key, scope, body, code) in &cases {
                let headers = signed_for(key, scope, instance, &target, b"{}");
                refused(name, &headers, body, code);
            }
            asked += 1;
        }
    }
    for (version, operations) in QUERIES {
        for operation in operations.split_whitespace() {
            let form = format!("Action={operation}&Version={version}");
            let answer = send(instance, "POST", "/", &Vec::new(), form.as_bytes());
            let body = String::from_utf8(answer.body).unwrap();
            assert_eq!(answer.status, 403, "{operation}: {body}");
            assert!(
                body.contains("<Code>MissingAuthenticationToken</Code>"),
                "{operation}: {body}"
            );
            // A signature for another request is none for this one.
            let headers = signed_for(&own, &right, instance, "sts.X", b"");
            let headers: Headers = headers
                .into_iter()
                .filter(|(name, _)| name != "x-amz-target")
                .collect();
            let answer = send(instance, "POST", "/", &headers, form.as_bytes());
            assert_eq!(answer.status, 403, "{operation}");
            asked += 1;
        }
    }
    assert_eq!(asked, 135);
    // Nothing came of it.
    let status = cloud.runtime.block_on(cloud.instance.status()).unwrap();
    let sizes = status.sizes;
    assert_eq!(
        (
            sizes.repositories,
            sizes.parameters,
            sizes.secrets,
            sizes.log_groups
        ),
        (0, 0, 0, 0)
    );
}
