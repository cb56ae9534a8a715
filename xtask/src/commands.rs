//! One module a command: its arguments and one `run`.

pub mod build;
pub mod check;
pub mod deploy;
pub mod diff;
pub mod explain;
pub mod history;
pub mod iam;
pub mod local;
pub mod logs;
pub mod plan;
pub mod render;
pub mod rollback;
pub mod schema;
pub mod simulate;
pub mod status;
pub mod test;
pub mod workflows;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::cli::{Cli, Command};

/// Which service of the repository.
#[derive(Debug, clap::Args)]
pub struct ServiceArg {
    /// Service, by the name in its pipeline file; needed when the repository holds several.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
}

/// Which service, and where.
#[derive(Debug, clap::Args)]
pub struct TargetArgs {
    #[command(flatten)]
    pub service: ServiceArg,
    /// Environment of the pipeline file; the file's default when left out.
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,
}

/// What is printed on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For scripts.
    Json,
}

/// Runs a command.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if cli.verbose {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(tracing::Level::DEBUG)
            .init();
    }
    match cli.command {
        Command::Build(args) => block_on(build::run(args)),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Render(args) => render::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Simulate(args) => simulate::run(&args, cli.verbose),
        Command::Deploy(args) => block_on(deploy::run(args)),
        Command::Rollback(args) => block_on(rollback::run(args)),
        Command::History(args) => block_on(history::run(args)),
        Command::Logs(args) => block_on(logs::run(args)),
        Command::Plan(args) => block_on(plan::run(args)),
        Command::Status(args) => block_on(status::run(args)),
        Command::Iam(args) => iam::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Workflows(args) => workflows::run(&args),
        Command::Test(args) => block_on(test::run(args)),
        Command::Local(args) => block_on(local::run(args)),
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the asynchronous runtime cannot be started")?
        .block_on(command)
}

/// The folder that commands work in.
pub fn current_dir() -> anyhow::Result<PathBuf> {
    std::env::current_dir().context("the current folder cannot be found out; has it been deleted?")
}
