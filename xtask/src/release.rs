//! The stages that deployments have in common: build, image, push, rollout.

mod build;
mod interrupt;
mod prepare;
mod push;
mod roll;

pub use build::{build, mega};
pub use interrupt::Interrupt;
pub use prepare::{Preparation, Ready};
pub use push::{push, reference};
pub use roll::{Finish, refused_receipt, revision, roll};
