//! The GitHub workflows of a repository, made from its pipeline files: tests on pull requests, a deployment for each environment, rollback by a button.
//!
//! Pure: services in, files out. The rules that every workflow keeps, and that tests hold:
//!
//! - Nothing from outside is part of a script. A `run:` is a constant text; names, inputs and revisions reach it as environment variables, in quotes.
//! - Actions are pinned by commit ([`actions`]).
//! - A job has the permissions that it needs and says why; only a job that deploys may ask for an OIDC token, and no test runs in it.
//! - A rollout in flight is never cancelled by a newer one.

mod actions;
mod generate;
mod jobs;
mod model;

pub use generate::{File, MARK, Problem, Unit, generate, session_seconds};
