//! Support for tests that drive the real binary: a project in a folder of its own, with an AWS of its own, and a load generator.
//!
//! A test helper may panic: a panic is how a test fails.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a panic is how a test fails"
)]

mod api;
mod background;
mod binary;
mod load;
mod project;
mod tools;
mod workflow;

pub use background::Background;
pub use binary::longshore;
pub use load::{Load, Tally, get};
pub use project::{Project, Run};
pub use tools::{have, skip_without};
pub use workflow::{Ran, Runner};
