//! The environments of a pipeline file.

use super::arn;
use super::pipeline::{Look, is_name};
use crate::normalize::{bad_size, is_size};
use crate::pipeline::{Environment, Pipeline};

/// Findings about the environments.
pub(super) fn check(pipeline: &Pipeline, look: &mut Look<'_>) {
    for (name, environment) in &pipeline.environments {
        let place = |member| ["environments", name.as_str(), member];
        if !is_name(name, 100) {
            let message = format!("{name:?} cannot be the name of an environment");
            let mut problem =
                look.file
                    .key_error("bad-name", &["environments", name.as_str()], message);
            problem.help = Some("letters, digits, `-` and `_`".to_owned());
            look.problems.push(problem);
        }
        if let Some(account) = look.text(&place("account"))
            && (account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()))
        {
            look.error(
                "not-an-account",
                &place("account"),
                format!("{account:?} is not an AWS account: 12 digits"),
                "",
            );
        }
        if let Some(region) = look.text(&place("region"))
            && !region.is_empty()
            && !is_region(region)
        {
            look.error(
                "not-a-region",
                &place("region"),
                format!("{region:?} is not the name of an AWS region"),
                "such as eu-central-1, us-gov-west-1",
            );
        }
        for member in ["cpu", "memory"] {
            if let Some(size) = look.text(&place(member))
                && !is_size(size)
            {
                let (message, help) = bad_size(member, size);
                look.error("bad-size", &place(member), message, &help);
            }
        }
        variables(name, environment, look);
        role(name, look);
        url(&place("url"), look);
        alarms(name, environment, look);
        for member in ["branch", "cluster", "service", "region"] {
            if look.text(&place(member)) == Some("") {
                let message = format!("`{member}` is empty");
                look.error(
                    "bad-name",
                    &place(member),
                    message,
                    "leave it out, or name one",
                );
            }
        }
    }
}

/// `eu-central-1`, `us-gov-west-1`: words and a number, joined by `-` (AWS General Reference, "Regional endpoints"). Which there are changes.
fn is_region(region: &str) -> bool {
    let mut parts = region.rsplit('-');
    let number = parts.next().unwrap_or_default();
    let words: Vec<&str> = parts.collect();
    let word = |word: &&str| word.len() >= 2 && word.bytes().all(|b| b.is_ascii_lowercase());
    words.len() >= 2
        && words.iter().all(word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn variables(name: &str, environment: &Environment, look: &mut Look<'_>) {
    for variable in environment.variables.iter().flatten().map(|(name, _)| name) {
        let secrets = environment.secrets.as_ref();
        if secrets.is_some_and(|secrets| secrets.contains_key(variable)) {
            look.error(
                "variable-and-secret",
                &["environments", name, "variables", variable],
                format!("`{variable}` is a variable and a secret of the same environment"),
                "keep one",
            );
        }
    }
}

fn role(name: &str, look: &mut Look<'_>) {
    let path = ["environments", name, "role"];
    let Some(role) = look.text(&path) else { return };
    let help = "arn:aws:iam::ACCOUNT:role/NAME";
    if let Some(problem) = arn::role_problem(role) {
        look.error("not-a-role", &path, problem, help);
        return;
    }
    if !role.starts_with("arn:") {
        let message = format!("{role:?} is not the ARN of an IAM role");
        look.error("not-a-role", &path, message, help);
        return;
    }
    let account = look.text(&["environments", name, "account"]);
    if let (Some(own), Some(wanted)) = (arn::account(role), account)
        && own != wanted
        && wanted.len() == 12
    {
        look.error(
            "role-of-another-account",
            &path,
            format!("the role is one of account {own}, and the environment is in {wanted}"),
            "one of the two is wrong; a deployment into another account would be refused",
        );
    }
}

/// Scheme, host and port, and nothing more.
fn url(path: &[&str], look: &mut Look<'_>) {
    let Some(url) = look.text(path) else { return };
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let (message, help) = match rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest)) {
        None => (
            format!("{url:?} is no address that begins with https:// or http://"),
            "https://api.example.com",
        ),
        Some(host) if host.contains(['/', '?', '#']) => (
            format!("{url:?} goes on behind the host"),
            "write the address without a path; paths are those of [[deploy.checks]]",
        ),
        Some(host) if host.is_empty() || host.contains(['@', ' ']) => (
            // What stands before an @ may be a password.
            "the address has no host that a request could go to".to_owned(),
            "https://api.example.com",
        ),
        Some(_) => return,
    };
    look.error("not-a-url", path, message, help);
}

fn alarms(name: &str, environment: &Environment, look: &mut Look<'_>) {
    let path = ["environments", name, "alarms"];
    let alarms = look.texts(&path);
    for (index, alarm) in alarms.iter().enumerate() {
        let index = index.to_string();
        let place = [path[0], path[1], path[2], index.as_str()];
        if alarm.is_empty() || alarm.contains(':') {
            let message = format!("{alarm:?} is not the name of a CloudWatch alarm");
            look.error("bad-name", &place, message, "its name, not its ARN");
        } else if alarms.iter().filter(|other| *other == alarm).count() > 1
            && alarms.iter().position(|other| other == alarm) != index.parse().ok()
        {
            let message = format!("the alarm {alarm:?} is named twice");
            look.error("repeated-alarm", &place, message, "keep one");
        }
    }
    if !alarms.is_empty() && environment.region.is_none() && environment.embedded.is_none() {
        look.error(
            "alarms-without-region",
            &path,
            "the environment has alarms and no `region`: they would be looked for wherever the credentials point",
            "add region = \"eu-central-1\" or where the alarms are",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_a_form() {
        for (region, good) in [
            ("eu-central-1", true),
            ("us-gov-west-1", true),
            ("ap-southeast-10", true),
            ("eusc-de-east-1", true),
            ("mars-1", false),
            ("eu-central", false),
            ("eu-central-1a", false),
            ("EU-CENTRAL-1", false),
            ("eu--1", false),
            ("", false),
        ] {
            assert_eq!(is_region(region), good, "{region}");
        }
    }
}
