//! What a container takes of the machine's memory.
//!
//! The limit is kept by looking, not by the kernel: control groups can be written to by few on a laptop, and differ between machines. A container that grows beyond its limit
//! between two looks is killed at the next one.

use std::fs;
use std::time::Duration;

/// Time between two looks.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// Bytes of memory that belong to the process `pid` and its descendants alone: not files, not memory shared with others.
pub(super) fn used(pid: i32) -> u64 {
    let children: u64 = children(pid).into_iter().map(used).sum();
    own(pid) + children
}

/// Processes whose parent is `pid`.
pub(super) fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}

/// `proc_pid_statm(5)`: resident pages less shared ones.
fn own(pid: i32) -> u64 {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/statm")) else {
        return 0;
    };
    let mut pages = text
        .split_whitespace()
        .skip(1)
        .map_while(|number| number.parse::<u64>().ok());
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared) * rustix::param::page_size() as u64
}
