//! `local fault`: makes go wrong here what goes wrong on AWS.

use std::fmt::Write as _;

use clap::{Subcommand, ValueEnum};
use local_cloud::client::{AlarmState, Error, Fault, FaultKind, Instance, Requests};

use crate::commands::OutputFormat;
use crate::exit::bad_input;
use crate::ui;

/// Arguments of `local fault`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: FaultCommand,
}

#[derive(Debug, Subcommand)]
enum FaultCommand {
    /// Make something go wrong. What lasts is printed with its number. It ends with `clear`, and when the AWS on this machine stops for whatever reason: it starts again without faults. The state of an alarm stays.
    #[command(subcommand)]
    Add(Add),
    /// Show the faults that are active.
    List {
        /// What is printed on standard output.
        #[arg(long, value_enum, default_value_t)]
        format: OutputFormat,
    },
    /// End a fault; all of them when none is named.
    Clear {
        /// Its number.
        id: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
enum Add {
    /// Answer requests with the service's throttling error.
    Throttle(RequestArgs),
    /// Answer requests with an error of the server (5xx).
    ServerError(RequestArgs),
    /// Reset the connection before anything is done.
    Reset(RequestArgs),
    /// Let requests take effect, then reset the connection instead of an answer.
    LoseResponse(RequestArgs),
    /// Answer requests later.
    Delay {
        #[command(flatten)]
        requests: RequestArgs,
        /// How much later, in milliseconds.
        #[arg(long)]
        millis: u64,
    },
    /// Let reads of ECS show the state of some time ago.
    LagReads {
        /// How long ago, in milliseconds.
        #[arg(long)]
        millis: u64,
    },
    /// Set the clock that signatures are checked against ahead, or back when negative.
    SkewClock {
        /// By how many seconds; more than 300 refuses what is signed with the right time.
        #[arg(long, allow_negative_numbers = true)]
        seconds: i64,
    },
    /// Let images not be pulled.
    FailPulls {
        /// Only images whose reference contains this.
        #[arg(long)]
        image: Option<String>,
        /// After so many it ends by itself.
        #[arg(long)]
        times: Option<u64>,
    },
    /// Let no more tasks find a place.
    FailPlacement {
        /// How many tasks there is room for, those that run included.
        #[arg(long, default_value_t = 0)]
        room: usize,
    },
    /// Kill the containers of a task, once.
    KillTask {
        /// ID of the task, or the name of a service: then the one that runs longest.
        target: String,
    },
    /// Set the state of a CloudWatch alarm, once; it is made if it is not there.
    Alarm {
        /// Its name.
        name: String,
        /// The state.
        #[arg(long, value_enum, default_value_t = State::Alarm)]
        state: State,
    },
}

#[derive(Debug, clap::Args)]
struct RequestArgs {
    /// Which requests, as policies name them: `ecs:UpdateService`, `ecs:Describe*`, `ecr:PutImage`, `*`.
    action: String,
    /// After so many requests it ends by itself.
    #[arg(long)]
    times: Option<u64>,
    /// Which share of the requests it meets, such as 0.5.
    #[arg(long)]
    probability: Option<f64>,
}

impl From<RequestArgs> for Requests {
    fn from(args: RequestArgs) -> Self {
        Self {
            action: args.action,
            times: args.times,
            probability: args.probability,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Ok,
    Alarm,
    InsufficientData,
}

impl From<Add> for FaultKind {
    fn from(add: Add) -> Self {
        match add {
            Add::Throttle(args) => Self::Throttle {
                requests: args.into(),
            },
            Add::ServerError(args) => Self::ServerError {
                requests: args.into(),
            },
            Add::Reset(args) => Self::Reset {
                requests: args.into(),
            },
            Add::LoseResponse(args) => Self::LoseResponse {
                requests: args.into(),
            },
            Add::Delay { requests, millis } => Self::Delay {
                requests: requests.into(),
                millis,
            },
            Add::LagReads { millis } => Self::LagReads { millis },
            Add::SkewClock { seconds } => Self::SkewClock { seconds },
            Add::FailPulls { image, times } => Self::FailPulls { image, times },
            Add::FailPlacement { room } => Self::FailPlacement { room },
            Add::KillTask { target } => Self::KillTask { target },
            Add::Alarm { name, state } => Self::SetAlarm {
                name,
                state: match state {
                    State::Ok => AlarmState::Ok,
                    State::Alarm => AlarmState::Alarm,
                    State::InsufficientData => AlarmState::InsufficientData,
                },
            },
        }
    }
}

/// Runs `local fault`.
pub async fn run(args: Args, instance: &Instance) -> anyhow::Result<()> {
    match args.command {
        FaultCommand::Add(add) => {
            let added = instance
                .add_fault(&add.into())
                .await
                .map_err(asked_wrongly)?;
            match added.id {
                Some(id) => {
                    ui::say(&format!(
                        "{}; `cargo xtask local fault clear {id}` ends it",
                        added.said
                    ));
                    ui::print(&format!("{id}\n"));
                }
                None => ui::say(&added.said),
            }
        }
        FaultCommand::List { format } => {
            let faults = instance.faults().await?;
            ui::print(&match format {
                OutputFormat::Text => faults.iter().map(line).collect(),
                OutputFormat::Json => format!("{}\n", serde_json::to_string_pretty(&faults)?),
            });
        }
        FaultCommand::Clear { id } => {
            let cleared = instance.clear_faults(id).await?;
            if let (Some(id), true) = (id, cleared.is_empty()) {
                return Err(bad_input(format!(
                    "there is no fault {id}; `cargo xtask local fault list` shows those that there are"
                )));
            }
            ui::say(&match cleared.len() {
                0 => "nothing was wrong".to_owned(),
                1 => format!("{} is over", cleared[0].fault.name()),
                many => format!("{many} faults are over"),
            });
        }
    }
    Ok(())
}

/// What cannot be made so was asked for wrongly; anything else is not the caller's fault.
fn asked_wrongly(error: Error) -> anyhow::Error {
    match error {
        Error::Refused(why) => bad_input(why),
        other => other.into(),
    }
}

fn line(fault: &Fault) -> String {
    let mut out = format!("{:>3}  {}", fault.id, fault.fault.name());
    // Writing to a String does not fail.
    let _ = match &fault.fault {
        FaultKind::Throttle { requests }
        | FaultKind::ServerError { requests }
        | FaultKind::Reset { requests }
        | FaultKind::LoseResponse { requests } => write!(out, " {}", which(requests)),
        FaultKind::Delay { requests, millis } => write!(out, " {} by {millis} ms", which(requests)),
        FaultKind::LagReads { millis } => write!(out, " by {millis} ms"),
        FaultKind::SkewClock { seconds } => write!(out, " by {seconds} s"),
        FaultKind::FailPulls { image, times } => write!(
            out,
            " of {}{}",
            image.as_deref().unwrap_or("any image"),
            times.map_or_else(String::new, |times| format!(", {times} times"))
        ),
        FaultKind::FailPlacement { room } => write!(out, ": room for {room} tasks"),
        FaultKind::KillTask { target } => write!(out, " {target}"),
        FaultKind::SetAlarm { name, .. } => write!(out, " {name}"),
    };
    let _ = writeln!(out, "  (met {})", fault.met);
    out
}

fn which(requests: &Requests) -> String {
    let mut out = requests.action.clone();
    if let Some(times) = requests.times {
        let _ = write!(out, ", {times} times");
    }
    if let Some(share) = requests.probability {
        let _ = write!(out, ", {share} of them");
    }
    out
}
