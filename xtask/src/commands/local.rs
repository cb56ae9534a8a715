//! `local`: the AWS that longshore carries with it, on this machine.

mod calls;
mod fault;
mod follow;
mod status;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr as _;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use local_cloud::client::{self, Instance, Options, Pace, Started};

use super::OutputFormat;
use crate::exit::{bad_input, refused};
use crate::project::Project;
use crate::ui;

/// The argument with which the task runner enters this program again.
const SANDBOX: &str = "sandbox";

/// Arguments of `local`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: LocalCommand,
}

#[derive(Debug, Subcommand)]
enum LocalCommand {
    /// Start it.
    Up {
        /// Loopback port; 7411 when left out (or LONGSHORE_LOCAL_PORT).
        #[arg(long)]
        port: Option<u16>,
        /// How fast it is: a deployment in seconds, or the times that ECS takes.
        #[arg(long, value_enum, default_value_t = PaceArg::Quick)]
        pace: PaceArg,
    },
    /// Stop it, with all that it runs. What it knows stays.
    Down,
    /// Stop it, and forget all that it knows: images, revisions, services, parameters, databases.
    Reset,
    /// Show what it runs.
    Status {
        /// What is printed on standard output.
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
    /// Print the output of the tasks of a log group; all groups' names when none is given.
    Logs(follow::LogsArgs),
    /// Print what the services said.
    Events(follow::EventsArgs),
    /// Make go wrong here what goes wrong on AWS.
    Fault(fault::Args),
    /// Print the requests that AWS clients made: when, which permission on which resources, who, and how it ended.
    Calls(calls::Args),
    /// Print an identity token, as CI gives one to a job, for `AWS_WEB_IDENTITY_TOKEN_FILE`.
    Token(token::Args),
    /// Print `export` lines that point any AWS client at it.
    Env,
    /// The process itself; `up` and `deploy` start it in the background.
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        home: PathBuf,
        #[arg(long)]
        port: Option<u16>,
        #[arg(long, value_enum, default_value_t = PaceArg::Quick)]
        pace: PaceArg,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PaceArg {
    Quick,
    Aws,
}

impl From<PaceArg> for Pace {
    fn from(pace: PaceArg) -> Self {
        match pace {
            PaceArg::Quick => Self::Quick,
            PaceArg::Aws => Self::Aws,
        }
    }
}

/// Runs the sandbox's part when this process was started for it.
pub fn sandbox_entry() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let entered = args.next()? == "local" && args.next()? == SANDBOX;
    if !entered {
        return None;
    }
    Some(local_cloud::runner::sandbox_main(&args.next()?))
}

/// How the instance of this project is started.
pub fn options(project: &Project) -> anyhow::Result<Options> {
    let port = match std::env::var("LONGSHORE_LOCAL_PORT") {
        Ok(port) => Some(u16::from_str(&port).map_err(|_| {
            bad_input(format!(
                "LONGSHORE_LOCAL_PORT is `{port}`, which is no port"
            ))
        })?),
        Err(_) => None,
    };
    let mut options = Options::new(project.home()?.join("local"))?;
    options.port = port;
    Ok(options)
}

/// Runs `local`.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let LocalCommand::Serve { home, port, pace } = args.command {
        let mut options = Options::new(home)?;
        options.port = port;
        options.pace = pace.into();
        client::serve(options).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let project = Project::find()?;
    let mut options = options(&project)?;
    match args.command {
        LocalCommand::Up { port, pace } => {
            options.port = port.or(options.port);
            options.pace = pace.into();
            let (instance, started) = tokio::task::block_in_place(|| client::start(&options))?;
            let word = match started {
                Started::Started => "started",
                Started::AlreadyRunning => "running already",
            };
            ui::say(&format!("{word}, at {}", instance.endpoint));
            if let Some(note) = other_port(&options, &instance) {
                ui::say(&note);
            }
        }
        LocalCommand::Down => match tokio::task::block_in_place(|| client::find(&options.home))? {
            Some(instance) => {
                instance.shutdown().await?;
                ui::say("stopped; what it knows stays for the next time");
            }
            None => ui::say("not running"),
        },
        LocalCommand::Reset => {
            if let Some(instance) = tokio::task::block_in_place(|| client::find(&options.home))? {
                instance.shutdown().await?;
            }
            if options.home.exists() {
                std::fs::remove_dir_all(&options.home)
                    .with_context(|| format!("{} cannot be removed", options.home.display()))?;
            }
            ui::say("as new");
        }
        LocalCommand::Status { format } => {
            let status = running(&options)?.status().await?;
            ui::print(&match format {
                OutputFormat::Text => status::text(&status),
                OutputFormat::Json => format!("{}\n", serde_json::to_string_pretty(&status)?),
            });
        }
        LocalCommand::Logs(args) => follow::logs(args, &running(&options)?).await?,
        LocalCommand::Events(args) => follow::events(args, &running(&options)?).await?,
        LocalCommand::Fault(args) => fault::run(args, &running(&options)?).await?,
        LocalCommand::Calls(args) => calls::run(&args, &options.home)?,
        LocalCommand::Token(args) => token::run(args, &running(&options)?).await?,
        LocalCommand::Env => {
            for (name, value) in running(&options)?.exports() {
                ui::print(&format!("export {name}='{value}'\n"));
            }
        }
        LocalCommand::Serve { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// That the instance runs on another port than the one that was asked for: it was started before.
pub fn other_port(options: &Options, instance: &Instance) -> Option<String> {
    let wanted = options
        .port
        .filter(|port| *port != instance.port && *port != 0)?;
    Some(format!(
        "note: it runs on port {} already, not on {wanted} as was asked; `cargo xtask local down` first, and it starts there",
        instance.port
    ))
}

fn running(options: &Options) -> anyhow::Result<Instance> {
    tokio::task::block_in_place(|| client::find(&options.home))?.ok_or_else(|| {
        refused(
            "the AWS on this machine is not running",
            Some("start it with `cargo xtask local up`"),
        )
    })
}
