"""Judges of the policies that `cargo xtask iam` writes: parliament over each, and an HCL parser over the Terraform file.

Every policy must come out of the Terraform file and the CloudFormation template as it stands in the documents.
"""

import json
import sys

import hcl2
import parliament

# What parliament finds and why it is no mistake.
EXPLAINED = {
    # Its table of actions is older than the action (ECS API, May 2025).
    ("UNKNOWN_ACTION", "ecs:StopServiceDeployment"),
}

documents, terraform = sys.argv[1:3]
roles = json.load(open(documents))
found = 0
for role in [roles["deploy"], *roles["execution"]]:
    policy = parliament.analyze_policy_string(json.dumps(role["policy"]))
    for finding in policy.findings:
        text = f"{finding.issue} {finding.detail} {finding.location}"
        if any(issue == finding.issue and what in text for issue, what in EXPLAINED):
            continue
        print(f"{role['name']}: {text}")
        found += 1

with open(terraform) as file:
    text = file.read()
parsed = hcl2.loads(text)
kinds = sorted(kind.strip('"') for resource in parsed["resource"] for kind in resource if not kind.startswith("__"))
wanted = ["aws_iam_openid_connect_provider"] + ["aws_iam_role", "aws_iam_role_policy"] * (1 + len(roles["execution"]))
if kinds != sorted(wanted):
    print(f"{terraform}: {kinds}")
    found += 1
for role in [roles["deploy"], *roles["execution"]]:
    for statement in role["policy"]["Statement"]:
        for resource in statement["Resource"]:
            if json.dumps(resource) not in text:
                print(f"{terraform}: {resource} is missing")
                found += 1
sys.exit(1 if found else 0)
