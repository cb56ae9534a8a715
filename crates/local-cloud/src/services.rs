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
    /// For people.
    pub(crate) title: &'static str,
}

impl Service {
    pub(crate) const ALL: [Self; 7] = [
        Self::Ecs,
        Self::Ecr,
        Self::Ssm,
        Self::Secrets,
        Self::Logs,
        Self::Sts,
        Self::Iam,
    ];

    pub(crate) const fn names(self) -> Names {
        match self {
            Self::Ecs => names("ecs", "AmazonEC2ContainerServiceV20141113", "ECS"),
            Self::Ecr => names("ecr", "AmazonEC2ContainerRegistry_V20150921", "ECR"),
            Self::Ssm => names("ssm", "AmazonSSM", "SSM"),
            Self::Secrets => names("secretsmanager", "secretsmanager", "Secrets Manager"),
            Self::Logs => names("logs", "Logs_20140328", "CloudWatch Logs"),
            Self::Sts => query_names("sts", "2011-06-15", "STS"),
            Self::Iam => query_names("iam", "2010-05-08", "IAM"),
        }
    }
}

/// The names of a service that speaks JSON only.
const fn names(signing: &'static str, target: &'static str, title: &'static str) -> Names {
    Names {
        signing,
        iam: signing,
        target: Some(target),
        version: None,
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
        title,
    }
}
