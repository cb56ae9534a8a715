//! The requests of a rollout and of the look before it, against moto: a judge of AWS's wire that is not ours.
//!
//! moto starts no tasks and ends no deployments, so the executor's watching is not part of this.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws::{Access, Aws, Connection};
use rollout::execute::{Answer, Call, CallError};
use rollout::plan::{Breaker, Placement, ServiceSettings};
use rollout::preflight::{Named, Questions, Seen};

/// What infrastructure code would have made; prints the ARNs that the test needs.
const SET_UP: &str = r#"
import boto3, json, sys
def client(name):
    return boto3.client(name, endpoint_url=sys.argv[1], region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
ec2 = client("ec2")
vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
wall = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
group = client("elbv2").create_target_group(Name="api", Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip", HealthCheckPort="8081")
ecs = client("ecs")
ecs.create_cluster(clusterName="main")
containers = [{"name": "app", "image": "nginx", "memory": 128, "portMappings": [{"containerPort": 8080}]}]
first = ecs.register_task_definition(family="api", networkMode="awsvpc", containerDefinitions=containers)
ecs.create_service(cluster="main", serviceName="api", taskDefinition="api:1", desiredCount=2, launchType="FARGATE",
    networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [wall], "assignPublicIp": "ENABLED"}})
client("ssm").put_parameter(Name="/app/url", Value="x", Type="SecureString")
secret = client("secretsmanager").create_secret(Name="app/token", SecretString="x")
trust = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]})
client("iam").create_role(RoleName="execution", AssumeRolePolicyDocument=trust)
client("logs").create_log_group(logGroupName="/app")
client("cloudwatch").put_metric_alarm(AlarmName="errors", MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1, Statistic="Sum", ComparisonOperator="GreaterThanThreshold")
client("cloudwatch").set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="2 > 1")
print(json.dumps({"secret": secret["ARN"], "group": group["TargetGroups"][0]["TargetGroupArn"], "subnet": subnet, "wall": wall}))
"#;

/// A moto of its own; ended at the end.
struct Moto {
    process: Child,
    endpoint: String,
}

impl Moto {
    fn start() -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .expect("a loopback port is free")
            .port();
        let process = Command::new("moto_server")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server is on PATH");
        let since = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                since.elapsed() < Duration::from_mins(1),
                "moto does not start"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        Self {
            process,
            endpoint: format!("http://127.0.0.1:{port}"),
        }
    }

    fn set_up(&self) -> serde_json::Value {
        let output = Command::new("python3")
            .args(["-c", SET_UP, &self.endpoint])
            .output()
            .expect("python3 is on PATH");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        serde_json::from_slice(&output.stdout).expect("the set-up prints JSON")
    }

    async fn connect(&self) -> Aws {
        Aws::connect(&Connection {
            region: Some("eu-central-1".into()),
            endpoint: Some(self.endpoint.clone()),
            access: Some(Access {
                key_id: "x".into(),
                secret: "x".into(),
            }),
            ..Connection::default()
        })
        .await
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn call(aws: &Aws, call: Call) -> Result<Answer, CallError> {
    aws.call("main", "api", call).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto"]
async fn moto_takes_the_requests_of_a_rollout() {
    let moto = Moto::start();
    let made = moto.set_up();
    let aws = moto.connect().await;
    assert_eq!(aws.identity().await.expect("an identity").account.len(), 12);

    // moto has no ListServiceDeployments, which the facts are read with too.
    let service = aws.service("main", "api").await.expect("an answer");
    let service = service.expect("the service is there");
    assert_eq!(
        (service.status.as_str(), service.desired_count),
        ("ACTIVE", 2)
    );
    assert!(service.task_definition.ends_with("task-definition/api:1"));
    let subnet = made["subnet"].as_str().expect("a subnet");
    assert_eq!(service.placement.subnets, [subnet]);
    let wall = made["wall"].as_str().expect("a security group");
    assert_eq!(service.placement.security_groups, [wall]);
    assert!(service.placement.public_ip);

    let document = r#"{"family": "api", "networkMode": "awsvpc", "containerDefinitions": [{"name": "app", "image": "r@sha256:2", "memory": 128}]}"#;
    let answer = call(
        &aws,
        Call::RegisterTaskDefinition {
            document: document.into(),
        },
    )
    .await;
    let Ok(Answer::Registered(arn)) = answer else {
        panic!("{answer:?}");
    };
    assert!(arn.ends_with("task-definition/api:2"), "{arn}");
    let live = aws.task_definition(&arn).await.expect("the document");
    assert_eq!(live["containerDefinitions"][0]["image"], "r@sha256:2");

    let tags = BTreeMap::from([("longshore:commit".to_owned(), "abc".to_owned())]);
    let tag = Call::TagRevision {
        arn: arn.clone(),
        tags: tags.clone(),
    };
    assert_eq!(call(&aws, tag).await, Ok(Answer::Done));
    let revision = aws
        .revision("api:2")
        .await
        .expect("a revision")
        .expect("it is there");
    assert_eq!((revision.tags, revision.status.as_str()), (tags, "ACTIVE"));
    let untag = Call::UntagRevision {
        arn: arn.clone(),
        keys: vec!["longshore:commit".into()],
    };
    assert_eq!(call(&aws, untag).await, Ok(Answer::Done));
    let revision = aws
        .revision("api:2")
        .await
        .expect("a revision")
        .expect("it is there");
    assert!(revision.tags.is_empty(), "{revision:?}");
    assert_eq!(aws.revision("api:9").await, Ok(None));

    let update = Call::UpdateService {
        task_definition: arn.clone(),
        settings: ServiceSettings {
            minimum_healthy_percent: Some(50),
            maximum_percent: Some(150),
            circuit_breaker: Some(Breaker {
                enable: true,
                rollback: true,
            }),
        },
    };
    let Ok(Answer::Service(Some(updated))) = call(&aws, update).await else {
        panic!("UpdateService");
    };
    assert_eq!(updated.task_definition, arn);
    let Ok(Answer::Service(Some(described))) = call(&aws, Call::DescribeService).await else {
        panic!("DescribeServices");
    };
    // moto's list of deployments stays as it was at the service's creation.
    assert_eq!(described.task_definition, arn);

    let run = Call::RunTask {
        task_definition: arn,
        container: "app".into(),
        command: vec!["migrate".into()],
        placement: Placement {
            launch_type: Some("FARGATE".into()),
            subnets: vec![subnet.to_owned()],
            security_groups: vec![wall.to_owned()],
            ..Placement::default()
        },
        token: "api:2/migrate".into(),
    };
    let answer = call(&aws, run).await;
    let Ok(Answer::Task(Some(task))) = answer else {
        panic!("{answer:?}");
    };
    let same = aws.task("main", &task.arn).await.expect("a task");
    assert_eq!(same.map(|task| task.arn), Some(task.arn.clone()));
    let stop = Call::StopTask {
        arn: task.arn,
        reason: "test".into(),
    };
    assert_eq!(call(&aws, stop).await, Ok(Answer::Done));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto"]
async fn moto_takes_the_questions_before_a_rollout() {
    let moto = Moto::start();
    let made = moto.set_up();
    let aws = moto.connect().await;
    let text = |name: &str| made[name].as_str().expect("an ARN").to_owned();
    let questions = Questions {
        parameters: ["/app/url", "/app/nothing"].map(Named::here).into(),
        secrets: [text("secret"), format!("{}x", text("secret"))]
            .map(Named::here)
            .into(),
        log_groups: ["/app", "/ap"].map(Named::here).into(),
        roles: ["execution", "nobody"]
            .map(|name| format!("arn:aws:iam::123456789012:role/{name}"))
            .into(),
        target_groups: [text("group")].into(),
        way_back: Some("api:1".into()),
        alarms: vec!["errors".into(), "nothing".into()],
    };
    let answers = aws.preflight("main", &questions).await;
    assert_eq!(answers.cluster, Some(Seen::Found("ACTIVE".into())));
    assert_eq!(
        answers.parameters,
        [
            ("/app/nothing".into(), Seen::Missing),
            ("/app/url".into(), Seen::Found(()))
        ]
    );
    let kinds: Vec<bool> = answers
        .secrets
        .iter()
        .map(|(_, seen)| *seen == Seen::Found(false))
        .collect();
    assert_eq!(kinds, [true, false], "{:?}", answers.secrets);
    assert_eq!(
        answers.log_groups,
        [
            ("/ap".into(), Seen::Missing),
            ("/app".into(), Seen::Found(()))
        ]
    );
    assert!(
        matches!(&answers.roles[..], [(_, Seen::Found(trust)), (_, Seen::Missing)] if trust.contains("ecs-tasks")),
        "{:?}",
        answers.roles
    );
    let Seen::Found(group) = &answers.target_groups[0].1 else {
        panic!("{:?}", answers.target_groups);
    };
    assert_eq!(
        (group.target_type.as_str(), group.health_port.as_str()),
        ("ip", "8081")
    );
    assert_eq!(answers.way_back, Some(Seen::Found("ACTIVE".into())));
    assert_eq!(
        answers.alarms,
        Some(Seen::Found(["errors".to_owned()].into()))
    );
    let alarms = call(
        &aws,
        Call::Alarms {
            names: vec!["errors".into()],
        },
    )
    .await;
    let Ok(Answer::Alarms(alarms)) = alarms else {
        panic!("{alarms:?}");
    };
    assert_eq!(
        (alarms[0].state.as_str(), alarms[0].reason.as_str()),
        ("ALARM", "2 > 1")
    );
}
