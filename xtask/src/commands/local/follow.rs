//! `local events` and `local logs`: what services said and what tasks wrote, once or as it comes.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use local_cloud::client::{Instance, LogLine, ServiceEvent};

use crate::cloud::connect_instance;
use crate::commands::OutputFormat;
use crate::exit::bad_input;
use crate::ui;

/// How often it is looked again.
const AGAIN: Duration = Duration::from_millis(500);
/// A line may be stored a little later than the time it carries.
const BACK: u64 = 10_000;
/// So many IDs of lines that were printed are kept; more do not come within [`BACK`].
const SEEN: usize = 50_000;

/// Arguments of `local events`.
#[derive(Debug, clap::Args)]
pub struct EventsArgs {
    /// Only of this service.
    service: Option<String>,
    /// Go on with what comes, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// What is printed on standard output: lines, or one JSON list.
    #[arg(long, value_enum, default_value_t, conflicts_with = "follow")]
    format: OutputFormat,
}

/// Arguments of `local logs`.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// Log group, such as `/local/api`.
    group: Option<String>,
    /// Go on with what comes, until Ctrl-C.
    #[arg(long, short, requires = "group")]
    follow: bool,
}

/// Runs `local events`.
pub async fn events(args: EventsArgs, instance: &Instance) -> anyhow::Result<()> {
    let mut seen = Seen::default();
    if let Some(wanted) = args.service.as_ref().filter(|_| !args.follow) {
        let mut known: Vec<String> = instance
            .status()
            .await?
            .services
            .into_iter()
            .map(|one| one.name)
            .collect();
        known.extend(instance.events().await?.into_iter().map(|one| one.service));
        known.sort();
        known.dedup();
        if !known.contains(wanted) {
            return Err(unknown("service", wanted, &known));
        }
    }
    loop {
        let mut events = instance.events().await?;
        if let Some(wanted) = &args.service {
            events.retain(|event| event.service == *wanted);
        }
        if args.format == OutputFormat::Json {
            ui::print(&format!("{}\n", serde_json::to_string_pretty(&events)?));
            return Ok(());
        }
        events.retain(|event| seen.is_new(&event.id));
        if !printed(events.iter().map(event_line)) || !args.follow {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Runs `local logs`.
pub async fn logs(args: LogsArgs, instance: &Instance) -> anyhow::Result<()> {
    let Some(group) = args.group else {
        let groups = connect_instance(instance).await.log_groups().await?;
        printed(groups.into_iter().map(|group| format!("{group}\n")));
        return Ok(());
    };
    let groups = connect_instance(instance).await.log_groups().await?;
    // With --follow the group may come later.
    if !args.follow && !groups.contains(&group) {
        return Err(unknown("log group", &group, &groups));
    }
    let (mut seen, mut from) = (Seen::default(), 0);
    loop {
        let mut lines = instance.log_lines(&group, from).await?;
        from = lines
            .last()
            .map_or(from, |line| from.max(line.at.saturating_sub(BACK)));
        lines.retain(|line| seen.is_new(&line.id));
        if !printed(lines.iter().map(log_line)) || !args.follow {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn unknown(what: &str, name: &str, known: &[String]) -> anyhow::Error {
    let known = if known.is_empty() {
        format!("there is no {what} at all")
    } else {
        format!("there are: {}", known.join(", "))
    };
    bad_input(format!("there is no {what} `{name}` here; {known}"))
}

fn event_line(event: &ServiceEvent) -> String {
    format!(
        "{}  {}/{}  {}\n",
        time(event.at),
        event.cluster,
        event.service,
        event.message
    )
}

fn log_line(line: &LogLine) -> String {
    format!("{}  {}\n", line.stream, line.message.trim_end())
}

fn time(millis: u64) -> String {
    i64::try_from(millis)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok())
        .map_or_else(String::new, |at| format!("{at:.3}"))
}

/// Prints on standard output; `false` when nobody reads any more.
fn printed(lines: impl Iterator<Item = String>) -> bool {
    let text: String = lines.collect();
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_ok()
}

/// The IDs of what was printed.
#[derive(Default)]
struct Seen {
    ids: std::collections::HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}
