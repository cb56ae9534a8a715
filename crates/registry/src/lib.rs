//! A push and pull client for OCI registries, correct on Amazon ECR.
//!
//! ECR differs from the OCI distribution specification in places where a client that follows it to the letter
//! fails: it answers other status codes, closes connections instead of refusing, and refuses to write an immutable
//! tag again even with the same content. This client looks before it writes, sends each blob in one piece, begins
//! anew after every failure, and asks at the end whether the image is there.
//!
//! ```no_run
//! use registry::{Basic, Client, Registry};
//!
//! # async fn example(image: image::ImageSet, password: String) -> Result<(), registry::Error> {
//! let host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
//! let client = Client::new(Registry::new(host, Some(Basic::new("AWS", password)))?)?;
//! let tags = ["9fceb02".to_owned()];
//! let pushed = client.push("shop/api", &image, &tags, |progress| eprintln!("{progress:?}")).await?;
//! println!("{host}/shop/api@{}", pushed.digest);
//! # Ok(())
//! # }
//! ```
//!
//! A base image comes from a registry too, pinned by its digest:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use image::{Base, Cache, ImageSpec, Platform};
//!
//! let cache = Cache::new("target/longshore/cache");
//! let reference = "gcr.io/distroless/static-debian12@sha256:\
//!                  0000000000000000000000000000000000000000000000000000000000000000";
//! let base = registry::pull_base(reference, Platform::LINUX_AMD64, None, &cache).await?;
//! let mut spec = ImageSpec::new(Platform::LINUX_AMD64, "bin/api", "api", "9fceb02");
//! spec.base = Base::Registry(Box::new(base));
//! # Ok(())
//! # }
//! ```

mod address;
mod auth;
mod base;
mod client;
mod error;
mod progress;
mod pull;
mod push;
mod retry;

pub use address::{Basic, Registry};
pub use base::pull_base;
pub use client::Client;
pub use error::Error;
pub use progress::Progress;
pub use pull::PulledManifest;
pub use push::Pushed;
pub use retry::Retries;
