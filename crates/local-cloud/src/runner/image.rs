//! From an image reference to an unpacked root file system and the process to start in it.
//!
//! How an image's configuration and a container definition combine is what container runtimes do: OCI image specification, "Image Configuration"; Docker's
//! reference on `ENTRYPOINT` and `CMD`; the ECS developer guide on `entryPoint`, `command`, `user` and `workingDirectory`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::account::{self, Account};
use super::sandbox::protocol::Process;
use super::unpack::{self, Compression, Layer};
use super::{Failure, Host};
use crate::task::{ContainerSpec, StartFailure};

/// What Docker gives a process whose image sets no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A manifest, or an index of manifests for several platforms.
#[derive(Deserialize)]
struct Manifest {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    config: Option<Defaults>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// What an image says about the process to run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Defaults {
    user: Option<String>,
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    stop_signal: Option<String>,
}

/// An image that is here, checked and unpacked.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// Digest of what the reference named: that of an index when it is one.
    pub(super) digest: String,
    /// The unpacked root file system.
    pub(super) root: PathBuf,
    platform: String,
    defaults: Defaults,
}

/// The platform of this machine in the words of image configurations.
fn host_platform() -> (&'static str, &'static str) {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    ("linux", architecture)
}

/// Brings the image into `<home>/rootfs` unless it is there already.
pub(super) fn pull(
    host: &dyn Host,
    home: &Path,
    unpacking: &Mutex<()>,
    reference: &str,
) -> Result<Image, String> {
    let (digest, bytes) = host.manifest(reference)?;
    check(&digest, &bytes)?;
    let mut manifest: Manifest = parse("manifest", &bytes)?;
    let mut manifest_digest = digest.clone();
    if manifest.config.is_none() && !manifest.manifests.is_empty() {
        let (os, architecture) = host_platform();
        let chosen = manifest
            .manifests
            .iter()
            .find(|entry| {
                entry.platform.as_ref().is_some_and(|platform| {
                    platform.os == os && platform.architecture == architecture
                })
            })
            .ok_or_else(|| {
                format!(
                    "image Manifest does not contain descriptor matching platform '{os}/{architecture}'"
                )
            })?;
        let (found, bytes) = host.manifest(&with_digest(reference, &chosen.digest))?;
        check(&chosen.digest, &bytes)?;
        manifest = parse("manifest", &bytes)?;
        manifest_digest = found;
    }
    let config = manifest
        .config
        .ok_or_else(|| format!("{reference}: the manifest names no configuration"))?;
    let config_bytes = std::fs::read(host.blob(reference, &config.digest)?)
        .map_err(|error| format!("failed to read {}: {error}", config.digest))?;
    check(&config.digest, &config_bytes)?;
    let configuration: Configuration = parse("image configuration", &config_bytes)?;
    let root = home.join("rootfs").join(manifest_digest.replace(':', "-"));
    let alone = unpacking.lock().unwrap_or_else(PoisonError::into_inner);
    if !root.exists() {
        let layers = layers(host, reference, &manifest.layers, &configuration)?;
        unpack_beside(&root, &layers)?;
    }
    drop(alone);
    Ok(Image {
        digest,
        root,
        platform: format!("{}/{}", configuration.os, configuration.architecture),
        defaults: configuration.config.unwrap_or_default(),
    })
}

fn layers(
    host: &dyn Host,
    reference: &str,
    descriptors: &[Descriptor],
    configuration: &Configuration,
) -> Result<Vec<Layer>, String> {
    let diff_ids = &configuration.rootfs.diff_ids;
    if descriptors.len() != diff_ids.len() {
        return Err(format!(
            "{reference}: the manifest has {} layers, its configuration {}",
            descriptors.len(),
            diff_ids.len()
        ));
    }
    descriptors
        .iter()
        .zip(diff_ids)
        .map(|(descriptor, diff_id)| {
            let compression = Compression::of(&descriptor.media_type).ok_or_else(|| {
                format!(
                    "{reference}: layer {} has the media type {}; this machine unpacks tar, tar+gzip and tar+zstd",
                    descriptor.digest, descriptor.media_type
                )
            })?;
            Ok(Layer {
                blob: host.blob(reference, &descriptor.digest)?,
                digest: descriptor.digest.clone(),
                diff_id: diff_id.clone(),
                compression,
            })
        })
        .collect()
}

/// Unpacks beside `root` and renames, so that a folder with the final name is always whole.
fn unpack_beside(root: &Path, layers: &[Layer]) -> Result<(), String> {
    let folder = root.parent().unwrap_or(Path::new("."));
    let failed =
        |error: std::io::Error| format!("failed to unpack into {}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    let partial = tempfile::Builder::new()
        .prefix(super::PARTIAL)
        .tempdir_in(folder)
        .map_err(failed)?
        .keep();
    // The folder was made for its owner alone; as a root it is open to every user of the container.
    let result = std::fs::set_permissions(
        &partial,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .map_err(failed)
    .and_then(|()| {
        unpack::unpack(&partial, layers, nix::unistd::geteuid().is_root())
            .map_err(|error| error.to_string())
    })
    .and_then(|()| match std::fs::rename(&partial, root) {
        // Somebody else was faster; theirs is the same.
        Err(_) if root.exists() => unpack::remove(&partial).map_err(failed),
        done => done.map_err(failed),
    });
    if result.is_err() {
        let _ = unpack::remove(&partial);
    }
    result
}

fn parse<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("the {what} cannot be read: {error}"))
}

fn check(want: &str, bytes: &[u8]) -> Result<(), String> {
    unpack::expect_digest("manifest or configuration", want, &unpack::digest_of(bytes))
        .map_err(|error| error.to_string())
}

/// `host/repository:tag` or `host/repository@digest` with another digest.
fn with_digest(reference: &str, digest: &str) -> String {
    let name = reference.split('@').next().unwrap_or(reference);
    let name = match name.rsplit_once(':') {
        // A colon before the last slash belongs to the port of the host.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    format!("{name}@{digest}")
}

impl Image {
    /// Signal that ends a container of this image; SIGTERM unless the image names another.
    pub(super) fn stop_signal(&self) -> String {
        self.defaults
            .stop_signal
            .clone()
            .filter(|signal| !signal.is_empty())
            .unwrap_or_else(|| "SIGTERM".to_owned())
    }

    /// The process a container definition and this image ask for; `secrets` are name and value.
    pub(super) fn process(
        &self,
        container: &ContainerSpec,
        secrets: Vec<(String, String)>,
        hostname: &str,
    ) -> Result<Process, Failure> {
        let failed = |reason: String| Failure {
            kind: StartFailure::CannotStartContainerError,
            container: Some(container.name.clone()),
            reason,
        };
        let argv = command_line(
            &self.defaults,
            container.entry_point.as_deref(),
            container.command.as_deref(),
        );
        let program = argv
            .first()
            .ok_or_else(|| failed("no command specified".to_owned()))?;
        let (os, architecture) = host_platform();
        if self.platform != format!("{os}/{architecture}") {
            return Err(failed(format!(
                "exec {program}: exec format error (the image is for {}, this machine is {os}/{architecture})",
                self.platform
            )));
        }
        let user = container
            .user
            .as_deref()
            .or(self.defaults.user.as_deref())
            .unwrap_or("");
        let account = account::look_up(&self.root, user).map_err(failed)?;
        Ok(Process {
            env: environment(&self.defaults, container, secrets, &account, hostname),
            cwd: container
                .working_directory
                .clone()
                .or_else(|| self.defaults.working_dir.clone())
                .filter(|folder| !folder.is_empty())
                .unwrap_or_else(|| "/".to_owned()),
            argv,
            account,
        })
    }
}

/// A new entry point leaves the image's command behind; a new command alone goes to the image's entry point.
fn command_line(
    defaults: &Defaults,
    entry_point: Option<&[String]>,
    command: Option<&[String]>,
) -> Vec<String> {
    let given = |list: Option<&[String]>| list.filter(|list| !list.is_empty()).map(<[_]>::to_vec);
    let (entry_point, command) = match (given(entry_point), given(command)) {
        (Some(entry_point), command) => (entry_point, command.unwrap_or_default()),
        (None, Some(command)) => (defaults.entrypoint.clone().unwrap_or_default(), command),
        (None, None) => (
            defaults.entrypoint.clone().unwrap_or_default(),
            defaults.cmd.clone().unwrap_or_default(),
        ),
    };
    entry_point.into_iter().chain(command).collect()
}

/// What a runtime sets, under the image's, under `environment`, under the secrets.
fn environment(
    defaults: &Defaults,
    container: &ContainerSpec,
    secrets: Vec<(String, String)>,
    account: &Account,
    hostname: &str,
) -> Vec<(String, String)> {
    let mut env: BTreeMap<String, String> = [
        ("PATH", DEFAULT_PATH),
        ("HOSTNAME", hostname),
        ("HOME", &account.home),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    env.extend(
        defaults
            .env
            .iter()
            .flatten()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    env.extend(container.environment.iter().cloned());
    env.extend(secrets);
    // The kernel knows no such names and no such values.
    env.retain(|name, value| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
    });
    env.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn entry_point_and_command_combine_as_in_a_container_runtime() {
        let defaults = Defaults {
            entrypoint: Some(list(&["/server"])),
            cmd: Some(list(&["serve"])),
            ..Defaults::default()
        };
        for (entry_point, command, expected) in [
            (None, None, list(&["/server", "serve"])),
            (None, Some(list(&["check"])), list(&["/server", "check"])),
            (Some(list(&["/sh"])), None, list(&["/sh"])),
            (
                Some(list(&["/sh"])),
                Some(list(&["-c"])),
                list(&["/sh", "-c"]),
            ),
            (Some(vec![]), None, list(&["/server", "serve"])),
        ] {
            assert_eq!(
                command_line(&defaults, entry_point.as_deref(), command.as_deref()),
                expected
            );
        }
    }

    #[test]
    fn a_reference_takes_another_digest() {
        for (reference, expected) in [
            ("host:5000/a/b:tag", "host:5000/a/b@sha256:1"),
            ("host:5000/a/b", "host:5000/a/b@sha256:1"),
            ("host/a@sha256:2", "host/a@sha256:1"),
            ("host/a:tag@sha256:2", "host/a@sha256:1"),
        ] {
            assert_eq!(with_digest(reference, "sha256:1"), expected);
        }
    }
}
