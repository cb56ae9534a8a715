//! What gives away more than it should.

use diagnostic::Diagnostic;

use super::{Input, secrets, warning};

pub(super) fn run(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    values(input, found);
    references(input, found);
    let user = input.pipeline.image.as_ref();
    if user
        .and_then(|image| image.user.as_deref())
        .is_some_and(is_root)
    {
        let message = "the program runs as root";
        let problem = input
            .pipeline_file
            .error("root-user", &["image", "user"], message);
        found.push(warning(problem).help("take `user` out; the image then runs as 65532"));
    }
    for (index, container) in input.containers() {
        let name = container.name.as_deref().unwrap_or("?");
        let place = |member| ["containerDefinitions", index.as_str(), member];
        if container.privileged == Some(true) {
            let message = format!("container `{name}` has the rights of the instance's root");
            found.push(
                warning(
                    input
                        .task_file
                        .error("privileged", &place("privileged"), message),
                )
                .help("take `privileged` out"),
            );
        }
        if container.user.as_deref().is_some_and(is_root) {
            let message = format!("container `{name}` runs as root");
            found.push(
                warning(input.task_file.error("root-user", &place("user"), message))
                    .help("take `user` out; longshore's image runs as 65532"),
            );
        }
        if container.readonly_root_filesystem != Some(true) {
            let message = format!("the root file system of container `{name}` can be written");
            found.push(warning(input.task_file.error("writable-root", &place("readonlyRootFilesystem"), message)).help("set `readonlyRootFilesystem` to true, and mount a volume where the program writes"));
        }
        if container.log_configuration.is_none() {
            let message = format!(
                "the output of container `{name}` goes nowhere: nobody can tell why it failed"
            );
            found.push(
                warning(input.task_file.error(
                    "no-log-configuration",
                    &place("logConfiguration"),
                    message,
                ))
                .help("add `logConfiguration` with the driver awslogs"),
            );
        }
        let deployed = container.name.as_ref() == Some(&input.pipeline.deploy.container);
        if !deployed
            && container
                .image
                .as_deref()
                .is_some_and(|image| !image.contains("@sha256:"))
        {
            let message = format!(
                "the image of container `{name}` is not pinned by digest: two tasks of one revision may run different programs"
            );
            found.push(
                warning(
                    input
                        .task_file
                        .error("floating-image", &place("image"), message),
                )
                .help("write repository@sha256:…"),
            );
        }
    }
}

fn is_root(user: &str) -> bool {
    let user = user.split(':').next().unwrap_or_default();
    user == "root" || user == "0"
}

/// Secret values where anyone who may describe the task definition reads them.
fn values(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let help = "put it into SSM or Secrets Manager, and its name or ARN into `secrets`";
    for (index, container) in input.containers() {
        for (entry, pair) in container.environment.iter().flatten().enumerate() {
            let (Some(name), Some(value)) = (&pair.name, &pair.value) else {
                continue;
            };
            if let Some(why) = secrets::suspicion(name, value) {
                let entry = entry.to_string();
                let place = [
                    "containerDefinitions",
                    &index,
                    "environment",
                    &entry,
                    "name",
                ];
                let problem = input.task_file.error(
                    "secret-in-environment",
                    &place,
                    format!("the value of `{name}` {why}"),
                );
                found.push(warning(problem).help(help));
            }
        }
    }
    let mut look = |path: &[&str], name: &str, value: &str| {
        if let Some(why) = secrets::suspicion(name, value) {
            let place = [path, &[name]].concat();
            let message = format!("the value of `{name}` {why}");
            let problem = input
                .pipeline_file
                .error("secret-in-environment", &place, message);
            found.push(warning(problem).help(help));
        }
    };
    for (name, value) in input.pipeline.values.iter().flatten() {
        look(&["values"], name, value);
    }
    for (environment, settings) in &input.pipeline.environments {
        for (table, entries) in [
            ("values", &settings.values),
            ("variables", &settings.variables),
        ] {
            for (name, value) in entries.iter().flatten() {
                look(&["environments", environment, table], name, value);
            }
        }
    }
}

fn references(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut look = |file: &crate::File, place: &[&str], name: &str, reference: &str| {
        if let Some(why) = secrets::bad_reference(reference) {
            let problem = file.error(
                "secret-not-a-reference",
                place,
                format!("secret `{name}` {why}"),
            );
            found.push(warning(problem).help("an SSM parameter by name (/path/name) or ARN, or a Secrets Manager secret by its whole ARN"));
        }
    };
    for (index, container) in input.containers() {
        for (entry, secret) in container.secrets.iter().flatten().enumerate() {
            let entry = entry.to_string();
            let place = ["containerDefinitions", &index, "secrets", &entry, "name"];
            look(input.task_file, &place, &secret.name, &secret.value_from);
        }
    }
    for (environment, settings) in &input.pipeline.environments {
        for (name, reference) in settings.secrets.iter().flatten() {
            look(
                input.pipeline_file,
                &["environments", environment, "secrets", name],
                name,
                reference,
            );
        }
    }
}
