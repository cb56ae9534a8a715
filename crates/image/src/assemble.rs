//! Putting an image together: base layers, the probe, the files, one layer with the binary; configuration, manifest.
//!
//! What changes least lies lowest and in a layer of its own, so that a registry and the machines that pull have most of a
//! new version already.
//!
//! The result depends only on the [`ImageSpec`], the bytes of the binary and `Cargo.lock`; not on the machine, the
//! folder or the time.

mod under;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::base::{self, Base, CA_BUNDLE, NONROOT};
use crate::cache::Cache;
use crate::codec::Compression;
use crate::content::{self, FilesError};
use crate::digest::Digest;
use crate::elf::{self, ElfError};
use crate::files::{self, FileError};
use crate::layer::{Entry, Layer, LayerError, tar};
use crate::media_type;
use crate::oci::{
    Descriptor, EPOCH, Empty, History, ImageConfig, Manifest, RootFs, RunConfig, to_json,
};
use crate::platform::Platform;
use crate::probe;
use crate::tree::{self, Found, ImageFile, TreeError};
use under::{base_history, base_layer, base_layers, base_tars, check_base};

/// What an image is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// What it runs on. The binary must agree.
    pub platform: Platform,
    /// What lies under the binary.
    pub base: Base,
    /// The static binary on this machine.
    pub binary: PathBuf,
    /// The binary's name in the image, where it lies at `/<name>`.
    pub name: String,
    /// The commit it was built from, for the label `org.opencontainers.image.revision`.
    pub commit: String,
    /// The program and its arguments. Default: `/<name>`.
    pub entrypoint: Option<Vec<String>>,
    /// User name or number. Default: the base's, and 65532 (`nonroot`) where it has none.
    pub user: Option<String>,
    /// Environment variables. They win over the base's.
    pub env: BTreeMap<String, String>,
    /// More labels.
    pub labels: BTreeMap<String, String>,
    /// TCP ports the program listens on. A note for people: ECS reads the task definition.
    pub exposed_ports: BTreeSet<u16>,
    /// The folder that `files` are taken from; nothing outside it goes in.
    pub folder: PathBuf,
    /// Files and folders beside the binary.
    pub files: Vec<ImageFile>,
    /// The probe on this machine, as [`probe::build`] made it; it goes to `/probe`.
    pub probe: Option<PathBuf>,
    /// How the layers are compressed; also those of a base from a registry, because ECS has refused images whose layers
    /// are compressed in different ways.
    pub compression: Compression,
}

impl ImageSpec {
    /// An image on the embedded base, with the defaults of each field.
    pub fn new(
        platform: Platform,
        binary: impl Into<PathBuf>,
        name: impl Into<String>,
        commit: impl Into<String>,
    ) -> Self {
        Self {
            platform,
            base: Base::Embedded,
            binary: binary.into(),
            name: name.into(),
            commit: commit.into(),
            entrypoint: None,
            user: None,
            env: BTreeMap::new(),
            labels: BTreeMap::new(),
            exposed_ports: BTreeSet::new(),
            folder: PathBuf::from("."),
            files: Vec::new(),
            probe: None,
            compression: Compression::default(),
        }
    }
}

/// A whole image, in memory. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What it runs on.
    pub platform: Platform,
    /// The manifest's bytes.
    pub manifest: Bytes,
    /// Their digest: the name of the image.
    pub manifest_digest: Digest,
    /// The image configuration.
    pub config: Blob,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
}

/// Bytes with their media type and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What the bytes are.
    pub media_type: String,
    /// Their digest.
    pub digest: Digest,
    /// The bytes.
    pub data: Bytes,
}

impl Image {
    /// The size in bytes of everything a registry stores for it.
    pub fn size(&self) -> u64 {
        let layers: u64 = self.layers.iter().map(Layer::size).sum();
        (self.manifest.len() + self.config.data.len()) as u64 + layers
    }

    /// The manifest with its media type.
    pub fn manifest_blob(&self) -> Blob {
        Blob {
            media_type: media_type::MANIFEST.to_owned(),
            digest: self.manifest_digest.clone(),
            data: self.manifest.clone(),
        }
    }

    /// The layers and the configuration: what must be in the registry before the manifest.
    pub fn blobs(&self) -> impl Iterator<Item = Blob> {
        let layers = self.layers.iter().map(|layer| Blob {
            media_type: layer.media_type.clone(),
            digest: layer.digest.clone(),
            data: layer.data.clone(),
        });
        layers.chain([self.config.clone()])
    }
}

/// An image could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The binary cannot run in the image.
    #[error("{} cannot go into an image: {source}", path.display())]
    Binary {
        /// The binary.
        path: PathBuf,
        /// Why not.
        source: ElfError,
    },
    /// The name would hide a folder of the base or is not a file name.
    #[error(
        "`{0}` cannot be the binary's name in the image: it must be one path component that is not a folder of the root \
         file system (such as `etc` or `tmp`), nor `probe` where the image has a probe; rename the package's folder"
    )]
    Name(String),
    /// The base is for something else.
    #[error(
        "the base image {reference} is for {found}, but the image is for {wanted}: pin the digest of its index, or of \
         its manifest for {wanted}"
    )]
    BasePlatform {
        /// The base.
        reference: String,
        /// What its configuration says.
        found: String,
        /// What is asked for.
        wanted: Platform,
    },
    /// The base contradicts itself.
    #[error(
        "the base image {reference} has {layers} layers, but its configuration names {diff_ids}: pin another digest"
    )]
    BaseLayers {
        /// The base.
        reference: String,
        /// How many layers its manifest has.
        layers: usize,
        /// How many its configuration has.
        diff_ids: usize,
    },
    /// A layer of the base cannot be read.
    #[error(
        "the base image {reference} has a layer that cannot be unpacked, {layer}: {reason}; pin another digest"
    )]
    BaseLayer {
        /// The base.
        reference: String,
        /// The layer.
        layer: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// The files beside the binary.
    #[error(transparent)]
    Files(#[from] TreeError),
    /// A layer could not be made.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The binary could not be read or the cache not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl From<FilesError> for AssembleError {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Tree(error) => error.into(),
            FilesError::Layer(error) => error.into(),
        }
    }
}

/// Folders at the root of a file system. A binary of this name would take their place.
const ROOT_FOLDERS: [&str; 21] = [
    "bin", "boot", "busybox", "dev", "etc", "home", "lib", "lib32", "lib64", "media", "mnt", "opt",
    "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var",
];

/// Puts an image together.
///
/// # Errors
///
/// When the binary cannot be read or is not a static executable for the platform, when the base does not fit, or
/// when the cache cannot be written.
pub fn assemble(spec: &ImageSpec, cache: &Cache) -> Result<Image, AssembleError> {
    let name = spec.name.as_str();
    let hidden = spec.probe.is_some() && name == probe::NAME;
    if name.is_empty()
        || name.contains(['/', '\0'])
        || name.starts_with('.')
        || ROOT_FOLDERS.contains(&name)
        || hidden
    {
        return Err(AssembleError::Name(spec.name.clone()));
    }
    let binary = executable(&spec.binary, spec.platform)?;
    let files = files_of(spec)?;

    let (mut layers, mut history, inherited) = match &spec.base {
        Base::Embedded => {
            let layer = cache.layer(&base::embedded_tar()?, spec.compression)?;
            (
                vec![layer],
                vec![step("longshore: base")],
                embedded_defaults(),
            )
        }
        Base::Registry(base) => {
            check_base(base, spec.platform)?;
            (
                base_layers(base, spec.compression, cache)?,
                base_history(base),
                base.config.config.clone(),
            )
        }
    };
    let mut add = |tar: &[u8], what: &str| -> Result<(), AssembleError> {
        layers.push(cache.layer(tar, spec.compression)?);
        history.push(step(&format!("longshore: {what}")));
        Ok(())
    };
    if let Some(path) = &spec.probe {
        let data = executable(path, spec.platform)?;
        add(&tar(&[Entry::file(probe::NAME, 0o755, &data)])?, "/probe")?;
    }
    if !files.is_empty() {
        let below = content::below(&base_tars(&spec.base)?).map_err(|error| match &spec.base {
            Base::Registry(base) => base_layer(base, &base.digest, &error),
            Base::Embedded => AssembleError::File(FileError::Other {
                verb: "read",
                path: "the embedded base".into(),
                source: error,
            }),
        })?;
        add(&content::files_tar(&files, &below)?, "files")?;
    }
    add(
        &tar(&[Entry::file(name, 0o755, &binary)])?,
        &format!("/{name}"),
    )?;

    let config = ImageConfig {
        created: Some(EPOCH.to_owned()),
        architecture: spec.platform.arch.as_str().to_owned(),
        os: spec.platform.os.as_str().to_owned(),
        config: run_config(spec, inherited),
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: layers.iter().map(|layer| layer.diff_id.clone()).collect(),
        },
        history,
    };
    Ok(image(spec, &config, layers))
}

/// A static executable for the platform.
fn executable(path: &Path, platform: Platform) -> Result<Vec<u8>, AssembleError> {
    let data = files::read(path)?;
    elf::check(&data, platform.arch).map_err(|source| AssembleError::Binary {
        path: path.to_owned(),
        source,
    })?;
    Ok(data)
}

/// The files, none of which takes the place of a program.
fn files_of(spec: &ImageSpec) -> Result<BTreeMap<String, Found>, AssembleError> {
    if spec.files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let files = tree::collect(&spec.folder, &spec.files)?;
    let programs = [
        Some((spec.name.as_str(), "the service's program")),
        spec.probe
            .as_ref()
            .map(|_| (probe::NAME, "the probe (`probe = true`)")),
    ];
    for (path, what) in programs.into_iter().flatten() {
        if files.contains_key(path) {
            let path = path.to_owned();
            return Err(TreeError::Taken { path, what }.into());
        }
    }
    Ok(files)
}

/// The documents around finished layers.
fn image(spec: &ImageSpec, config: &ImageConfig, layers: Vec<Layer>) -> Image {
    let config = to_json(config);
    let mut annotations = BTreeMap::new();
    if let Base::Registry(base) = &spec.base {
        annotations.insert(
            "org.opencontainers.image.base.digest".to_owned(),
            base.digest.to_string(),
        );
        annotations.insert(
            "org.opencontainers.image.base.name".to_owned(),
            base.reference.clone(),
        );
    }
    let manifest = to_json(&Manifest {
        schema_version: 2,
        media_type: media_type::MANIFEST.to_owned(),
        config: Descriptor::of(media_type::CONFIG, &config),
        layers: layers
            .iter()
            .map(|layer| Descriptor {
                media_type: layer.media_type.clone(),
                digest: layer.digest.clone(),
                size: layer.size(),
                platform: None,
                annotations: BTreeMap::new(),
            })
            .collect(),
        annotations,
    });
    Image {
        platform: spec.platform,
        manifest_digest: Digest::of(&manifest),
        manifest: manifest.into(),
        config: Blob {
            media_type: media_type::CONFIG.to_owned(),
            digest: Digest::of(&config),
            data: config.into(),
        },
        layers,
    }
}

fn run_config(spec: &ImageSpec, inherited: RunConfig) -> RunConfig {
    let mut labels = spec.labels.clone();
    labels.insert(
        "org.opencontainers.image.revision".to_owned(),
        spec.commit.clone(),
    );
    RunConfig {
        user: match &spec.user {
            Some(user) => user.clone(),
            None if inherited.user.is_empty() => NONROOT.to_string(),
            None => inherited.user,
        },
        exposed_ports: spec
            .exposed_ports
            .iter()
            .map(|port| (format!("{port}/tcp"), Empty {}))
            .collect(),
        env: merge_env(inherited.env, &spec.env),
        entrypoint: spec
            .entrypoint
            .clone()
            .unwrap_or_else(|| vec![format!("/{}", spec.name)]),
        // The base's arguments were meant for the base's program.
        cmd: Vec::new(),
        // Another user than the base's may not be allowed into its home.
        working_dir: match (&spec.base, &spec.user) {
            (Base::Embedded, Some(user)) if !is_nonroot(user) => "/".to_owned(),
            _ => inherited.working_dir,
        },
        labels,
    }
}

/// Is this the account that the embedded base has a home for?
fn is_nonroot(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    name == "nonroot" || name == NONROOT.to_string()
}

/// The base's variables in their order, with replaced values in place, then the new ones by name.
fn merge_env(inherited: Vec<String>, own: &BTreeMap<String, String>) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let taken: BTreeSet<String> = inherited.iter().map(|variable| name(variable)).collect();
    let replaced =
        inherited
            .into_iter()
            .map(|variable| match own.get_key_value(&name(&variable)) {
                Some((name, value)) => format!("{name}={value}"),
                None => variable,
            });
    let added = own
        .iter()
        .filter(|(name, _)| !taken.contains(*name))
        .map(|(name, value)| format!("{name}={value}"));
    replaced.chain(added).collect()
}

fn embedded_defaults() -> RunConfig {
    RunConfig {
        user: NONROOT.to_string(),
        env: vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            format!("SSL_CERT_FILE={CA_BUNDLE}"),
        ],
        working_dir: "/home/nonroot".to_owned(),
        ..RunConfig::default()
    }
}

fn step(created_by: &str) -> History {
    History {
        created: Some(EPOCH.to_owned()),
        created_by: Some(created_by.to_owned()),
        ..History::default()
    }
}
