//! `local status` for people.

use std::fmt::Write as _;

use local_cloud::client::Status;

use crate::release::{mega, revision};

/// What the instance runs, a line each.
pub fn text(status: &Status) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:>10}  {value}");
    };
    row(
        "endpoint",
        &format!(
            "{} (process {}, up {} s)",
            status.endpoint, status.pid, status.uptime_seconds
        ),
    );
    row(
        "takes",
        &format!(
            "{:.1} MB of memory, {:.1} s of processor time until now",
            mega(status.memory_bytes),
            status.cpu_seconds
        ),
    );
    row("home", &status.home);
    row("tasks in", &status.isolation);
    for service in &status.services {
        row(
            "service",
            &format!(
                "{}/{} {}: {} of {} tasks running{}",
                service.cluster,
                service.name,
                revision(&service.task_definition),
                service.running,
                service.desired,
                service
                    .url
                    .as_ref()
                    .map_or_else(String::new, |url| format!(", {url}")),
            ),
        );
    }
    for target in status.target_groups.iter().flat_map(|group| &group.targets) {
        let reason = target
            .reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(" ({reason})"));
        row(
            "target",
            &format!("task {} {}{reason}", target.task, target.health),
        );
    }
    for (parameter, state) in &status.postgres {
        row("postgres", &format!("{parameter}: {state}"));
    }
    let sizes = &status.sizes;
    row(
        "holds",
        &format!(
            "{} repositories, {} images ({:.1} MB), {} parameters, {} log groups",
            sizes.repositories,
            sizes.images,
            mega(sizes.image_bytes),
            sizes.parameters,
            sizes.log_groups
        ),
    );
    out
}
