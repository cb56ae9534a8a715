//! Which workflows there are, and what starts them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_saphyr::Commented;
use service_config::{Environment, Service};

use crate::jobs::{self, Cache, Target};
use crate::model::{Concurrency, Dispatch, Entries, Input, On, Push, Workflow, filter, literal};

/// The first line of every file that is written here: a file without it is somebody's own, and is never overwritten or removed.
pub const MARK: &str = "# Written by `cargo xtask workflows` from the pipeline files.";

/// A service, and where its Go module lies.
#[derive(Clone, Debug)]
pub struct Unit<'a> {
    /// The service.
    pub service: &'a Service,
    /// Folder of its go.mod, relative to the top of the repository; `.` for the top itself.
    pub module: String,
}

impl Unit<'_> {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.service.pipeline.service.name
    }

    /// A file of its module, as a path from the top of the repository.
    pub(crate) fn file(&self, name: &str) -> String {
        if self.module == "." {
            name.to_owned()
        } else {
            format!("{}/{name}", self.module)
        }
    }
}

/// A file of `.github/workflows`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Why a workflow cannot be written. All of them come at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An environment has a branch or a role, and lacks what else a deployment from CI needs.
    #[error(
        "environment `{environment}` of service `{service}` has no `{missing}`, which the pipeline needs to {why}"
    )]
    Missing {
        /// The service.
        service: String,
        /// The environment.
        environment: String,
        /// The key.
        missing: &'static str,
        /// What for.
        why: &'static str,
    },
    /// Two services have one environment with different settings.
    #[error(
        "environment `{environment}` has the {key} `{one}` in one pipeline file and `{other}` in another: one workflow deploys all services of an environment"
    )]
    Different {
        /// The environment.
        environment: String,
        /// The key.
        key: &'static str,
        /// One value.
        one: String,
        /// The other value.
        other: String,
    },
    /// A name that a file and a job cannot have.
    #[error(
        "environment `{environment}` cannot name a workflow: use letters, digits, `-` and `_`, beginning with a letter or `_`"
    )]
    Name {
        /// The environment.
        environment: String,
    },
    /// GitHub would evaluate the branch's name in a condition.
    #[error(
        "environment `{environment}` has the branch `{branch}`, whose name GitHub would evaluate as an expression"
    )]
    Branch {
        /// The environment.
        environment: String,
        /// The branch.
        branch: String,
    },
    /// The document cannot be written as YAML.
    #[error("{file} cannot be written as YAML: {why}")]
    Yaml {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
}

/// Seconds that the credentials of a deployment must be good for: the deployment's own limit, and a quarter of an hour around it. At least what STS gives at
/// least, at most the 12 hours that it gives at most. Above an hour, the role must allow it (`MaxSessionDuration`).
pub fn session_seconds(service: &Service) -> u64 {
    const AROUND: u64 = 15 * 60;
    let limit = jobs::limit_seconds(service);
    (limit + AROUND).clamp(900, 12 * 3600)
}

/// All workflows of a repository, sorted by name.
pub fn generate(units: &[Unit<'_>]) -> Result<Vec<File>, Vec<Problem>> {
    let mut problems = Vec::new();
    let targets = targets(units, &mut problems);
    let mut workflows = vec![("test.yml".to_owned(), test(units))];
    for target in targets.iter().filter(|target| target.branch.is_some()) {
        workflows.push((format!("deploy-{}.yml", target.name), deploy(target)));
    }
    if !targets.is_empty() {
        workflows.push(("rollback.yml".to_owned(), rollback(&targets)));
    }
    workflows.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut files = Vec::new();
    for (name, workflow) in workflows {
        match write(&workflow) {
            Ok(text) => files.push(File { name, text }),
            Err(why) => problems.push(Problem::Yaml { file: name, why }),
        }
    }
    if problems.is_empty() {
        Ok(files)
    } else {
        Err(problems)
    }
}

fn write(workflow: &Workflow) -> Result<String, String> {
    let body = serde_saphyr::to_string(workflow).map_err(|error| error.to_string())?;
    let mut text = format!(
        "{MARK}\n# Change those, and run it again; `cargo xtask workflows --check` tells when this is needed.\n\n"
    );
    // A blank line before each block of the top level, and before each job: this is read by people.
    let mut in_jobs = false;
    for (number, line) in body.lines().enumerate() {
        let top = !line.starts_with([' ', '#']);
        let job = in_jobs && line.starts_with("  ") && !line[2..].starts_with([' ', '#']);
        let first_job = body.lines().nth(number.wrapping_sub(1)) == Some("jobs:");
        if (top && number > 0) || (job && !first_job) {
            text.push('\n');
        }
        if top {
            in_jobs = line == "jobs:";
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    Ok(text)
}

/// The environments that a pipeline deploys to: those with a role, as far as they are not on this machine.
fn targets<'a>(units: &'a [Unit<'a>], problems: &mut Vec<Problem>) -> Vec<Target<'a>> {
    let mut by_name: BTreeMap<&str, Vec<(&Unit<'_>, &Environment)>> = BTreeMap::new();
    for unit in units {
        for (name, environment) in &unit.service.pipeline.environments {
            let wanted = environment.branch.is_some() || environment.role.is_some();
            if environment.embedded.is_none() && wanted {
                by_name.entry(name).or_default().push((unit, environment));
            }
        }
    }
    by_name
        .into_iter()
        .filter_map(|(name, members)| target(name, &members, problems))
        .collect()
}

fn target<'a>(
    name: &'a str,
    members: &[(&'a Unit<'a>, &'a Environment)],
    problems: &mut Vec<Problem>,
) -> Option<Target<'a>> {
    let before = problems.len();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins || !name.bytes().all(good) {
        problems.push(Problem::Name {
            environment: name.to_owned(),
        });
    }
    for (unit, environment) in members {
        let needed = [
            ("role", environment.role.is_some(), "take on by OIDC"),
            (
                "region",
                environment.region.is_some(),
                "know where to ask for credentials",
            ),
        ];
        for (missing, there, why) in needed {
            if !there {
                problems.push(Problem::Missing {
                    service: unit.name().to_owned(),
                    environment: name.to_owned(),
                    missing,
                    why,
                });
            }
        }
    }
    let mut one = |key: &'static str, get: fn(&Environment) -> Option<&String>| {
        let values: BTreeSet<&str> = members
            .iter()
            .filter_map(|(_, environment)| get(environment))
            .map(String::as_str)
            .collect();
        let mut values = values.into_iter();
        let first = values.next();
        if let (Some(one), Some(other)) = (first, values.next()) {
            problems.push(Problem::Different {
                environment: name.to_owned(),
                key,
                one: one.to_owned(),
                other: other.to_owned(),
            });
        }
        first
    };
    let branch = one("branch", |environment| environment.branch.as_ref());
    let role = one("role", |environment| environment.role.as_ref());
    let region = one("region", |environment| environment.region.as_ref());
    let account = one("account", |environment| environment.account.as_ref());
    if let Some(branch) = branch.filter(|branch| branch.contains("${{")) {
        problems.push(Problem::Branch {
            environment: name.to_owned(),
            branch: branch.to_owned(),
        });
    }
    if problems.len() > before {
        return None;
    }
    Some(Target {
        name,
        branch,
        role: role?,
        region: region?,
        account,
        test: members
            .iter()
            .any(|(_, environment)| environment.test.unwrap_or(true)),
        units: members.iter().map(|(unit, _)| *unit).collect(),
    })
}

/// Tests on pull requests and in the merge queue.
fn test(units: &[Unit<'_>]) -> Workflow {
    let units: Vec<&Unit<'_>> = units.iter().collect();
    let mut all = vec![("check".to_owned(), jobs::check())];
    all.extend(jobs::test(&units, Cache::Test));
    Workflow {
        name: "Test".to_owned(),
        on: On {
            pull_request: Some(Entries::default()),
            merge_group: Some(Entries::default()),
            ..On::default()
        },
        permissions: Entries::default(),
        concurrency: Concurrency {
            group: "test-${{ github.ref }}".to_owned(),
            cancel_in_progress: Commented(
                true,
                "a newer commit of the same pull request makes the older one's tests pointless"
                    .to_owned(),
            ),
        },
        jobs: Entries(all),
    }
}

/// A deployment on each push to the environment's branch.
fn deploy(target: &Target<'_>) -> Workflow {
    let mut all = if target.test {
        jobs::test(&target.units, Cache::BeforeDeployment)
    } else {
        Vec::new()
    };
    let needs = all.iter().map(|(id, _)| id.clone()).collect();
    all.push(("deploy".to_owned(), jobs::deploy(target, needs)));
    Workflow {
        name: literal(&format!("Deploy to {}", target.name)),
        on: On {
            push: Some(Push {
                branches: target.branch.iter().map(|branch| filter(branch)).collect(),
            }),
            workflow_dispatch: Some(Dispatch::default()),
            ..On::default()
        },
        permissions: Entries::default(),
        concurrency: Concurrency {
            group: format!("deploy-{}", target.name),
            cancel_in_progress: Commented(
                false,
                "a rollout in flight is never cut off; of those that wait, the newest stays"
                    .to_owned(),
            ),
        },
        jobs: Entries(all),
    }
}

/// Back to the revision that was rolled out well before, by a button.
fn rollback(targets: &[Target<'_>]) -> Workflow {
    let services: BTreeSet<&str> = targets
        .iter()
        .flat_map(|target| &target.units)
        .map(|unit| unit.name())
        .collect();
    let choice = |description: &str, options: Vec<String>| Input {
        description: description.to_owned(),
        r#type: "choice",
        required: true,
        options,
    };
    let mut inputs = vec![(
        "environment".to_owned(),
        choice(
            "Where",
            targets
                .iter()
                .map(|target| target.name.to_owned())
                .collect(),
        ),
    )];
    if services.len() > 1 {
        let options = services.iter().map(|name| (*name).to_owned()).collect();
        inputs.push(("service".to_owned(), choice("Which service", options)));
    }
    inputs.push((
        "revision".to_owned(),
        Input {
            description: "Revision to return to, family:number; the last good one when left empty"
                .to_owned(),
            r#type: "string",
            required: false,
            options: Vec::new(),
        },
    ));
    let several = services.len() > 1;
    Workflow {
        name: "Roll back".to_owned(),
        on: On {
            workflow_dispatch: Some(Dispatch {
                inputs: Entries(inputs),
            }),
            ..On::default()
        },
        permissions: Entries::default(),
        concurrency: Concurrency {
            group: "deploy-${{ inputs.environment }}".to_owned(),
            cancel_in_progress: Commented(
                false,
                "the same group as the deployments: one thing at a time happens to an environment"
                    .to_owned(),
            ),
        },
        jobs: Entries(
            targets
                .iter()
                .map(|target| {
                    (
                        format!("rollback-{}", target.name),
                        jobs::rollback(target, several),
                    )
                })
                .collect(),
        ),
    }
}
