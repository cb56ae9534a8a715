//! The pipeline file by itself.

use std::collections::BTreeMap;

use diagnostic::Diagnostic;

use super::environments;
use crate::File;
use crate::pipeline::{Pipeline, RollbackAfter, Span};
use crate::placeholder;
use crate::tree::{Node, Value};

/// Findings about the pipeline file alone.
pub(crate) fn check(pipeline: &Pipeline, file: &File, problems: &mut Vec<Diagnostic>) {
    let mut look = Look { file, problems };
    look.names();
    look.platforms(pipeline);
    look.image();
    look.before(pipeline);
    look.checks();
    look.times(pipeline);
    look.percentages(pipeline);
    look.default_environment(pipeline);
    environments::check(pipeline, &mut look);
    placeholder::value_names(pipeline, file, problems);
    placeholder::pipeline(pipeline, file, problems);
}

/// A look at a pipeline file. Strings are taken from its tree, so that one that could not be read is not taken for an empty one.
pub(super) struct Look<'a> {
    pub file: &'a File,
    pub problems: &'a mut Vec<Diagnostic>,
}

impl<'a> Look<'a> {
    /// The string at a path, if there is one.
    pub fn text(&self, path: &[&str]) -> Option<&'a str> {
        match self.file.root.at(path).map(|node| &node.value) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The strings of the list at a path.
    pub fn texts(&self, path: &[&str]) -> Vec<&'a str> {
        let text = |item: &'a Node| match &item.value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        };
        self.items(path).iter().filter_map(text).collect()
    }

    /// The entries of the list at a path.
    pub fn items(&self, path: &[&str]) -> &'a [Node] {
        match self.file.root.at(path).map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    pub fn error(
        &mut self,
        code: &'static str,
        path: &[&str],
        message: impl Into<String>,
        help: &str,
    ) {
        let mut problem = self.file.error(code, path, message);
        if !help.is_empty() {
            problem = problem.help(help);
        }
        self.problems.push(problem);
    }

    /// Names that AWS, or a file system, takes only in some forms.
    fn names(&mut self) {
        if let Some(name) = self.text(&["service", "name"])
            && !is_name(name, 255)
        {
            self.error(
                "bad-name",
                &["service", "name"],
                format!("{name:?} cannot be the name of an ECS service"),
                "letters, digits, `-` and `_`, at most 255",
            );
        }
        let path = ["registry", "repository"];
        if let Some(name) = self.text(&path)
            && !is_repository(name)
            && !name.contains("${")
        {
            self.error(
                "bad-name",
                &path,
                format!("{name:?} cannot be the name of an ECR repository"),
                "lower-case words and digits, joined by `-`, `_`, `.` or `/`: \"team/api\"",
            );
        }
    }

    fn platforms(&mut self, pipeline: &Pipeline) {
        let section = &pipeline.build;
        let Some(platforms) = &section.platforms else {
            return;
        };
        let twice = (1..platforms.len()).find(|&at| platforms[..at].contains(&platforms[at]));
        let message = match twice {
            _ if section.platform.is_some() => {
                "`platform` and `platforms` are both there; keep one of them".to_owned()
            }
            _ if platforms.is_empty() => "an image for no platform runs nowhere".to_owned(),
            Some(at) => format!("`{}` is listed twice", platforms[at].name()),
            None => return,
        };
        let help = "such as [\"linux/amd64\", \"linux/arm64\"]";
        self.error("bad-platforms", &["build", "platforms"], message, help);
    }

    fn image(&mut self) {
        let path = ["image", "user"];
        if let Some(user) = self.text(&path)
            && !is_user(user)
        {
            self.error(
                "bad-user",
                &path,
                format!("{user:?} is not a user by number"),
                "write numbers, \"65532:65532\"; a name would have to be looked up in the image",
            );
        }
        let path = ["image", "base"];
        if let Some(base) = self.text(&path)
            && !is_pinned(base)
        {
            self.error(
                "unpinned-base",
                &path,
                format!("the base image {base:?} is not pinned by digest"),
                "write repository@sha256:… with the 64 digits of the digest; the tag may stand in front of the @",
            );
        }
        if self.items(&["image", "entrypoint"]).is_empty()
            && self
                .file
                .root
                .at(&["image", "entrypoint"])
                .is_some_and(|node| matches!(node.value, Value::List(_)))
        {
            self.error(
                "empty-command",
                &["image", "entrypoint"],
                "the entry point is empty",
                "leave `entrypoint` out to run the program itself",
            );
        }
        let mut targets = Vec::new();
        for index in 0..self.items(&["image", "files"]).len() {
            let index = index.to_string();
            let path = ["image", "files", index.as_str(), "from"];
            if let Some(from) = self.text(&path)
                && !stays_inside(from)
            {
                self.error(
                    "bad-path",
                    &path,
                    format!("{from:?} leads out of the service's folder"),
                    "a path below the pipeline file's folder: \"migrations\"",
                );
            }
            let path = ["image", "files", index.as_str(), "to"];
            let Some(to) = self.text(&path) else { continue };
            if !to.starts_with('/') || to.split('/').any(|step| step == "..") || to == "/" {
                self.error(
                    "bad-path",
                    &path,
                    format!("{to:?} is no absolute path in the image"),
                    "begin with `/`: \"/migrations\"",
                );
            } else if targets.contains(&to) {
                let message = format!("two entries go to {to:?}");
                self.error("repeated-path", &path, message, "keep one");
            }
            targets.push(to);
        }
    }

    fn before(&mut self, pipeline: &Pipeline) {
        let mut names = Vec::new();
        for (index, task) in pipeline.deploy.before.iter().flatten().enumerate() {
            let index = index.to_string();
            let place = |member| ["deploy", "before", index.as_str(), member];
            if names.contains(&task.name.as_str()) && !task.name.is_empty() {
                let message = format!("two tasks are named `{}`", task.name);
                self.error("repeated-task", &place("name"), message, "rename one");
            }
            names.push(&task.name);
            for member in ["command", "reverse"] {
                let node = self.file.root.at(&place(member));
                if node.is_some_and(|node| node.value == Value::List(Vec::new())) {
                    let message = format!("`{member}` is empty: nothing would be run");
                    let help = "the arguments of the image's entry point: [\"migrate\"]";
                    self.error("empty-command", &place(member), message, help);
                }
            }
            // A word that could not be read has been told.
            let asks = self.text(&place("rollback"));
            let wants = task.rollback == Some(RollbackAfter::Reverse);
            let has = self.file.root.at(&place("reverse")).is_some();
            if wants && !has {
                self.error(
                    "reverse-mismatch",
                    &place("rollback"),
                    "a rollback needs `reverse` to be run, and there is none",
                    "add what undoes the task: reverse = [\"migrate\", \"down\"]",
                );
            } else if has && !wants && (asks.is_none() || task.rollback.is_some()) {
                self.error(
                    "reverse-mismatch",
                    &place("reverse"),
                    "`reverse` would never be run",
                    "add rollback = \"reverse\", or take `reverse` out",
                );
            }
        }
    }

    fn checks(&mut self) {
        for index in 0..self.items(&["deploy", "checks"]).len() {
            let index = index.to_string();
            let path = ["deploy", "checks", index.as_str(), "path"];
            if let Some(text) = self.text(&path)
                && !text.starts_with('/')
            {
                self.error(
                    "bad-path",
                    &path,
                    format!("{text:?} is no path of the service"),
                    "begin with `/`: \"/version\"; the address is the environment's `url`",
                );
            }
        }
    }

    /// Lengths of time that nothing can end in.
    fn times(&mut self, pipeline: &Pipeline) {
        let deploy = &pipeline.deploy;
        let tasks = deploy
            .before
            .iter()
            .flatten()
            .enumerate()
            .map(|(index, task)| {
                let path = ["deploy", "before", &index.to_string(), "timeout"];
                (path.map(str::to_owned).to_vec(), task.timeout)
            });
        let place = |section: &str| vec![section.to_owned(), "timeout".to_owned()];
        let test = pipeline.test.as_ref().and_then(|test| test.timeout);
        let all: Vec<(Vec<String>, Option<Span>)> =
            [(place("deploy"), deploy.timeout), (place("test"), test)]
                .into_iter()
                .chain(tasks)
                .collect();
        for (path, timeout) in all {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            // What could not be read has been told, and what stands in for it is none.
            if timeout.is_some_and(|timeout| timeout.duration().is_zero())
                && self.text(&path).is_some()
            {
                self.error(
                    "no-time",
                    &path,
                    "nothing ends within no time: it would fail at once",
                    "give it minutes, such as \"15m\", or leave `timeout` out",
                );
            }
        }
    }

    /// A pair that ECS refuses (\"Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.\").
    fn percentages(&mut self, pipeline: &Pipeline) {
        let deploy = &pipeline.deploy;
        if (deploy.minimum_healthy_percent, deploy.maximum_percent) == (Some(100), Some(100)) {
            self.error(
                "blocked-rollout",
                &["deploy", "maximum-percent"],
                "with 100 % at least and 100 % at most no task may stop and none may start: ECS refuses both together",
                "leave room for one task more, such as maximum-percent = 200",
            );
        }
    }

    fn default_environment(&mut self, pipeline: &Pipeline) {
        let environments = self.file.root.get("environments");
        let read = environments.is_none_or(|node| matches!(node.value, Value::Object(_)));
        if pipeline.environments.is_empty() && read && environments.is_some() {
            self.error(
                "no-environment",
                &["environments"],
                "there is no environment to deploy to",
                "add a table such as [environments.local]",
            );
        }
        let path = ["service", "default-environment"];
        if let Some(chosen) = self.text(&path)
            && self.file.root.at(&["environments", chosen]).is_none()
            && read
        {
            let known = names(&pipeline.environments);
            self.error(
                "unknown-environment",
                &path,
                format!("there is no environment `{chosen}` in this file"),
                &format!("one of: {known}"),
            );
        }
    }
}

fn names<T>(table: &BTreeMap<String, T>) -> String {
    table
        .keys()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Letters, digits, `-` and `_`.
pub(super) fn is_name(name: &str, most: usize) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=most).contains(&name.len()) && name.bytes().all(letter)
}

/// ECR API reference, `CreateRepository`: `(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*`, 2 to 256 characters.
fn is_repository(name: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    (2..=256).contains(&name.len()) && name.split(['/', '.', '_', '-']).all(word)
}

/// `65532` or `65532:65532`.
fn is_user(user: &str) -> bool {
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u32>().is_ok();
    let (user, group) = user.split_once(':').unwrap_or((user, "0"));
    number(user) && number(group)
}

fn is_pinned(base: &str) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    base.split_once("@sha256:").is_some_and(|(name, digest)| {
        !name.is_empty() && digest.len() == 64 && digest.bytes().all(hexadecimal)
    })
}

/// Whether a relative path stays below where it begins.
fn stays_inside(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && path.split('/').all(|step| step != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ecr_and_users_by_number() {
        for (name, good) in [
            ("team/api", true),
            ("a.b-c_d/e1", true),
            ("Team/api", false),
            ("a//b", false),
            ("-a", false),
            ("a", false),
        ] {
            assert_eq!(is_repository(name), good, "{name}");
        }
        for (user, good) in [
            ("65532", true),
            ("65532:65532", true),
            ("0", true),
            ("nonroot", false),
            ("1:", false),
            ("+1", false),
            ("4294967296", false),
            ("", false),
        ] {
            assert_eq!(is_user(user), good, "{user}");
        }
        for (path, good) in [
            ("migrations", true),
            ("./a/b", true),
            ("../a", false),
            ("a/../../b", false),
            ("/etc", false),
            ("", false),
        ] {
            assert_eq!(stays_inside(path), good, "{path}");
        }
    }
}
