//! `simulate`: the real executor against the real ECS model, many times over, with everything that can go wrong. For those who change either of them.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;
use simulation::{Kind, Report};

use super::OutputFormat;
use crate::ui;

/// Ends of races that the summary names.
const MOST_ENDS: usize = 12;

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many seeds. Each gives two stories, and what goes wrong meanwhile: one to three releases of a service in a row; and two or three runs that race for it.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    count: u64,
    /// The first seed; the others follow it. The same seed gives the same stories.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only stories of this kind.
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// What is printed on standard output: a summary, or a report as JSON.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// A kind of story.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Only {
    /// Releases and rollbacks, one after the other.
    Alone,
    /// Runs that do not know of each other, at the same time.
    Race,
}

/// The report, and how long it took.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    report: Report,
    seconds: f64,
    stories_per_second: f64,
}

/// Runs `simulate`. With `verbose`, the stories of the first seed are told.
pub fn run(args: &Args, verbose: bool) -> anyhow::Result<ExitCode> {
    let kinds: &[Kind] = match args.only {
        None => &[Kind::Alone, Kind::Race],
        Some(Only::Alone) => &[Kind::Alone],
        Some(Only::Race) => &[Kind::Race],
    };
    if verbose {
        for kind in kinds {
            for line in simulation::tell(*kind, args.seed, true).timeline {
                ui::say(&line);
            }
        }
    }
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let began = Instant::now();
    let report = simulation::simulate(kinds, args.seed, args.count, threads);
    let seconds = began.elapsed().as_secs_f64();
    #[expect(
        clippy::cast_precision_loss,
        reason = "nobody simulates as many stories as would not fit"
    )]
    let stories_per_second = report.stories as f64 / seconds;
    let truthful = report.violated == 0;
    let summary = Summary {
        report,
        seconds,
        stories_per_second,
    };
    match args.format {
        OutputFormat::Json => {
            let text = serde_json::to_string_pretty(&summary)?;
            ui::print(&format!("{text}\n"));
        }
        OutputFormat::Text => ui::print(&text(&summary)),
    }
    Ok(ExitCode::from(u8::from(!truthful)))
}

fn text(summary: &Summary) -> String {
    let Report {
        stories,
        runs,
        calls,
        virtual_seconds,
        outcomes,
        scenarios,
        races,
        violated,
        violations,
    } = &summary.report;
    let days = virtual_seconds / 86_400;
    let mut text = format!(
        "{stories} stories, {runs} runs, {calls} calls, {days} days of virtual time in {:.0} s ({:.0} stories/s)\n\n",
        summary.seconds, summary.stories_per_second
    );
    let _ = write!(text, "{:<24}", "");
    for outcome in outcomes.keys() {
        let _ = write!(text, "{outcome:>13}");
    }
    text.push('\n');
    for (scenario, counts) in scenarios.iter().chain([(&"all", outcomes)]) {
        let _ = write!(text, "{scenario:<24}");
        for outcome in outcomes.keys() {
            let _ = write!(text, "{:>13}", counts.get(outcome).copied().unwrap_or(0));
        }
        text.push('\n');
    }
    // The rare ones are in the JSON.
    let mut ends: Vec<(&String, &u64)> = races.iter().collect();
    ends.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    if !ends.is_empty() {
        let all: u64 = races.values().sum();
        let _ = writeln!(text, "\n{all} races, most often:");
    }
    for (ends, count) in ends.into_iter().take(MOST_ENDS) {
        let _ = writeln!(text, "  {count:>8}  {ends}");
    }
    let _ = writeln!(text, "\n{violated} stories with a wrong outcome");
    for violation in violations {
        let _ = writeln!(
            text,
            "  {}\n    cargo xtask simulate --count 1 --seed {} --only {} -v",
            violation.what,
            violation.seed,
            match violation.kind {
                Kind::Alone => "alone",
                Kind::Race => "race",
            }
        );
    }
    text
}
