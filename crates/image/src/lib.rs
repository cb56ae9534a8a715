//! From Go sources to an OCI image, without a daemon and without a base image to pull.
//!
//! The parts can be used one by one: [`go::build`] makes the binary, [`assemble`] makes the image, [`ImageSet`] puts those
//! for several platforms under one name, [`layout`] keeps them on disk. Bytes come in and bytes go out; nothing here speaks to a network. The same sources, commit and
//! toolchains give the same digest on any machine.
//!
//! ```no_run
//! use image::{Cache, GoBuild, ImageSpec, Platform, assemble};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let commit = "9fceb02d0ae598e95dc970b74767f19372d61af8";
//! let binary = image::go::build(&GoBuild {
//!     module_dir: "examples/api".into(),
//!     package: "./cmd/api".to_owned(),
//!     platform: Platform::LINUX_ARM64,
//!     commit_variable: Some("main.commit".to_owned()),
//!     commit: commit.to_owned(),
//!     ldflags: Vec::new(),
//!     tags: Vec::new(),
//!     env: Vec::new(),
//!     output_dir: "target/longshore/api".into(),
//! })?;
//! let spec = ImageSpec::new(Platform::LINUX_ARM64, binary, "api", commit);
//! let image = assemble(&spec, &Cache::new("target/longshore/cache"))?;
//! image::layout::write("target/longshore/api/image".as_ref(), &image.clone().into(), commit)?;
//! println!("{}", image.manifest_digest);
//! # Ok(())
//! # }
//! ```

mod assemble;
mod base;
mod cache;
mod codec;
mod content;
mod digest;
pub mod elf;
mod files;
pub mod go;
mod layer;
pub mod layout;
pub mod media_type;
pub mod oci;
mod platform;
pub mod probe;
mod set;
mod tree;

pub use assemble::{AssembleError, Blob, Image, ImageSpec, assemble};
pub use base::{Base, BaseImage, CA_BUNDLE, NONROOT};
pub use cache::Cache;
pub use codec::Compression;
pub use digest::{Digest, ParseDigestError};
pub use elf::ElfError;
pub use files::FileError;
pub use go::{BuildError, GoBuild};
pub use layer::{Layer, LayerError};
pub use layout::LayoutError;
pub use platform::{Arch, Os, ParsePlatformError, Platform};
pub use probe::ProbeBuild;
pub use set::ImageSet;
pub use tree::{ImageFile, TreeError};
