//! The stages that deployments have in common: build, image, push, rollout.

mod build;
mod interrupt;
mod push;
mod roll;

pub use build::{build, mega};
pub use interrupt::Interrupt;
pub use push::push;
pub use roll::{Finish, refused_receipt, revision, roll};
