//! All that a task needs before its first process: secrets, log groups, images, ports.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::life::Surroundings;
use super::sandbox::protocol::{Container, Mode, Plan};
use super::{Failure, Host, image};
use crate::task::{ContainerSpec, Report, StartFailure, TaskSpec};

/// Secrets, log groups, images, the task's folder: in the order in which ECS prepares a task.
pub(super) fn prepare(around: &Surroundings, spec: &TaskSpec) -> Result<Plan, Failure> {
    let host = around.host.as_ref();
    let mut secrets = Vec::new();
    for container in &spec.containers {
        secrets.push(resolve_secrets(host, container)?);
        prepare_log(host, container)?;
    }
    let mut digests = BTreeMap::new();
    let mut images = Vec::new();
    for container in &spec.containers {
        let image = image::pull(host, &around.home, &around.unpacking, &container.image).map_err(
            |reason| Failure {
                kind: StartFailure::CannotPullContainerError,
                container: Some(container.name.clone()),
                reason,
            },
        )?;
        digests.insert(container.name.clone(), image.digest.clone());
        images.push(image);
    }
    host.report(Report::Pulled {
        task: spec.id.clone(),
        digests,
    });
    let hostname: String = spec.id.chars().take(12).collect();
    let mut containers = Vec::new();
    for ((container, image), secrets) in spec.containers.iter().zip(images).zip(secrets) {
        let mut process = image.process(container, secrets, &hostname)?;
        if around.mode == Mode::Plain {
            plain_environment(&mut process.env, container, &image.root, &around.ports);
        }
        containers.push(Container {
            name: container.name.clone(),
            process,
            readonly_root: container.readonly_root,
            memory_bytes: container.memory_mib.map(|mib| mib.saturating_mul(1 << 20)),
            stop_timeout_ms: container.stop_timeout_ms,
            stop_signal: image.stop_signal(),
            root: image.root,
            held: container.held,
            restarts: container.restarts,
        });
    }
    std::fs::create_dir_all(&around.folder).map_err(|error| {
        Failure::task(
            StartFailure::ResourceInitializationError,
            format!("{}: {error}", around.folder.display()),
        )
    })?;
    Ok(Plan {
        folder: around.folder.clone(),
        hostname,
        containers,
    })
}

fn resolve_secrets(
    host: &dyn Host,
    container: &ContainerSpec,
) -> Result<Vec<(String, String)>, Failure> {
    container
        .secrets
        .iter()
        .map(|(name, value_from)| {
            let value = host.secret(value_from).map_err(|reason| Failure {
                kind: StartFailure::ResourceInitializationError,
                container: Some(container.name.clone()),
                reason: format!(
                    "unable to pull secrets or registry auth: execution resource retrieval failed: {reason}"
                ),
            })?;
            Ok((name.clone(), value))
        })
        .collect()
}

fn prepare_log(host: &dyn Host, container: &ContainerSpec) -> Result<(), Failure> {
    let Some(log) = &container.log else {
        return Ok(());
    };
    if host.log_group_exists(&log.group) {
        return Ok(());
    }
    if log.create_group {
        host.create_log_group(&log.group);
        return Ok(());
    }
    Err(Failure {
        kind: StartFailure::ResourceInitializationError,
        container: Some(container.name.clone()),
        reason: "failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: \
                 ResourceNotFoundException: The specified log group does not exist. : exit status 1"
            .to_owned(),
    })
}

/// Without namespaces all tasks share the machine's ports and files: the service is told another port by `PORT`, and where the image's CA roots lie.
fn plain_environment(
    env: &mut Vec<(String, String)>,
    container: &ContainerSpec,
    root: &Path,
    ports: &BTreeMap<u16, u16>,
) {
    let mut set = |name: &str, value: String| {
        env.retain(|(existing, _)| existing != name);
        env.push((name.to_owned(), value));
    };
    for port in &container.ports {
        if let Some(moved) = ports.get(port).filter(|moved| *moved != port) {
            set("PORT", moved.to_string());
        }
    }
    let roots = root.join("etc/ssl/certs/ca-certificates.crt");
    if roots.exists() {
        set("SSL_CERT_FILE", roots.display().to_string());
    }
}

/// Where the container ports of a task are.
///
/// Without namespaces a container that has exactly one port, and takes it from `PORT` (not set, or set to that port), gets a free one of this machine. A container with several
/// ports, or with a `PORT` that means something else, keeps what it has.
pub(super) fn ports(mode: Mode, spec: &TaskSpec) -> BTreeMap<u16, u16> {
    let mut ports = BTreeMap::new();
    for container in &spec.containers {
        ports.extend(container.ports.iter().map(|&port| (port, port)));
        let [port] = container.ports[..] else {
            continue;
        };
        let moves = container
            .environment
            .iter()
            .rfind(|(name, _)| name == "PORT")
            .is_none_or(|(_, value)| *value == port.to_string());
        if mode == Mode::Plain
            && moves
            && let Some(free) = free_port()
        {
            ports.insert(port, free);
        }
    }
    ports
}

fn free_port() -> Option<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    Some(listener.local_addr().ok()?.port())
}
