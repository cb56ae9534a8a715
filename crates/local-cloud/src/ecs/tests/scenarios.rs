//! Scripted scenarios with recorded output, for people to read: what DescribeServices answers, each time that the answer changes.
//!
//! A scenario is a file `tests/scenarios/NAME.txt` of this crate; its record stands beside it. `INSTA_UPDATE=always cargo test -p local-cloud --lib scenarios` records anew.
//!
//! Lines before the first with a time set the stage, in this order: `pace aws` or `pace quick`; `image NAME` with what becomes of its tasks; `service DESIRED IMAGE` with more
//! members of CreateService as JSON. The clock starts when that service is steady. All other lines are `TIME WHAT`; `#` begins a comment.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::world::{Script, World, text};
use crate::ecs::{AlarmState, Pace, Settings};
use crate::task::{Millis, Report, StartFailure};

#[test]
fn scenarios_go_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".txt").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() > 5, "the scenarios are in {}", folder.display());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for name in names {
        let script = fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
        let record = play(&name, &script);
        settings.bind(|| insta::assert_snapshot!(name.as_str(), record));
    }
}

/// A scenario on its way.
struct Play {
    world: World,
    began: Millis,
    /// Ids, in the order in which they were first seen.
    deployments: Vec<String>,
    tasks: Vec<String>,
    /// Events that were written down.
    told: Vec<String>,
    last: String,
    record: String,
}

fn play(name: &str, script: &str) -> String {
    let mut stage = Vec::new();
    let mut acts = Vec::new();
    for (number, line) in (1..).zip(script.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let place = format!("{name}.txt:{number}: {line}");
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match duration(word) {
            _ if line.is_empty() => {}
            Some(at) => acts.push((at, rest.trim().to_owned(), place)),
            None => stage.push((word.to_owned(), rest.trim().to_owned(), place)),
        }
    }
    let mut play = Play::set(&stage);
    for (at, what, place) in acts {
        play.go_on(at);
        play.perform(&what, &place);
    }
    play.record
}

/// `90s`, `10m`, `250ms`.
fn duration(word: &str) -> Option<Millis> {
    let (number, unit) = word.split_at(word.find(|one: char| one.is_alphabetic())?);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(number.parse::<Millis>().ok()? * factor)
}

impl Play {
    fn set(stage: &[(String, String, String)]) -> Self {
        let mut pace = Pace::aws();
        let mut play = None;
        for (word, rest, place) in stage {
            match word.as_str() {
                "pace" if rest == "quick" => pace = Pace::quick(),
                "pace" => assert_eq!(rest, "aws", "{place}"),
                "image" => {
                    let play = play.get_or_insert_with(|| Self::new(pace.clone()));
                    let (image, fate) = rest.split_once(' ').unwrap_or((rest, ""));
                    play.world.script(image, fate_of(fate, place));
                }
                "service" => {
                    let play = play.get_or_insert_with(|| Self::new(pace.clone()));
                    play.create(rest, place);
                }
                _ => panic!("unknown: {place}"),
            }
        }
        play.expect("a service")
    }

    fn new(pace: Pace) -> Self {
        let settings = Settings {
            region: "eu-central-1".to_owned(),
            account: "123456789012".to_owned(),
            pace,
            seed: 7,
        };
        Self {
            world: World::with(settings),
            began: 0,
            deployments: Vec::new(),
            tasks: Vec::new(),
            told: Vec::new(),
            last: String::new(),
            record: String::new(),
        }
    }

    /// `DESIRED IMAGE {more members}`: a service behind a load balancer.
    fn create(&mut self, what: &str, place: &str) {
        let (words, members) = what.split_at(what.find('{').unwrap_or(what.len()));
        let mut words = words.split_whitespace();
        let desired = words.next().and_then(|word| word.parse().ok());
        let image = words.next().expect(place);
        let definition = self.world.register(image);
        let group = self.world.target_group();
        let mut more = json!({
            "loadBalancers": [{"targetGroupArn": group, "containerName": "app", "containerPort": 8080}],
        });
        for (name, value) in object(members, place).as_object().unwrap() {
            more[name] = value.clone();
        }
        self.world
            .service(&definition, desired.expect(place), &more);
        self.began = self.world.now;
        self.told = self.world.events();
        // Gives the first ids.
        let _ = self.view();
        self.look();
    }

    fn perform(&mut self, what: &str, place: &str) {
        let (word, rest) = what.split_once(' ').unwrap_or((what, ""));
        let service = json!({"cluster": "main", "service": "api"});
        let with = |member: &str, value: Value| {
            let mut request = service.clone();
            request[member] = value;
            request
        };
        self.say(&format!("> {what}"));
        match word {
            "end" => {}
            "update" => {
                let (image, members) = rest.split_once(' ').unwrap_or((rest, "{}"));
                let mut request = object(members, place);
                request["taskDefinition"] = self.world.register(image).into();
                self.world.update(&request);
            }
            "force" => self.try_call("UpdateService", &with("forceNewDeployment", true.into())),
            "scale" => {
                let desired: u64 = rest.parse().expect(place);
                self.try_call("UpdateService", &with("desiredCount", desired.into()));
            }
            "stop" => {
                let arn = self.world.service_deployment()["serviceDeploymentArn"].clone();
                let request = json!({"serviceDeploymentArn": arn, "stopType": rest});
                self.try_call("StopServiceDeployment", &request);
            }
            "delete" => self.try_call("DeleteService", &with("force", true.into())),
            "call" => {
                let (operation, request) = rest.split_once(' ').expect(place);
                self.try_call(operation, &object(request, place));
            }
            "crash" => self.crash(rest, place),
            "alarm" => {
                let (name, state) = rest.split_once(' ').expect(place);
                let state: AlarmState = serde_json::from_value(state.into()).expect(place);
                let now = self.world.now;
                self.world.ecs.set_alarm(name, state, now);
            }
            "capacity" => {
                let tasks = (rest != "any").then(|| rest.parse().expect(place));
                let now = self.world.now;
                self.world.ecs.set_capacity(tasks, now);
            }
            _ => panic!("unknown: {place}"),
        }
        self.world.carry_out();
        self.look();
    }

    fn try_call(&mut self, operation: &str, request: &Value) {
        if let Err(error) = self.world.try_call(operation, request) {
            self.say(&format!("< {error}"));
        }
    }

    /// `REVISION CODE`: the oldest task of `api:REVISION` exits.
    fn crash(&mut self, what: &str, place: &str) {
        let (revision, code) = what.split_once(' ').expect(place);
        let arn = format!(":task-definition/{revision}");
        let running = self.world.described("RUNNING");
        let task = running
            .iter()
            .filter(|task| text(&task["taskDefinitionArn"]).ends_with(&arn))
            .min_by(|a, b| {
                let created = |task: &Value| task["createdAt"].as_f64().unwrap_or_default();
                created(a).total_cmp(&created(b))
            })
            .expect(place);
        let id = text(&task["taskArn"]);
        let report = Report::Exited {
            task: id.rsplit('/').next().unwrap_or_default().to_owned(),
            container: "app".to_owned(),
            exit_code: code.parse().expect(place),
            out_of_memory: false,
        };
        let now = self.world.now;
        self.world.ecs.report(report, now);
    }

    /// Lets time pass, and looks at the service whenever something happens.
    fn go_on(&mut self, until: Millis) {
        let end = self.began + until;
        while self.world.next().is_some_and(|next| next <= end) {
            self.world.step();
            self.look();
        }
        let left = end.saturating_sub(self.world.now);
        self.world.run_for(left);
    }

    /// Writes down the service if it is not what it was.
    fn look(&mut self) {
        let view = self.view();
        let events = self.world.events();
        let mut told = self.told.clone();
        let news: Vec<String> = events
            .iter()
            .filter(|event| match told.iter().position(|one| one == *event) {
                Some(known) => {
                    told.remove(known);
                    false
                }
                None => true,
            })
            .cloned()
            .collect();
        self.told = events;
        if view == self.last && news.is_empty() {
            return;
        }
        let at = self.stamp();
        let mut lines = view.clone();
        for event in news {
            let event = self.tidy(&event);
            let _ = writeln!(lines, "  | {event}");
        }
        for (line, first) in lines
            .lines()
            .zip(std::iter::once(true).chain(std::iter::repeat(false)))
        {
            let stamp = if first { at.as_str() } else { "" };
            let _ = writeln!(self.record, "{stamp:>9}  {line}");
        }
        self.last = view;
    }

    fn view(&mut self) -> String {
        let service = self.world.describe();
        let short = |arn: &Value| text(arn).rsplit('/').next().unwrap_or_default().to_owned();
        let counts = |of: &Value| {
            format!(
                "{} wanted, {} running, {} pending",
                of["desiredCount"], of["runningCount"], of["pendingCount"]
            )
        };
        let mut view = format!(
            "{} {}: {}\n",
            text(&service["status"]),
            short(&service["taskDefinition"]),
            counts(&service)
        );
        for one in service["deployments"].as_array().unwrap() {
            let line = format!(
                "  {:<7} {} {}: {}, {} failed; {}: {}",
                text(&one["status"]),
                text(&one["id"]),
                short(&one["taskDefinition"]),
                counts(one),
                one["failedTasks"],
                text(&one["rolloutState"]),
                text(&one["rolloutStateReason"]),
            );
            let _ = writeln!(view, "{}", self.tidy(&line));
        }
        if service["status"] == "ACTIVE" {
            let deployment = self.world.service_deployment();
            let _ = write!(view, "  service deployment {}", text(&deployment["status"]));
            if let Some(stage) = deployment["lifecycleStage"].as_str() {
                let of = |summary: &Value| summary["requestedProductionTrafficWeight"].clone();
                let (green, blue) = (
                    of(&deployment["targetServiceRevision"]),
                    of(&deployment["sourceServiceRevisions"][0]),
                );
                let _ = write!(view, ", {stage}, traffic {green} to {blue}");
            }
            if let Some(reason) = deployment["statusReason"].as_str() {
                let _ = write!(view, ": {reason}");
            }
            view.push('\n');
        }
        view
    }

    fn say(&mut self, words: &str) {
        let at = self.stamp();
        let _ = writeln!(self.record, "{at:>9}  {words}");
    }

    fn stamp(&self) -> String {
        let at = self.world.now - self.began;
        format!("{}:{:02}.{:03}", at / 60_000, at / 1_000 % 60, at % 1_000)
    }

    /// Gives names to what has ids: deployments are letters, tasks are numbers.
    fn tidy(&mut self, line: &str) -> String {
        let mut tidy = String::new();
        let mut rest = line;
        while let Some(at) = rest.find(|one: char| one.is_ascii_alphanumeric()) {
            let end = rest[at..]
                .find(|one: char| !one.is_ascii_alphanumeric())
                .map_or(rest.len(), |length| at + length);
            let word = &rest[at..end];
            tidy.push_str(&rest[..at]);
            if tidy.ends_with("ecs-svc/") {
                let index = place_of(&mut self.deployments, word);
                tidy.push(char::from(b'A' + u8::try_from(index).unwrap_or(25)));
            } else if word.len() == 32 {
                let _ = write!(tidy, "{}", place_of(&mut self.tasks, word) + 1);
            } else {
                tidy.push_str(word);
            }
            rest = &rest[end..];
        }
        tidy.push_str(rest);
        let group = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/";
        match tidy.split_once(group) {
            Some((before, after)) => {
                let (name, after) = after.split_at(after.find('/').unwrap_or(0));
                let after = after.split_at(after.find([' ', ')']).unwrap_or(0)).1;
                format!("{before}{name}{after}")
            }
            None => tidy,
        }
    }
}

fn place_of(known: &mut Vec<String>, id: &str) -> usize {
    known.iter().position(|one| one == id).unwrap_or_else(|| {
        known.push(id.to_owned());
        known.len() - 1
    })
}

fn object(words: &str, place: &str) -> Value {
    let words = words.trim();
    if words.is_empty() {
        return json!({});
    }
    serde_json::from_str(words).unwrap_or_else(|error| panic!("{place}: {error}"))
}

/// `starts 20s`, `stops 5s`, `exits 1 after 3s`, `answers 500`, `cannot be pulled`: what becomes of tasks with an image.
fn fate_of(words: &str, place: &str) -> Script {
    let mut script = Script {
        start_ms: 20_000,
        stop_ms: 1_000,
        ..Script::default()
    };
    let time = |word: Option<&str>| word.and_then(duration).expect(place);
    let mut words = words.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "starts" => script.start_ms = time(words.next()),
            "stops" => script.stop_ms = time(words.next()),
            "answers" => {
                script.status = words.next().and_then(|one| one.parse().ok()).expect(place);
            }
            "exits" => {
                let code = words.next().and_then(|one| one.parse().ok()).expect(place);
                assert_eq!(words.next(), Some("after"), "{place}");
                script.exits_after = Some((time(words.next()), code));
            }
            "cannot" => {
                assert_eq!((words.next(), words.next()), (Some("be"), Some("pulled")));
                script.start_failure = Some(StartFailure::CannotPullContainerError);
            }
            _ => panic!("unknown: {place}"),
        }
    }
    script
}
