"""Holds the AWS on this machine against botocore's own model of AWS: every operation that it answers is called, and every answer may hold only what
the model has, of the types that the model says. What is not called here must be an operation that it does not have."""

import hashlib
import json
import struct
import sys
import urllib.request
import xml.etree.ElementTree as ElementTree

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CONFIG = Config(
    retries={"total_max_attempts": 1, "mode": "standard"},
    parameter_validation=False,
    inject_host_prefix=False,
)
SERVICES = "ecs ecr ssm secretsmanager logs sts iam cloudwatch elbv2 application-autoscaling".split()
problems = []
called = {service: set() for service in SERVICES}


def check(shape, value, path):
    """A JSON or CBOR value against its shape."""
    kinds = {
        "string": str, "boolean": bool, "integer": int, "long": int, "double": (int, float), "float": (int, float),
        "timestamp": (int, float), "structure": dict, "list": list, "map": dict, "blob": str,
    }
    kind = kinds[shape.type_name]
    if not isinstance(value, kind) or (isinstance(value, bool) and shape.type_name != "boolean"):
        problems.append(f"{path}: {value!r} is not a {shape.type_name}")
    elif shape.type_name == "structure":
        for name, inner in value.items():
            members = {member.serialization.get("name", key): member for key, member in shape.members.items()}
            if name not in members:
                problems.append(f"{path}.{name}: the model has no such member")
            elif inner is None:
                problems.append(f"{path}.{name}: null")
            else:
                check(members[name], inner, f"{path}.{name}")
        for name in shape.required_members:
            if name not in value:
                problems.append(f"{path}.{name}: required, and missing")
    elif shape.type_name == "list":
        for number, inner in enumerate(value):
            check(shape.member, inner, f"{path}[{number}]")
    elif shape.type_name == "map":
        for key, inner in value.items():
            check(shape.key, key, f"{path}.key")
            check(shape.value, inner, f"{path}.{key}")
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        problems.append(f"{path}: {value!r} is none of {shape.enum}")


def check_xml(shape, node, path):
    """An XML element against its shape."""
    if shape.type_name == "structure":
        members = {member.serialization.get("name", key): member for key, member in shape.members.items()}
        for child in node:
            name = child.tag.split("}")[1]
            if name not in members:
                problems.append(f"{path}.{name}: the model has no such member")
            else:
                check_xml(members[name], child, f"{path}.{name}")
        present = {child.tag.split("}")[1] for child in node}
        problems.extend(f"{path}.{name}: required, and missing" for name in shape.required_members if name not in present)
        return
    if shape.type_name == "list":
        for number, child in enumerate(node):
            if child.tag.split("}")[1] != "member":
                problems.append(f"{path}: <{child.tag}> is not <member>")
            check_xml(shape.member, child, f"{path}[{number}]")
        return
    text = node.text or ""
    try:
        {"integer": int, "long": int, "double": float, "float": float}.get(shape.type_name, str)(text)
    except ValueError:
        problems.append(f"{path}: {text!r} is not a {shape.type_name}")
    if shape.type_name == "boolean" and text not in ("true", "false"):
        problems.append(f"{path}: {text!r} is not a boolean")
    if shape.type_name == "timestamp" and "T" not in text:
        problems.append(f"{path}: {text!r} is not a time")
    if shape.type_name == "string" and shape.enum and text not in shape.enum:
        problems.append(f"{path}: {text!r} is none of {shape.enum}")


def cbor(data):
    """The value that the bytes begin with, and the rest of them."""
    major, info, data = data[0] >> 5, data[0] & 31, data[1:]
    if major == 7:
        if info in (20, 21, 22):
            return {20: False, 21: True, 22: None}[info], data
        size, form = {25: (2, ">e"), 26: (4, ">f"), 27: (8, ">d")}[info]
        return struct.unpack(form, data[:size])[0], data[size:]
    if info >= 24:
        size = 1 << (info - 24)
        info, data = int.from_bytes(data[:size], "big"), data[size:]
    if major == 0:
        return info, data
    if major == 1:
        return -1 - info, data
    if major == 3:
        return data[:info].decode(), data[info:]
    if major == 4:
        items = []
        for _ in range(info):
            item, data = cbor(data)
            items.append(item)
        return items, data
    if major == 5:
        members = {}
        for _ in range(info):
            name, data = cbor(data)
            members[name], data = cbor(data)
        return members, data
    if major == 6:
        return cbor(data)
    raise ValueError(f"CBOR of kind {major}")


def seen(service):
    def before_parse(operation_model, response_dict, **_):
        name, shape = operation_model.name, operation_model.output_shape
        if response_dict["status_code"] >= 300:
            return
        path, body = f"{service}.{name}", response_dict["body"]
        kind = response_dict["headers"].get("content-type", "")
        if not response_dict["headers"].get("x-amzn-requestid"):
            problems.append(f"{path}: no request ID")
        if kind == "text/xml":
            root = ElementTree.fromstring(body)
            if root.tag.split("}")[1] != f"{name}Response":
                problems.append(f"{path}: <{root.tag}>")
            result = [child for child in root if child.tag.endswith(f"}}{name}Result")]
            if shape is None or not shape.members:
                if result and len(result[0]):
                    problems.append(f"{path}: a result where the model has none")
            elif not result:
                problems.append(f"{path}: no result")
            else:
                check_xml(shape, result[0], path)
            return
        value = cbor(body)[0] if kind == "application/cbor" else json.loads(body)
        if shape is not None:
            check(shape, value, path)
        elif value:
            problems.append(f"{path}: {value!r} where the model has no output")

    return before_parse


def client(service):
    made = boto3.client(service, config=CONFIG)
    made.meta.events.register(f"before-parse.{made.meta.service_model.service_id.hyphenize()}.*", seen(service))
    made.meta.events.register(
        f"before-call.{made.meta.service_model.service_id.hyphenize()}.*",
        lambda model, **_: called[service].add(model.name),
    )
    return made


clients = {service: client(service) for service in SERVICES}
ecs, ecr, ssm, secrets, logs, sts, iam, cloudwatch, elbv2, scaling = clients.values()


def fails(call, code, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            problems.append(f"{call.__name__}: {error.response['Error']} instead of {code}")
    else:
        problems.append(f"{call.__name__}({arguments}) succeeded, {code} was expected")


def until(look, what):
    import time

    for _ in range(240):
        if look():
            return
        time.sleep(0.25)
    problems.append(f"it did not come to it that {what}")


def the_registry():
    repository = "team/model"
    ecr.create_repository(
        repositoryName=repository, tags=[{"Key": "a", "Value": "b"}], encryptionConfiguration={"encryptionType": "KMS"},
    )
    arn = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]["repositoryArn"]
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "c", "Value": "d"}])
    ecr.list_tags_for_resource(resourceArn=arn)
    ecr.untag_resource(resourceArn=arn, tagKeys=["a"])
    ecr.put_image_tag_mutability(repositoryName=repository, imageTagMutability="IMMUTABLE")
    fails(ecr.get_repository_policy, "RepositoryPolicyNotFoundException", repositoryName=repository)
    ecr.set_repository_policy(repositoryName=repository, policyText='{"Version": "2012-10-17", "Statement": []}')
    ecr.get_repository_policy(repositoryName=repository)
    ecr.delete_repository_policy(repositoryName=repository)
    fails(ecr.get_lifecycle_policy, "LifecyclePolicyNotFoundException", repositoryName=repository)
    ecr.put_lifecycle_policy(repositoryName=repository, lifecyclePolicyText='{"rules": []}')
    ecr.get_lifecycle_policy(repositoryName=repository)
    ecr.delete_lifecycle_policy(repositoryName=repository)
    ecr.put_image_scanning_configuration(repositoryName=repository, imageScanningConfiguration={"scanOnPush": True})
    ecr.get_authorization_token()
    ecr.describe_images(repositoryName="longshore/api")
    images = ecr.list_images(repositoryName="longshore/api")["imageIds"]
    got = ecr.batch_get_image(repositoryName="longshore/api", imageIds=images[:1] + [{"imageTag": "none"}])["images"][0]
    manifest, digest = got["imageManifest"], images[0]["imageDigest"]
    ecr.put_image(repositoryName="longshore/api", imageManifest=manifest, imageTag="again")
    fails(ecr.put_image, "ImageAlreadyExistsException", repositoryName="longshore/api", imageManifest=manifest, imageTag="again")
    fails(ecr.describe_image_scan_findings, "ScanNotFoundException", repositoryName="longshore/api", imageId={"imageDigest": digest})
    parts = json.loads(manifest)
    if "layers" not in parts:
        first = [{"imageDigest": parts["manifests"][0]["digest"]}]
        inner = ecr.batch_get_image(repositoryName="longshore/api", imageIds=first)["images"][0]
        parts = json.loads(inner["imageManifest"])
    layer = parts["layers"][0]["digest"]
    ecr.batch_check_layer_availability(repositoryName="longshore/api", layerDigests=[layer, "sha256:" + 64 * "0", "x"])
    address = ecr.get_download_url_for_layer(repositoryName="longshore/api", layerDigest=layer)["downloadUrl"]
    with urllib.request.urlopen(address) as answer:
        if "sha256:" + hashlib.sha256(answer.read()).hexdigest() != layer:
            problems.append("get_download_url_for_layer: other bytes lie there")
    ecr.batch_delete_image(repositoryName=repository, imageIds=[{"imageTag": "none"}])
    ecr.delete_repository(repositoryName=repository)
    fails(ecr.describe_images, "RepositoryNotFoundException", repositoryName=repository)


def parameters_and_secrets():
    ssm.put_parameter(Name="/model/a", Value="one", Type="SecureString", Description="d", Tags=[{"Key": "a", "Value": "b"}])
    ssm.put_parameter(Name="/model/b", Value="two", Type="String")
    ssm.get_parameter(Name="/model/a", WithDecryption=True)
    ssm.get_parameters(Names=["/model/a", "/model/none"])
    ssm.get_parameters_by_path(Path="/model")
    ssm.describe_parameters(ParameterFilters=[{"Key": "Path", "Option": "Recursive", "Values": ["/model"]}])
    ssm.describe_parameters(Filters=[{"Key": "Name", "Values": ["/model/a"]}])
    ssm.put_parameter(Name="/model/b", Value="three", Overwrite=True, Tier="Intelligent-Tiering", AllowedPattern=".*")
    ssm.get_parameter_history(Name="/model/b")
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId="/model/b", Tags=[{"Key": "c", "Value": "d"}])
    ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/model/b")
    ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId="/model/b", TagKeys=["c"])
    fails(ssm.put_parameter, "ValidationException", Name="/model/c", Value="v" * 4097, Type="String")
    fails(ssm.get_parameters_by_path, "ValidationException", Path="/model", MaxResults=11)
    fails(ssm.get_parameter, "ParameterNotFound", Name="/model/none")
    ssm.delete_parameter(Name="/model/a")
    ssm.delete_parameters(Names=["/model/b", "/model/none"])
    secrets.create_secret(Name="model", SecretString="one", Tags=[{"Key": "a", "Value": "b"}])
    secrets.put_secret_value(SecretId="model", SecretString="two")
    secrets.update_secret(SecretId="model", SecretString="three", Description="d")
    secrets.update_secret(SecretId="model", Description="e")
    pending = secrets.put_secret_value(SecretId="model", SecretString="four", VersionStages=["PENDING"])["VersionId"]
    if secrets.get_secret_value(SecretId="model")["SecretString"] != "three":
        problems.append("put_secret_value: a pending version became the current one")
    secrets.list_secret_version_ids(SecretId="model")
    secrets.update_secret_version_stage(SecretId="model", VersionStage="PENDING", RemoveFromVersionId=pending)
    secrets.batch_get_secret_value(SecretIdList=["model", "none"])
    secrets.get_random_password()
    secrets.get_resource_policy(SecretId="model")
    secrets.tag_resource(SecretId="model", Tags=[{"Key": "c", "Value": "d"}])
    secrets.untag_resource(SecretId="model", TagKeys=["c"])
    secrets.describe_secret(SecretId="model")
    secrets.list_secrets()
    secrets.delete_secret(SecretId="model")
    secrets.restore_secret(SecretId="model")
    fails(secrets.get_secret_value, "ResourceNotFoundException", SecretId="none")


def the_logs():
    import time

    group, stream, now = "/model", "one", int(time.time() * 1000)
    logs.create_log_group(logGroupName=group, tags={"a": "b"})
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:/model"
    logs.tag_resource(resourceArn=arn, tags={"c": "d"})
    logs.list_tags_for_resource(resourceArn=arn)
    logs.untag_resource(resourceArn=arn, tagKeys=["a"])
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": now, "message": "hello"}])
    logs.describe_log_groups(logGroupNamePrefix=group)
    logs.describe_log_streams(logGroupName=group)
    logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)
    logs.filter_log_events(logGroupName=group, filterPattern="hello")
    logs.filter_log_events(logGroupName=group, filterPattern='{ $.level = "error" }')
    fails(logs.filter_log_events, "ResourceNotFoundException", logGroupName=group, logStreamNames=["none"])
    fails(logs.put_retention_policy, "InvalidParameterException", logGroupName=group, retentionInDays=8)
    old = [{"timestamp": now - 15 * 86_400_000, "message": "old"}]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=old)
    logs.delete_retention_policy(logGroupName=group)
    fails(logs.get_log_events, "ResourceNotFoundException", logGroupName="/none", logStreamName=stream)
    logs.delete_log_stream(logGroupName=group, logStreamName=stream)
    logs.delete_log_group(logGroupName=group)


def identities():
    trust = json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": "arn:aws:iam::000000000000:oidc-provider/issuer.example"},
        "Condition": {"StringEquals": {"issuer.example:sub": "repo:acme/api"}},
    }]})
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecs:Describe*", "Resource": "*"}]})
    execution = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
    iam.create_role(
        RoleName="model", AssumeRolePolicyDocument=trust, Description="d", Path="/team/", Tags=[{"Key": "a", "Value": "b"}],
    )
    iam.list_roles()
    iam.tag_role(RoleName="model", Tags=[{"Key": "c", "Value": "d"}])
    iam.list_role_tags(RoleName="model")
    iam.untag_role(RoleName="model", TagKeys=["a"])
    iam.list_instance_profiles_for_role(RoleName="model")
    iam.get_policy(PolicyArn=execution)
    iam.get_policy_version(PolicyArn=execution, VersionId="v1")
    iam.attach_role_policy(RoleName="model", PolicyArn=execution)
    fails(iam.attach_role_policy, "NoSuchEntity", RoleName="model", PolicyArn="arn:aws:iam::aws:policy/None")
    iam.get_role(RoleName="model")
    iam.update_assume_role_policy(RoleName="model", PolicyDocument=trust)
    iam.put_role_policy(RoleName="model", PolicyName="p", PolicyDocument=policy)
    iam.get_role_policy(RoleName="model", PolicyName="p")
    iam.list_role_policies(RoleName="model")
    iam.list_attached_role_policies(RoleName="model")
    iam.detach_role_policy(RoleName="model", PolicyArn=execution)
    role = "arn:aws:iam::000000000000:role/model"
    simulated = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["ecs:DescribeServices", "ecs:DeleteService"])
    decisions = [result["EvalDecision"] for result in simulated["EvaluationResults"]]
    if decisions != ["allowed", "implicitDeny"]:
        problems.append(f"simulate_principal_policy: {decisions}")
    sts.get_caller_identity()
    sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/anybody", RoleSessionName="model")
    fails(sts.assume_role, "AccessDenied", RoleArn=role, RoleSessionName="model")
    token = sys.argv[1]
    session = sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="model", WebIdentityToken=token)["Credentials"]
    as_role = boto3.client(
        "ecs", config=CONFIG, aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"], aws_session_token=session["SessionToken"],
    )
    as_role.describe_services(cluster="local", services=["api"])
    fails(as_role.delete_service, "AccessDeniedException", cluster="local", service="api")
    fails(sts.assume_role_with_web_identity, "InvalidIdentityToken", RoleArn=role, RoleSessionName="model", WebIdentityToken="x")
    iam.delete_role_policy(RoleName="model", PolicyName="p")
    iam.delete_role(RoleName="model")
    fails(iam.get_role, "NoSuchEntity", RoleName="model")


def alarms_and_balancers():
    cloudwatch.put_metric_alarm(
        AlarmName="model", ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, Threshold=5.5, Period=60,
        MetricName="m", Namespace="n", Statistic="Sum", Dimensions=[{"Name": "a", "Value": "b"}], AlarmDescription="d",
        Tags=[{"Key": "a", "Value": "b"}],
    )
    arn = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:model"
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "c", "Value": "d"}])
    if len(cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]) != 2:
        problems.append("list_tags_for_resource: an alarm lost its tags")
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["a"])
    cloudwatch.set_alarm_state(AlarmName="model", StateValue="ALARM", StateReason="r", StateReasonData="{}")
    described = cloudwatch.describe_alarms(AlarmNames=["model"])["MetricAlarms"][0]
    if (described["StateValue"], described["Threshold"]) != ("ALARM", 5.5):
        problems.append(f"describe_alarms: {described}")
    fails(cloudwatch.set_alarm_state, "ResourceNotFound", AlarmName="none", StateValue="OK", StateReason="r")
    cloudwatch.delete_alarms(AlarmNames=["model"])
    group = elbv2.describe_target_groups(Names=["api"])["TargetGroups"][0]
    balancer = elbv2.describe_load_balancers()["LoadBalancers"][0]
    listener = elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"][0]
    elbv2.describe_load_balancer_attributes(LoadBalancerArn=balancer["LoadBalancerArn"])
    elbv2.describe_listener_attributes(ListenerArn=listener["ListenerArn"])
    elbv2.describe_rules(ListenerArn=listener["ListenerArn"])
    elbv2.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])
    elbv2.describe_tags(ResourceArns=[group["TargetGroupArn"], balancer["LoadBalancerArn"], listener["ListenerArn"]])
    health = elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    if [target["TargetHealth"]["State"] for target in health] != ["healthy", "healthy"]:
        problems.append(f"describe_target_health: {health}")
    listed = ecs.list_tasks(cluster="local", serviceName="api")["taskArns"]
    tasks = ecs.describe_tasks(cluster="local", tasks=listed)["tasks"]
    details = [detail for task in tasks for detail in task["attachments"][0]["details"]]
    addresses = {detail["value"] for detail in details if detail["name"] == "privateIPv4Address"}
    if len(addresses) != 2 or addresses != {target["Target"]["Id"] for target in health}:
        problems.append(f"targets are not where their tasks are: {health}, {details}")
    scaling.describe_scalable_targets(ServiceNamespace="ecs")
    scaling.describe_scaling_policies(ServiceNamespace="ecs")
    fails(boto3.client("autoscaling", config=CONFIG).describe_auto_scaling_groups, "InvalidAction")
    fails(boto3.client("ec2", config=CONFIG).describe_vpcs, "InvalidAction")
    fails(elbv2.describe_target_groups, "TargetGroupNotFound", Names=["none"])


def containers():
    service = ecs.describe_services(cluster="local", services=["api", "none"], include=["TAGS"])["services"][0]
    running = ecs.describe_task_definition(taskDefinition=service["taskDefinition"], include=["TAGS"])["taskDefinition"]
    image = running["containerDefinitions"][0]["image"]
    ecs.create_cluster(clusterName="model", tags=[{"key": "a", "value": "b"}])
    ecs.list_clusters()
    ecs.put_cluster_capacity_providers(
        cluster="model", capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
    )
    ecs.update_cluster(cluster="model", settings=[{"name": "containerInsights", "value": "enabled"}])
    ecs.update_cluster_settings(cluster="model", settings=[{"name": "containerInsights", "value": "disabled"}])
    ecs.describe_clusters(clusters=["model", "none"], include=["TAGS", "SETTINGS", "CONFIGURATIONS", "STATISTICS"])
    ecs.describe_capacity_providers(capacityProviders=["FARGATE", "none"])
    ecs.list_container_instances(cluster="model")
    ecs.put_account_setting(name="containerInsights", value="disabled")
    ecs.list_account_settings(effectiveSettings=True)
    container = {
        "name": "app", "image": image, "memory": 128, "essential": True, "command": ["-h"],
        "environment": [{"name": "PORT", "value": "8080"}], "stopTimeout": 2,
    }
    server = dict(container, name="app")
    del server["command"]
    first = ecs.register_task_definition(
        family="model", executionRoleArn="arn:aws:iam::000000000000:role/execution", containerDefinitions=[server],
        tags=[{"key": "a", "value": "b"}],
    )["taskDefinition"]["taskDefinitionArn"]
    second = ecs.register_task_definition(family="model", containerDefinitions=[server])["taskDefinition"]["taskDefinitionArn"]
    ecs.list_task_definitions(familyPrefix="model")
    ecs.list_task_definition_families()
    made = ecs.create_service(
        cluster="model", serviceName="model", taskDefinition=first, desiredCount=1, tags=[{"key": "a", "value": "b"}],
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    )["service"]["serviceArn"]

    def stable():
        shown = ecs.describe_services(cluster="model", services=["model"])["services"][0]
        return len(shown["deployments"]) == 1 and shown["deployments"][0]["rolloutState"] == "COMPLETED"

    until(stable, "the service is stable")
    ecs.tag_resource(resourceArn=made, tags=[{"key": "c", "value": "d"}])
    ecs.list_tags_for_resource(resourceArn=made)
    ecs.untag_resource(resourceArn=made, tagKeys=["c"])
    ecs.list_services(cluster="model")
    ecs.update_service(cluster="model", service="model", taskDefinition=second)
    listed = ecs.list_service_deployments(cluster="model", service="model")["serviceDeployments"]
    ecs.describe_service_deployments(serviceDeploymentArns=[listed[0]["serviceDeploymentArn"]])
    ecs.stop_service_deployment(serviceDeploymentArn=listed[0]["serviceDeploymentArn"], stopType="ROLLBACK")
    ecs.describe_service_deployments(serviceDeploymentArns=[listed[0]["serviceDeploymentArn"]])
    ecs.describe_service_revisions(serviceRevisionArns=[listed[0]["targetServiceRevisionArn"]])
    until(stable, "the service is back")
    ecs.list_service_deployments(cluster="model", service="model")
    run = ecs.run_task(cluster="model", taskDefinition="model", count=1, overrides={"containerOverrides": [{"name": "app"}]})
    ecs.describe_tasks(cluster="model", tasks=[run["tasks"][0]["taskArn"], "00000000000000000000000000000000"])
    ecs.list_tasks(cluster="model")
    ecs.stop_task(cluster="model", task=run["tasks"][0]["taskArn"], reason="enough")
    until(
        lambda: ecs.describe_tasks(cluster="model", tasks=[run["tasks"][0]["taskArn"]])["tasks"][0]["lastStatus"] == "STOPPED",
        "the task is stopped",
    )
    ecs.update_service(cluster="model", service="model", desiredCount=0)
    ecs.delete_service(cluster="model", service="model", force=True)
    until(
        lambda: ecs.describe_services(cluster="model", services=["model"])["services"][0]["status"] == "INACTIVE",
        "the service is inactive",
    )
    ecs.deregister_task_definition(taskDefinition=second)
    ecs.delete_task_definitions(taskDefinitions=[second])
    ecs.describe_task_definition(taskDefinition=second)
    until(lambda: not ecs.list_tasks(cluster="model")["taskArns"], "all tasks are gone")
    ecs.delete_cluster(cluster="model")
    fails(ecs.describe_services, "ClusterNotFoundException", cluster="none", services=["api"])
    fails(ecs.update_service, "ServiceNotFoundException", cluster="local", service="none")


def what_was_not_called_is_not_there():
    for service, one in clients.items():
        model = one.meta.service_model
        for name in model.operation_names:
            if name in called[service]:
                continue
            try:
                one._make_api_call(name, {})
            except ClientError as error:
                code = error.response["Error"]["Code"]
                # What is sent without a signature is refused before anything else.
                if code in ("UnknownOperationException", "InvalidAction", "MissingAuthenticationToken"):
                    continue
                problems.append(f"{service}.{name} is not called here: {code}")
            except Exception as error:
                # Requests that cannot be made without their parameters say nothing of the server.
                print(f"{service}.{name} cannot be asked for: {error}", file=sys.stderr)
            else:
                problems.append(f"{service}.{name} is not called here, and it succeeded")


the_registry()
parameters_and_secrets()
the_logs()
identities()
alarms_and_balancers()
containers()
count = {service: len(names) for service, names in called.items()}
what_was_not_called_is_not_there()
print(json.dumps({"operations": count, "problems": sorted(set(problems))}, indent=2))
sys.exit(1 if problems else 0)
