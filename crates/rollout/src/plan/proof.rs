//! What a release has to pass once it is rolled out, in a form that a tag of its revision can keep.
//!
//! A service at rest does not show whether its release has passed: one that failed its checks may have stayed, and a run may have died before them. So a run that saw all pass says so on the
//! revision, and a second run finds out there whether anything is left to do.

use super::Plan;

/// Tag of a revision: what it has passed, as [`Plan::proof`] names it.
pub(crate) const PROVEN_TAG: &str = "longshore:proven";

impl Plan {
    /// Names what the release has to pass beyond its rollout: checks, bake time and alarms. None when that is nothing. Another name for anything else that is asked.
    pub fn proof(&self) -> Option<String> {
        if self.checks.is_empty() && self.bake_seconds == 0 && self.alarms.is_empty() {
            return None;
        }
        let asked = serde_json::to_string(&(&self.checks, self.bake_seconds, &self.alarms));
        Some(format!("{:016x}", fnv(asked.ok()?.as_bytes())))
    }
}

/// FNV-1a of 64 bits: the same on every machine and in every version, which the standard library's hash is not.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
