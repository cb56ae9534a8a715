//! What goes wrong between a run and AWS. All of it is drawn before the run begins, or from the run's own generator: never from the time.

use fastrand::Rng;
use local_cloud::task::Millis;

/// What goes wrong in one run. Rates are in percent of all calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Throttled, or a server's fault before the call took effect.
    pub(crate) refused_for_now: u32,
    /// The call took effect and its answer was lost.
    pub(crate) lost: u32,
    /// As `lost`, but the error does not look like one that passes; writes only.
    pub(crate) lost_for_good: u32,
    /// Reads answer from an earlier state.
    pub(crate) stale: u32,
    /// How far behind such a read may be.
    pub(crate) lag: Millis,
    /// No call gets through from here (after the start of the run) for so long.
    pub(crate) outage: Option<(Millis, Millis)>,
    /// Operations that the caller has no permission for.
    pub(crate) forbidden: Vec<&'static str>,
    /// The caller's clock is so far ahead of AWS's.
    pub(crate) skew: i64,
    /// The caller's clock is set to another time: when, and by how much.
    pub(crate) clock_set: Option<(Millis, i64)>,
    /// A person or the pipeline wants the run to stop.
    pub(crate) interrupt: Option<Millis>,
    /// The process dies before or after this step (a call has two).
    pub(crate) death: Option<u64>,
}

impl Faults {
    /// What passes by itself and must never change an outcome.
    pub(crate) fn passing(rng: &mut Rng) -> Self {
        let lag = if rng.bool() { rng.u64(200..20_000) } else { 0 };
        Self {
            refused_for_now: rng.u32(0..15),
            lost: rng.u32(0..10),
            stale: if lag > 0 { rng.u32(1..60) } else { 0 },
            lag,
            skew: if rng.bool() {
                rng.i64(-600_000..600_000)
            } else {
                0
            },
            ..Self::default()
        }
    }

    /// Anything.
    pub(crate) fn any(rng: &mut Rng, quick: bool) -> Self {
        let horizon = if quick { 30_000 } else { 600_000 };
        let mut faults = if rng.bool() {
            Self::passing(rng)
        } else {
            Self::default()
        };
        if rng.u32(0..4) == 0 {
            faults.lost_for_good = rng.u32(1..40);
        }
        if rng.u32(0..6) == 0 {
            faults.outage = Some((rng.u64(0..horizon), rng.u64(1_000..600_000)));
        }
        for operation in ["ServiceDeployments", "StopServiceDeployment", "LogTail"] {
            if rng.u32(0..12) == 0 {
                faults.forbidden.push(operation);
            }
        }
        if rng.u32(0..10) == 0 {
            faults.clock_set = Some((rng.u64(0..horizon), rng.i64(-120_000..120_000)));
        }
        if rng.u32(0..5) == 0 {
            faults.interrupt = Some(rng.u64(0..horizon));
        }
        if rng.u32(0..5) == 0 {
            // The first steps are the interesting ones.
            let most = if rng.bool() { 24 } else { 200 };
            faults.death = Some(rng.u64(0..most));
        }
        faults
    }

    /// Whether nothing but what passes can happen.
    pub(crate) fn pass(&self) -> bool {
        self.lost_for_good == 0
            && self.outage.is_none()
            && self.forbidden.is_empty()
            && self.clock_set.is_none()
            && self.interrupt.is_none()
            && self.death.is_none()
    }
}
