//! The only place that knows the AWS SDK: makes every client from one configuration and carries out single requests. It decides nothing.
//!
//! *Architecture invariant:* no other crate names an `aws-sdk-*` type. What comes back is `rollout`'s plain data.

mod connect;
mod ecr;
mod ecs;
mod error;
mod logs;
mod partition;
mod preflight;
mod raw;
mod records;
mod signed;
mod tasks;
mod views;

pub use connect::{Access, Aws, Connection, Identity, Patience};
pub use ecr::{Repository, Token};
pub use error::{Error, ErrorKind};
pub use logs::LogLine;
