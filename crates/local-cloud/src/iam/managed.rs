//! Managed policies of AWS: those that the roles of containers, their deployments and their operators are made of.
//!
//! Documented in the AWS Managed Policy Reference Guide, one page a policy.

use serde_json::{Value, json};

/// A managed policy.
#[derive(Debug)]
pub(crate) struct Managed {
    pub(crate) name: &'static str,
    /// Between `policy` and the name in its ARN.
    pub(crate) path: &'static str,
    pub(crate) description: &'static str,
    /// What it allows on all resources.
    actions: &'static [&'static [&'static str]],
}

/// All that there are.
pub(crate) static ALL: [Managed; 8] = [
    Managed {
        name: "AmazonECSTaskExecutionRolePolicy",
        path: "/service-role/",
        description: "Provides access to other AWS service resources that are required to run Amazon ECS tasks",
        actions: &[&[
            "ecr:GetAuthorizationToken",
            "ecr:BatchCheckLayerAvailability",
            "ecr:GetDownloadUrlForLayer",
            "ecr:BatchGetImage",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
        ]],
    },
    Managed {
        name: "AmazonEC2ContainerRegistryReadOnly",
        path: "/",
        description: "Provides read-only access to Amazon EC2 Container Registry repositories.",
        actions: &[REGISTRY_READ],
    },
    Managed {
        name: "AmazonEC2ContainerRegistryPowerUser",
        path: "/",
        description: "Provides full access to Amazon EC2 Container Registry repositories, but does not allow repository deletion or policy changes.",
        actions: &[REGISTRY_READ, REGISTRY_WRITE],
    },
    Managed {
        name: "AmazonSSMReadOnlyAccess",
        path: "/",
        description: "Provides read only access to Amazon SSM.",
        actions: &[&["ssm:Describe*", "ssm:Get*", "ssm:List*"]],
    },
    Managed {
        name: "CloudWatchLogsFullAccess",
        path: "/",
        description: "Provides full access to CloudWatch Logs",
        actions: &[&["logs:*", "cloudwatch:GenerateQuery"]],
    },
    Managed {
        name: "CloudWatchLogsReadOnlyAccess",
        path: "/",
        description: "Provides read only access to CloudWatch Logs",
        actions: &[&[
            "logs:Describe*",
            "logs:Get*",
            "logs:List*",
            "logs:StartQuery",
            "logs:StopQuery",
            "logs:TestMetricFilter",
            "logs:FilterLogEvents",
            "logs:StartLiveTail",
            "logs:StopLiveTail",
            "cloudwatch:GenerateQuery",
        ]],
    },
    Managed {
        name: "AWSXRayDaemonWriteAccess",
        path: "/",
        description: "Allow the AWS X-Ray Daemon to relay raw trace segments data to the service's API and retrieve sampling data (rules, targets, etc.) to be used by the X-Ray SDK.",
        actions: &[&[
            "xray:PutTraceSegments",
            "xray:PutTelemetryRecords",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:GetSamplingStatisticSummaries",
        ]],
    },
    Managed {
        name: "AdministratorAccess",
        path: "/",
        description: "Provides full access to AWS services and resources.",
        actions: &[&["*"]],
    },
];

const REGISTRY_READ: &[&str] = &[
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:GetRepositoryPolicy",
    "ecr:DescribeRepositories",
    "ecr:ListImages",
    "ecr:DescribeImages",
    "ecr:BatchGetImage",
    "ecr:GetLifecyclePolicy",
    "ecr:GetLifecyclePolicyPreview",
    "ecr:ListTagsForResource",
    "ecr:DescribeImageScanFindings",
];
const REGISTRY_WRITE: &[&str] = &[
    "ecr:InitiateLayerUpload",
    "ecr:UploadLayerPart",
    "ecr:CompleteLayerUpload",
    "ecr:PutImage",
];

impl Managed {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:iam::aws:policy{}{}", self.path, self.name)
    }

    pub(crate) fn document(&self) -> Value {
        json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Action": self.actions.concat(),
            "Resource": "*",
        }]})
    }
}

/// A managed policy by its ARN.
pub(crate) fn find(arn: &str) -> Option<&'static Managed> {
    ALL.iter().find(|policy| policy.arn() == arn)
}
