//! The arguments of every command in one place, as `--help` shows them.

use clap::{Parser, Subcommand};

use crate::commands;

/// From a commit to a live rolling deployment on Amazon ECS, and back when the new version is bad.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Show what happens inside, on standard error.
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build, push, roll out, watch, and go back if the new version is bad.
    Deploy(commands::deploy::Args),
    /// Run the tests of a service: tidy, vet, the race detector, a throwaway PostgreSQL.
    Test(commands::test::Args),
    /// Show what a deployment would change, and save it for review.
    Plan(commands::plan::Args),
    /// Go back to the revision whose deployment was SUCCESSFUL before the present one.
    Rollback(commands::rollback::Args),
    /// Show the deployments of a service, newest first.
    History(commands::history::Args),
    /// Show what a service runs.
    Status(commands::status::Args),
    /// Show what the service's tasks write.
    Logs(commands::logs::Args),
    /// Build the image and leave it as an OCI image layout; prints its digest.
    Build(commands::build::Args),
    /// Check pipeline.toml and the task definition of every service; offline.
    Check(commands::check::Args),
    /// Explain a kind of finding, or list them all.
    Explain(commands::explain::Args),
    /// Show what these sources register otherwise than those of another commit; offline.
    Diff(commands::diff::Args),
    /// Print the task definition as it would be registered.
    Render(commands::render::Args),
    /// Run the AWS that longshore carries with it, on this machine.
    Local(commands::local::Args),
    /// Write the JSON Schemas that editors use and the table of findings, or check that they are up to date.
    Schema(commands::schema::Args),
    /// Write the GitHub workflows from the pipeline files, or check that they are up to date.
    Workflows(commands::workflows::Args),
    /// Print the IAM roles that the pipeline needs: who may take them on, and exactly what they may do.
    Iam(commands::iam::Args),
    /// Carry out releases against a simulated ECS with random faults, and check that no outcome is a lie.
    Simulate(commands::simulate::Args),
}

impl Command {
    /// Whether the command may change what is live.
    pub fn releases(&self) -> bool {
        matches!(self, Self::Deploy(_) | Self::Rollback(_))
    }
}
