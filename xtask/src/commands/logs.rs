//! `logs`: what the service's tasks write, from CloudWatch Logs.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use aws::LogLine;
use jiff::SignedDuration;
use rollout::receipt::rfc3339;
use serde_json::{Value, json};

use super::{OutputFormat, TargetArgs};
use crate::cloud;
use crate::exit::{bad_input, refused};
use crate::project::{self, Project};
use crate::release::Interrupt;
use crate::ui;

/// How often new lines are asked for.
const PACE: Duration = Duration::from_secs(2);
/// Lines may arrive so much later than their time stamp says.
const LATE: u64 = 10_000;

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Go on until interrupted.
    #[arg(short, long)]
    follow: bool,
    /// Only of this task: its ID, the beginning of it, or its ARN. Stopped tasks have logs, too.
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Only of this container.
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// How far back: `30s`, `10m`, `2h`. One hour when left out; all of it with --task.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Duration>,
    /// What is printed on standard output; JSON is one object a line.
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

fn since(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok();
    parsed
        .and_then(|time| Duration::try_from(time).ok())
        .ok_or_else(|| "write a length of time such as 30s, 10m or 2h".to_owned())
}

/// Where a container's output is.
struct Place {
    container: String,
    region: Option<String>,
    group: String,
    prefix: String,
}

/// Runs `logs`.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let service = project.service(args.target.service.service.as_deref())?;
    let environment = project::environment(&service, args.target.env.as_deref())?;
    let cloud = cloud::look(&project, &service, environment).await?;
    let view = cloud.live_service().await?;
    let document = cloud.aws.task_definition(&view.task_definition).await?;
    let mut places = places(&document);
    let names: Vec<String> = places.iter().map(|one| one.container.clone()).collect();
    places.retain(|place| {
        args.container
            .as_ref()
            .is_none_or(|name| *name == place.container)
    });
    if let Some(name) = args.container.as_ref().filter(|_| places.is_empty())
        && !names.is_empty()
    {
        return Err(bad_input(format!(
            "no container `{name}` writes to CloudWatch Logs; these do: {}",
            names.join(", ")
        )));
    }
    if places.is_empty() {
        return Err(refused(
            "no container of the live task definition writes to CloudWatch Logs under a stream prefix",
            Some(
                "give it the log driver `awslogs` with `awslogs-group` and `awslogs-stream-prefix`",
            ),
        ));
    }
    let task = match &args.task {
        Some(name) => Some(task_id(name, &cloud, &places).await?),
        None => None,
    };
    let task = task.as_deref();
    let interrupt = Interrupt::listen_quietly()?;
    let mut from = match (args.since, task) {
        (Some(back), _) => now().saturating_sub(millis(back)),
        (None, Some(_)) => 0,
        (None, None) => now().saturating_sub(3_600_000),
    };
    let mut shown = BTreeSet::new();
    loop {
        let lines = read(&cloud, &places, task, from).await?;
        for (place, line) in lines {
            if shown.insert(line.id.clone()) {
                from = from.max(line.at.saturating_sub(LATE));
                ui::print(&text(place, &line, args.format));
            }
        }
        if !args.follow {
            break;
        }
        interrupt.sleep(PACE).await;
        if interrupt.wanted() {
            break;
        }
    }
    if shown.is_empty() && !args.follow {
        ui::say(&match task {
            Some(task) => format!("task {task} has no lines in CloudWatch Logs"),
            None => "no lines; --since looks further back".to_owned(),
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// The whole ID of a task, of which perhaps only the beginning is given. Tasks that ECS has forgotten have logs all the same.
async fn task_id(name: &str, cloud: &cloud::Cloud, places: &[Place]) -> anyhow::Result<String> {
    /// Characters of a task's ID (Amazon ECS documentation, "Amazon Resource Names (ARNs) and IDs").
    const WHOLE: usize = 32;
    let given = name.rsplit('/').next().unwrap_or(name);
    let mut listed = BTreeSet::new();
    for running in [true, false] {
        let tasks = cloud.aws.tasks(&cloud.cluster, &cloud.service, running);
        listed.extend(tasks.await?.iter().map(|task| task.id().to_owned()));
    }
    let fitting = |known: &BTreeSet<String>| -> Vec<String> {
        let fits = known.iter().filter(|id| id.starts_with(given));
        fits.cloned().collect()
    };
    let mut found = fitting(&listed);
    if found.is_empty() {
        let hour_ago = now().saturating_sub(3_600_000);
        let is_whole = given.len() == WHOLE;
        let (task, from) = if is_whole {
            (Some(given), 0)
        } else {
            (None, hour_ago)
        };
        let lines = read(cloud, places, task, from).await?;
        let streams = lines
            .iter()
            .filter_map(|(_, line)| line.stream.rsplit('/').next());
        found = fitting(&streams.map(str::to_owned).collect());
    }
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => Err(bad_input(format!(
            "no task `{given}` is known; ECS lists: {}",
            listed.into_iter().collect::<Vec<_>>().join(", ")
        ))),
        several => Err(bad_input(format!(
            "`{given}` is the beginning of several tasks: {}",
            several.join(", ")
        ))),
    }
}

/// The lines of all places since a time, oldest first.
async fn read<'a>(
    cloud: &cloud::Cloud,
    places: &'a [Place],
    task: Option<&str>,
    from: u64,
) -> anyhow::Result<Vec<(&'a Place, LogLine)>> {
    // Containers often share a group.
    let mut groups: BTreeMap<(Option<&str>, &str), Vec<&Place>> = BTreeMap::new();
    for place in places {
        let group = (place.region.as_deref(), place.group.as_str());
        groups.entry(group).or_default().push(place);
    }
    let mut lines = Vec::new();
    for ((region, group), places) in groups {
        let of = |place: &&Place| format!("{}/{}/", place.prefix, place.container);
        let streams: Vec<String> = task.map_or_else(Vec::new, |task| {
            places.iter().map(|place| of(place) + task).collect()
        });
        let found = cloud.aws.log_since(region, group, &streams, from).await;
        for line in found.with_context(|| format!("log group {group} cannot be read"))? {
            if let Some(place) = places
                .iter()
                .find(|place| line.stream.starts_with(&of(place)))
            {
                lines.push((*place, line));
            }
        }
    }
    lines.sort_by_key(|(_, line)| line.at);
    Ok(lines)
}

fn text(place: &Place, line: &LogLine, format: OutputFormat) -> String {
    let task = line.stream.rsplit('/').next().unwrap_or_default();
    match format {
        OutputFormat::Text => format!(
            "{}  {}  {}  {}\n",
            rfc3339(line.at),
            &task[..task.len().min(8)],
            place.container,
            line.message
        ),
        OutputFormat::Json => {
            let line = json!({
                "at": rfc3339(line.at),
                "task": task,
                "container": place.container,
                "message": line.message,
            });
            format!("{line}\n")
        }
    }
}

/// Where the containers of a task definition write; those that write elsewhere are left out.
fn places(document: &Value) -> Vec<Place> {
    let containers = document["containerDefinitions"].as_array();
    let place = |container: &Value| {
        let options = &container["logConfiguration"]["options"];
        Some(Place {
            container: container["name"].as_str()?.to_owned(),
            region: options["awslogs-region"].as_str().map(str::to_owned),
            group: options["awslogs-group"].as_str()?.to_owned(),
            prefix: options["awslogs-stream-prefix"].as_str()?.to_owned(),
        })
    };
    containers.into_iter().flatten().filter_map(place).collect()
}

fn now() -> u64 {
    millis(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
