//! `simulate`: the real executor against the real ECS model, many times over, with everything that can go wrong. For those who change either of them.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;
use simulation::Report;

use super::OutputFormat;
use crate::ui;

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many stories: a service, one to three releases in a row, and what goes wrong meanwhile.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    count: u64,
    /// Seed of the first story; each one after it has the next. The same seed gives the same story.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is printed on standard output: a summary, or a report as JSON.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// The report, and how long it took.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    report: Report,
    seconds: f64,
    stories_per_second: f64,
}

/// Runs `simulate`. With `verbose`, the first story is told.
pub fn run(args: &Args, verbose: bool) -> anyhow::Result<ExitCode> {
    if verbose {
        for line in simulation::tell(args.seed, true).timeline {
            ui::say(&line);
        }
    }
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let began = Instant::now();
    let report = simulation::simulate(args.seed, args.count, threads);
    let seconds = began.elapsed().as_secs_f64();
    #[expect(
        clippy::cast_precision_loss,
        reason = "nobody simulates as many stories as would not fit"
    )]
    let stories_per_second = args.count as f64 / seconds;
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
    let _ = writeln!(text, "\n{violated} stories with a wrong outcome");
    for violation in violations {
        let _ = writeln!(
            text,
            "  {}\n    cargo xtask simulate --count 1 --seed {} -v",
            violation.what, violation.seed
        );
    }
    text
}
