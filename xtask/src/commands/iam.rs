//! `iam`: the roles that the pipeline needs in the account, with exactly the permissions that it uses. Offline.

use std::process::ExitCode;

use clap::ValueEnum;
use iam::{Input, Roles};
use service_config::Service;
use xshell::{Shell, cmd};

use super::ServiceArg;
use crate::commands::workflows::all_services;
use crate::exit::bad_input;
use crate::project::Project;
use crate::ui;

/// Arguments of `iam`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    service: ServiceArg,
    /// Environment of the pipeline file.
    #[arg(long, value_name = "NAME")]
    env: String,
    /// GitHub repository whose jobs take on the role; that of the remote `origin` when left out.
    #[arg(long, value_name = "OWNER/NAME")]
    repository: Option<String>,
    /// What is printed on standard output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The forms of the roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The documents, and the reason for each permission.
    #[default]
    Json,
    /// A CloudFormation template that makes the provider and the roles.
    Cloudformation,
    /// A Terraform file that makes the provider and the roles.
    Terraform,
}

/// Runs `iam`.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    let all = all_services(&project)?;
    let services = with_that_role(&all, args.service.service.as_deref(), &args.env)?;
    let repository = match &args.repository {
        Some(repository) => repository.clone(),
        None => origin(&project)?,
    };
    let session = services
        .iter()
        .map(|service| workflows::session_seconds(service));
    let input = Input {
        environment: &args.env,
        repository: &repository,
        session_seconds: session.max().unwrap_or(3600),
        services,
    };
    let roles: Roles = iam::roles(&input).map_err(|problem| bad_input(problem.to_string()))?;
    ui::print(&match args.format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&roles)?),
        Format::Cloudformation => iam::cloudformation(&roles),
        Format::Terraform => iam::terraform(&roles),
    });
    Ok(ExitCode::SUCCESS)
}

/// The services that share the role: it must allow what all of them need. Named alone, a service brings those that have its role.
fn with_that_role<'a>(
    all: &'a [Service],
    name: Option<&str>,
    environment: &str,
) -> anyhow::Result<Vec<&'a Service>> {
    let there: Vec<&Service> = all
        .iter()
        .filter(|service| service.environment(environment).is_ok())
        .collect();
    if there.is_empty() {
        return Err(bad_input(format!(
            "no service has an environment `{environment}`"
        )));
    }
    let role = |service: &Service| {
        let environment = service.environment(environment).ok();
        environment.and_then(|environment| environment.role.clone())
    };
    let first = match name {
        None => there[0],
        Some(name) => *there
            .iter()
            .find(|service| service.pipeline.service.name == name)
            .ok_or_else(|| {
                bad_input(format!(
                    "there is no service `{name}` with an environment `{environment}`"
                ))
            })?,
    };
    let wanted = role(first);
    let (same, others): (Vec<&Service>, Vec<&Service>) = there
        .into_iter()
        .partition(|service| role(service) == wanted);
    if name.is_none() && !others.is_empty() {
        let names: Vec<&str> = others
            .iter()
            .map(|service| service.pipeline.service.name.as_str())
            .collect();
        return Err(bad_input(format!(
            "the services have different roles in `{environment}`; name one with --service ({} has another than {})",
            names.join(", "),
            first.pipeline.service.name
        )));
    }
    Ok(same)
}

/// `OWNER/NAME` of the remote `origin`.
fn origin(project: &Project) -> anyhow::Result<String> {
    let shell = Shell::new()?;
    let root = &project.root;
    let url = cmd!(shell, "git -C {root} remote get-url origin")
        .quiet()
        .ignore_stderr()
        .read()
        .unwrap_or_default();
    github_name(&url).ok_or_else(|| {
        let what = if url.is_empty() {
            "there is no remote `origin`"
        } else {
            "the remote `origin` is no GitHub repository"
        };
        bad_input(format!(
            "{what}: name the repository with --repository OWNER/NAME"
        ))
    })
}

fn github_name(url: &str) -> Option<String> {
    let path = [
        "https://github.com/",
        "git@github.com:",
        "ssh://git@github.com/",
    ]
    .iter()
    .find_map(|start| url.trim().strip_prefix(start))?;
    let path = path.trim_end_matches('/');
    Some(path.strip_suffix(".git").unwrap_or(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_of_github() {
        for (url, expected) in [
            ("https://github.com/acme/api.git", Some("acme/api")),
            ("git@github.com:acme/api.git\n", Some("acme/api")),
            ("ssh://git@github.com/acme/api", Some("acme/api")),
            ("https://gitlab.com/acme/api", None),
            ("/srv/git/api", None),
            ("", None),
        ] {
            assert_eq!(github_name(url).as_deref(), expected, "{url}");
        }
    }
}
