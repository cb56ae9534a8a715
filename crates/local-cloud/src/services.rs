//! The services of this cloud, and the names that each of them goes by.

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Ecs,
    Ecr,
    Ssm,
    Secrets,
    Logs,
    Sts,
    Iam,
    CloudWatch,
    Balancing,
    Scaling,
}

/// The names of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// In signatures: the service of the credential scope.
    pub(crate) signing: &'static str,
    /// In IAM's policies, in front of the colon.
    pub(crate) iam: &'static str,
    /// In `X-Amz-Target`, in front of the dot.
    pub(crate) target: Option<&'static str>,
    /// `Version` of the query protocol; no two services have the same one.
    pub(crate) version: Option<&'static str>,
    /// The code of its throttling error.
    pub(crate) throttling: &'static str,
    /// The code of its own failures.
    pub(crate) failure: &'static str,
    /// For people.
    pub(crate) title: &'static str,
}

impl Service {
    pub(crate) const ALL: [Self; 10] = [
        Self::Ecs,
        Self::Ecr,
        Self::Ssm,
        Self::Secrets,
        Self::Logs,
        Self::Sts,
        Self::Iam,
        Self::CloudWatch,
        Self::Balancing,
        Self::Scaling,
    ];

    pub(crate) const fn names(self) -> Names {
        match self {
            Self::Ecs => names(
                "ecs",
                "AmazonEC2ContainerServiceV20141113",
                "ECS",
                "ServerException",
            ),
            Self::Ecr => names(
                "ecr",
                "AmazonEC2ContainerRegistry_V20150921",
                "ECR",
                "ServerException",
            ),
            Self::Ssm => names("ssm", "AmazonSSM", "SSM", "InternalServerError"),
            Self::Secrets => names(
                "secretsmanager",
                "secretsmanager",
                "Secrets Manager",
                "InternalServiceError",
            ),
            Self::Logs => names(
                "logs",
                "Logs_20140328",
                "CloudWatch Logs",
                "ServiceUnavailableException",
            ),
            Self::Sts => query_names("sts", "2011-06-15", "STS"),
            Self::Iam => query_names("iam", "2010-05-08", "IAM"),
            Self::CloudWatch => Names {
                signing: "monitoring",
                iam: "cloudwatch",
                target: Some("GraniteServiceVersion20100801"),
                version: Some("2010-08-01"),
                throttling: "Throttling",
                failure: "InternalServiceFault",
                title: "CloudWatch",
            },
            Self::Balancing => query_names(
                "elasticloadbalancing",
                "2015-12-01",
                "Elastic Load Balancing",
            ),
            Self::Scaling => names(
                "application-autoscaling",
                "AnyScaleFrontendService",
                "Application Auto Scaling",
                "InternalServiceException",
            ),
        }
    }
}

/// The names of a service that speaks JSON only.
const fn names(
    signing: &'static str,
    target: &'static str,
    title: &'static str,
    failure: &'static str,
) -> Names {
    Names {
        signing,
        iam: signing,
        target: Some(target),
        version: None,
        throttling: "ThrottlingException",
        failure,
        title,
    }
}

/// The names of a service that speaks the query protocol only.
const fn query_names(signing: &'static str, version: &'static str, title: &'static str) -> Names {
    Names {
        signing,
        iam: signing,
        target: None,
        version: Some(version),
        throttling: "Throttling",
        failure: "InternalFailure",
        title,
    }
}
