//! Where AWS's services are: a partition has its own domain, and one IAM for all of its regions.
//!
//! The domains and regions are those of botocore's `partitions.json` and of its endpoint rules for IAM.

/// A partition of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// What the names of its regions begin with.
    regions: &'static str,
    /// What its host names end in.
    pub(crate) domain: &'static str,
    /// Host of IAM, without the domain.
    pub(crate) iam: &'static str,
    /// Region that IAM's requests are signed for.
    pub(crate) iam_region: &'static str,
}

const fn partition(
    regions: &'static str,
    domain: &'static str,
    iam: &'static str,
    iam_region: &'static str,
) -> Partition {
    Partition {
        regions,
        domain,
        iam,
        iam_region,
    }
}

/// All but the one that most regions belong to.
const OTHERS: [Partition; 7] = [
    partition("cn-", "amazonaws.com.cn", "iam.cn-north-1", "cn-north-1"),
    partition("us-gov-", "amazonaws.com", "iam.us-gov", "us-gov-west-1"),
    partition(
        "eusc-",
        "amazonaws.eu",
        "iam.eusc-de-east-1",
        "eusc-de-east-1",
    ),
    partition(
        "us-iso-",
        "c2s.ic.gov",
        "iam.us-iso-east-1",
        "us-iso-east-1",
    ),
    partition(
        "us-isob-",
        "sc2s.sgov.gov",
        "iam.us-isob-east-1",
        "us-isob-east-1",
    ),
    partition(
        "eu-isoe-",
        "cloud.adc-e.uk",
        "iam.eu-isoe-west-1",
        "eu-isoe-west-1",
    ),
    partition(
        "us-isof-",
        "csp.hci.ic.gov",
        "iam.us-isof-south-1",
        "us-isof-south-1",
    ),
];

/// The partition of a region.
pub(crate) fn of(region: &str) -> Partition {
    let mut others = OTHERS.iter();
    others
        .find(|one| region.starts_with(one.regions))
        .copied()
        .unwrap_or(partition("", "amazonaws.com", "iam", "us-east-1"))
}
