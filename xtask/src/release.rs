//! The stages that deployments have in common: build, image, push, rollout.

mod build;
mod interrupt;
mod prepare;
mod push;
mod roll;
mod summary;

pub use build::{build, mega};
pub use interrupt::Interrupt;
pub use prepare::{NotReady, Preparation, Ready};
pub use push::{push, reference};
pub use roll::{about, finish, refused_receipt, roll};
pub use rollout::words::revision;
pub use summary::summary;
