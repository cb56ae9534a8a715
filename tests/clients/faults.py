"""What boto3 sees of each fault. The first argument is longshore's binary; the folder is that of a project whose service `api` runs."""

import subprocess
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

BINARY = sys.argv[1]
ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=20)
PATIENT = Config(retries={"total_max_attempts": 5, "mode": "standard"})
ecs, patient = boto3.client("ecs", config=ONCE), boto3.client("ecs", config=PATIENT)
cloudwatch = boto3.client("cloudwatch", config=ONCE)


def local(*words):
    return subprocess.run([BINARY, "local", *words], check=True, capture_output=True, text=True).stdout


class Fault:
    def __init__(self, *words):
        self.words = words

    def __enter__(self):
        self.id = local("fault", "add", *self.words).strip()

    def __exit__(self, *_):
        if self.id in [line.split()[0] for line in local("fault", "list").splitlines()]:
            local("fault", "clear", self.id)


def error(call, **arguments):
    try:
        call(**arguments)
    except ClientError as refused:
        return refused.response["Error"]["Code"], refused.response["ResponseMetadata"]["HTTPStatusCode"]
    except (ConnectionError, HTTPClientError) as broken:
        return type(broken).__name__, None
    raise AssertionError(f"{call.__name__} succeeded")


def until(look, what):
    for _ in range(240):
        found = look()
        if found:
            return found
        time.sleep(0.25)
    raise AssertionError(f"it did not come to it that {what}")


def service(name="api", cluster="local"):
    return ecs.describe_services(cluster=cluster, services=[name])["services"][0]


with Fault("throttle", "ecs:List*", "--times", "2"):
    assert error(ecs.list_clusters) == ("ThrottlingException", 400)
    answer = patient.list_clusters()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1, answer
    ecs.list_clusters()

with Fault("server-error", "ecs:ListClusters"):
    assert error(ecs.list_clusters) == ("ServerException", 500)

with Fault("delay", "ecs:ListClusters", "--millis", "600"):
    began = time.monotonic()
    ecs.list_clusters()
    assert time.monotonic() - began >= 0.6

with Fault("reset", "ecs:CreateCluster", "--times", "1"):
    assert error(ecs.create_cluster, clusterName="reset")[1] is None
    assert ecs.describe_clusters(clusters=["reset"])["failures"][0]["reason"] == "MISSING"

with Fault("lose-response", "ecs:CreateCluster", "--times", "1"):
    assert error(ecs.create_cluster, clusterName="lost")[1] is None
    assert ecs.describe_clusters(clusters=["lost"])["clusters"][0]["status"] == "ACTIVE"

with Fault("lag-reads", "--millis", "3000"):
    ecs.create_cluster(clusterName="late")
    assert ecs.describe_clusters(clusters=["late"])["failures"][0]["reason"] == "MISSING"
    until(lambda: ecs.describe_clusters(clusters=["late"])["clusters"], "the cluster is seen")
ecs.delete_cluster(cluster="late")
assert ecs.describe_clusters(clusters=["late"])["clusters"][0]["status"] == "INACTIVE", "no read lags any more"

with Fault("skew-clock", "--seconds", "-900"):
    assert error(ecs.list_clusters) == ("InvalidSignatureException", 400)
ecs.list_clusters()

before = set(ecs.list_tasks(cluster="local", serviceName="api")["taskArns"])
local("fault", "add", "kill-task", "api")
task = until(
    lambda: next((t for t in ecs.describe_tasks(cluster="local", tasks=list(before))["tasks"] if t["lastStatus"] == "STOPPED"), None),
    "a task stopped",
)
assert task["containers"][0]["exitCode"] == 137, task
until(lambda: service()["runningCount"] == 2, "the task is replaced")

revision = service()["taskDefinition"]
network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
with Fault("fail-pulls", "--image", "longshore/api", "--times", "1"):
    run = ecs.run_task(cluster="local", taskDefinition=revision, networkConfiguration=network)["tasks"][0]["taskArn"]
    ended = until(
        lambda: next((t for t in ecs.describe_tasks(cluster="local", tasks=[run])["tasks"] if t["lastStatus"] == "STOPPED"), None),
        "the task failed",
    )
    assert ended["stoppedReason"].startswith("CannotPullContainerError"), ended

with Fault("fail-placement"):
    run = ecs.run_task(cluster="local", taskDefinition=revision, networkConfiguration=network)
    assert not run["tasks"] and run["failures"], run

# A deployment that an alarm stops.
guarded = {
    "alarms": {"alarmNames": ["errors"], "enable": True, "rollback": True},
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
}
local("fault", "add", "alarm", "errors", "--state", "ok")
# Late enough that the new tasks are not done when the alarm comes.
with Fault("fail-pulls"):
    ecs.update_service(cluster="local", service="api", forceNewDeployment=True, deploymentConfiguration=guarded)
    local("fault", "add", "alarm", "errors")
    assert cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]["StateValue"] == "ALARM"
    last = until(
        lambda: next(
            (d for d in ecs.list_service_deployments(cluster="local", service="api")["serviceDeployments"] if "ROLLBACK" in d["status"]),
            None,
        ),
        "the deployment is rolled back",
    )
deployment = ecs.describe_service_deployments(serviceDeploymentArns=[last["serviceDeploymentArn"]])["serviceDeployments"][0]
assert deployment["alarms"]["triggeredAlarmNames"] == ["errors"], deployment
until(lambda: len(service()["deployments"]) == 1 and service()["runningCount"] == 2, "the service is back")

assert local("fault", "list") == ""
print("all faults met")
