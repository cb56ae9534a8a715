//! How many failed tasks decide.
//!
//! ECS replaces a task that failed, and a rollout of many tasks survives some that do: its own circuit breaker gives up after half as many failures as tasks are wanted, at least 3 and at most 200, and begins
//! anew with every task that gets healthy (Amazon ECS documentation, "How the Amazon ECS deployment circuit breaker detects failures"). A verdict that comes before ECS's own must not be stricter; it is quicker
//! because it need not wait until ECS has counted.

use crate::cause::{Cause, CauseCode};

/// What a rollout has to go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Tasks that are wanted.
    pub(crate) desired: u32,
    /// Whether any task of the deployment runs just now.
    pub(crate) some_run: bool,
}

/// Whether so many stopped tasks of one kind make a verdict before ECS has made its own.
///
/// While none of the deployment's tasks runs, as many as ECS's breaker takes; what cannot mend itself (no such image, no such secret, no such program) is given one try more at least, a crash or a failed health
/// check may be a slow dependency and is given three. While some run, the version can run: then it takes more failures than there are tasks, which is a loop. So it does where a program
/// ends by its own will, with 0. What passes by itself is believed last, and what is not for the version to mend (no room, capacity taken back) never.
pub(crate) fn enough(cause: &Cause, count: usize, scale: Scale) -> bool {
    let desired = scale.desired as usize;
    let half = desired.div_ceil(2);
    let is_certain = matches!(
        cause.code,
        CauseCode::ImagePull | CauseCode::Secret | CauseCode::CannotStart
    );
    let willing = cause.code == CauseCode::Exit && cause.exit_code == Some(0);
    let needed = if cause.code.waits() {
        return false;
    } else if cause.waits() {
        if scale.some_run {
            return false;
        }
        (2 * desired).max(10)
    } else if scale.some_run || willing {
        (desired + half).max(3)
    } else if is_certain {
        half.clamp(2, 200)
    } else {
        half.clamp(3, 200)
    };
    count >= needed
}

/// Tasks that may fail once the rollout is done, before that is a verdict: one in twenty.
pub(crate) fn too_many_afterwards(count: usize, desired: u32) -> bool {
    count >= (desired as usize).div_ceil(20).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(code: CauseCode, message: &str, desired: u32, some_run: bool) -> Option<usize> {
        let cause = Cause {
            exit_code: message.parse().ok(),
            ..Cause::new(code, message)
        };
        (1..1_000).find(|count| enough(&cause, *count, Scale { desired, some_run }))
    }

    #[test]
    fn the_verdict_is_never_stricter_than_the_circuit_breaker() {
        use CauseCode as C;
        // Kind, words, tasks that none of them runs; then while some run.
        let table = [
            (C::ImagePull, "not found", 2, Some(2), Some(3)),
            (C::ImagePull, "not found", 200, Some(100), Some(300)),
            (C::CannotStart, "no such file", 1, Some(2), Some(3)),
            (C::Exit, "1", 1, Some(3), Some(3)),
            (C::Exit, "1", 2, Some(3), Some(3)),
            (C::Exit, "1", 4, Some(3), Some(6)),
            (C::Exit, "1", 200, Some(100), Some(300)),
            (C::Exit, "1", 600, Some(200), Some(900)),
            (C::Exit, "0", 200, Some(300), Some(300)),
            (C::TargetHealth, "failed", 10, Some(5), Some(15)),
            (C::Secret, "Rate exceeded", 2, Some(10), None),
            (C::ImagePull, "i/o timeout", 200, Some(400), None),
            (C::Capacity, "no room", 2, None, None),
        ];
        for (code, message, desired, none, some) in table {
            let seen = (
                needed(code, message, desired, false),
                needed(code, message, desired, true),
            );
            assert_eq!(seen, (none, some), "{code:?} {message} of {desired}");
        }
    }

    #[test]
    fn after_the_rollout_one_of_twenty_may_fail() {
        for (desired, allowed) in [(0, 0), (1, 0), (2, 0), (20, 0), (21, 1), (200, 9)] {
            assert!(!too_many_afterwards(allowed, desired), "{desired}");
            assert!(too_many_afterwards(allowed + 1, desired), "{desired}");
        }
    }
}
