//! Ids and ARNs.

use serde::{Deserialize, Serialize};

use super::{Ecs, Settings};

/// A seeded source of ids (splitmix64), saved with the state so that a reloaded model goes on where it was.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 32 hexadecimal digits, as the ids of tasks.
    pub(super) fn hex(&mut self) -> String {
        hex::encode(self.bytes())
    }

    /// 16 hexadecimal digits, as at the end of target groups' ARNs.
    pub(super) fn short_hex(&mut self) -> String {
        hex::encode(self.next().to_be_bytes())
    }

    fn bytes(&mut self) -> [u8; 16] {
        let (high, low) = (u128::from(self.next()), u128::from(self.next()));
        (high << 64 | low).to_be_bytes()
    }

    /// 19 digits, as the ids of deployments and service revisions.
    pub(super) fn digits(&mut self) -> String {
        format!("{:019}", self.next() % 10_000_000_000_000_000_000)
    }

    /// 21 letters and digits, as the ids of service deployments.
    pub(super) fn letters(&mut self) -> String {
        const LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
        (0..21)
            .map(|_| char::from(LETTERS[usize::try_from(self.next() % 64).unwrap_or(0)]))
            .collect()
    }

    /// A UUID, as the ids of events and containers.
    pub(super) fn uuid(&mut self) -> String {
        let hex = self.hex();
        let parts = [
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..],
        ];
        let [first, second, third, fourth, fifth] = parts;
        joined(&[first, "-", second, "-4", third, "-a", fourth, "-", fifth])
    }
}

impl Settings {
    /// `arn:aws:ecs:region:account:resource`, of the parts of the resource's name.
    pub(super) fn arn<const N: usize>(&self, resource: [&str; N]) -> String {
        let place = ["arn:aws:ecs:", &self.region, ":", &self.account, ":"];
        joined(place.iter().chain(&resource))
    }
}

/// The parts in one string. Answers are full of ids and ARNs, so it matters that this is done at once.
pub(super) fn joined<'a>(parts: impl IntoIterator<Item = &'a &'a str> + Clone) -> String {
    let length = parts.clone().into_iter().map(|part| part.len()).sum();
    let mut joined = String::with_capacity(length);
    for part in parts {
        joined.push_str(part);
    }
    joined
}

/// The part of an ARN after the account, when `name` is an ARN of ECS.
pub(super) fn resource(name: &str) -> Option<&str> {
    let mut parts = name.splitn(6, ':');
    (parts.next() == Some("arn")).then_some(())?;
    parts.next()?;
    (parts.next() == Some("ecs")).then_some(())?;
    parts.nth(2)
}

/// The last part of a name or ARN that may have slashes in it.
pub(super) fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

impl Ecs {
    pub(super) fn cluster_arn(&self, cluster: &str) -> String {
        self.settings.arn(["cluster/", cluster])
    }

    pub(super) fn service_arn(&self, cluster: &str, service: &str) -> String {
        self.settings.arn(["service/", cluster, "/", service])
    }

    pub(super) fn task_arn(&self, cluster: &str, task: &str) -> String {
        self.settings.arn(["task/", cluster, "/", task])
    }

    pub(super) fn service_deployment_arn(&self, cluster: &str, service: &str, id: &str) -> String {
        self.settings
            .arn(["service-deployment/", cluster, "/", service, "/", id])
    }

    pub(super) fn service_revision_arn(&self, cluster: &str, service: &str, id: &str) -> String {
        self.settings
            .arn(["service-revision/", cluster, "/", service, "/", id])
    }
}
