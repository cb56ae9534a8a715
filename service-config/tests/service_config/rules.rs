//! Every rule fires where it should, nowhere else, and every lint can be broken on purpose.

use std::collections::BTreeSet;

use diagnostic::{Format, Severity, render};
use service_config::rules;

use crate::{PIPELINE, TASK_DEFINITION, files, load_from, problems};

const TOML: bool = true;
const JSON: bool = false;
const FAMILY: &str = r#""family": "api""#;
const APP: &str = r#""name": "app","#;
const SIDE: &str = r#""name": "sidecar","#;
const LOCAL: &str = "[environments.local]";

/// A change to one of the two files.
type Edit = (bool, &'static str, &'static str);

/// Each rule, and what makes it fire: by itself the files break none.
#[rustfmt::skip] // A line a case.
const CASES: &[(&str, &[Edit])] = &[
    // Files.
    ("toml-syntax", &[(TOML, "[build]", "[build")]),
    ("json-syntax", &[(JSON, r#""family""#, "family")]),
    ("repeated-key", &[(JSON, FAMILY, r#""family": "a", "family": "api""#)]),
    ("unknown-key", &[(TOML, "package =", "package = \"a\"\npakage =")]),
    ("missing-key", &[(TOML, "container = \"app\"
", "")]),
    ("missing-key", &[(JSON, FAMILY, r#""cpu": "256""#)]),
    ("incomplete-container", &[(JSON, r#""image": "otel@sha256:aa", "#, "")]),
    ("wrong-type", &[(JSON, FAMILY, r#""family": 7"#)]),
    ("unknown-value", &[(JSON, "\"awslogs\"}", "\"awslog\"}")]),
    ("out-of-range", &[(JSON, r#""healthCheck": {"#, r#""healthCheck": {"retries": 11, "#)]),
    ("fargate-timeout", &[(JSON, APP, r#""name": "app", "stopTimeout": 121,"#), (JSON, FAMILY, r#""family": "api", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"]"#)]),
    ("out-of-range", &[(TOML, "circuit-breaker = true", "circuit-breaker = true\nchecks = [{ path = \"/\", status = 42 }]")]),
    ("not-a-duration", &[(TOML, "\"10m\"", "\"10 minutes\"")]),
    ("bare-containers", &[(JSON, TASK_DEFINITION, "[]")]),
    ("unquoted-placeholder", &[(JSON, APP, r#""name": "app", "cpu": ${CPU},"#)]),
    // Accepted in another form.
    ("encoding", &[(JSON, "{\n  // Comments", "\u{feff}{\n  // Comments")]),
    ("wrapped-document", &[(JSON, "{\n  // Comments", "{\"taskDefinition\": {\n  // Comments"), (JSON, r#""family": "api""#, r#""family": "api"}"#)]),
    ("read-only-member", &[(JSON, FAMILY, r#""family": "api", "revision": 7"#)]),
    ("null-member", &[(JSON, FAMILY, r#""family": "api", "cpu": null"#)]),
    ("size-spelling", &[(JSON, FAMILY, r#""family": "api", "memory": "2 GB""#)]),
    ("trailing-comma", &[(JSON, FAMILY, r#""family": "api","#)]),
    // Meaning.
    ("no-environment", &[(TOML, PIPELINE, "[service]\nname = \"a\"\n[build]\npackage = \".\"\n[registry]\nrepository = \"ab\"\n[deploy]\ncontainer = \"app\"\n[environments]\n")]),
    ("unknown-environment", &[(TOML, "name = \"api\"", "name = \"api\"\ndefault-environment = \"x\"")]),
    ("bad-platforms", &[(TOML, "[registry]", "platforms = []\n[registry]")]),
    ("bad-platforms", &[(TOML, "[registry]", "platform = \"linux/arm64\"\nplatforms = [\"linux/amd64\"]\n[registry]")]),
    ("bad-platforms", &[(TOML, "[registry]", "platforms = [\"linux/amd64\", \"linux/amd64\"]\n[registry]")]),
    ("architecture-mismatch", &[(TOML, "[registry]", "platforms = [\"linux/arm64\"]\n[registry]")]),
    ("not-a-region", &[(TOML, "eu-central-1", "mars-1")]),
    ("no-time", &[(TOML, "\"10m\"", "\"0s\"")]),
    ("no-time", &[(TOML, LOCAL, "[test]\ntimeout = \"0m\"\n[environments.local]")]),
    ("no-time", &[(TOML, "circuit-breaker = true", "circuit-breaker = true\nbefore = [{ name = \"m\", command = [\"m\"], timeout = \"0h\" }]")]),
    ("blocked-rollout", &[(TOML, "timeout =", "minimum-healthy-percent = 100\nmaximum-percent = 100\ntimeout =")]),
    ("out-of-range", &[(TOML, "timeout =", "minimum-healthy-percent = 300\ntimeout =")]),
    ("out-of-range", &[(TOML, "timeout =", "maximum-percent = 99\ntimeout =")]),
    ("not-an-account", &[(TOML, "123456789012", "1234")]),
    ("variable-and-secret", &[(TOML, "LOG_LEVEL =", "DATABASE_URL =")]),
    ("unknown-container", &[(JSON, APP, r#""name": "app", "dependsOn": [{"containerName": "sidecat", "condition": "START"}],"#)]),
    ("unknown-container", &[(TOML, "container = \"app\"", "container = \"ap\"")]),
    ("unknown-container", &[(TOML, LOCAL, "[environments.local]\nunset = [\"containerDefinitions.app\"]")]),
    ("unknown-container", &[(TOML, "circuit-breaker = true", "circuit-breaker = true\nbefore = [{ name = \"m\", command = [\"m\"], container = \"migrate\" }]")]),
    ("unknown-volume", &[(JSON, APP, r#""name": "app", "mountPoints": [{"sourceVolume": "data"}],"#)]),
    ("unknown-placeholder", &[(JSON, "/${env}/", "/${environ}/")]),
    ("foreign-placeholder", &[(JSON, r#""image": "${image}""#, r#""image": "<IMAGE1_NAME>""#)]),
    ("no-essential-container", &[(JSON, APP, r#""name": "app", "essential": false,"#)]),
    ("repeated-container", &[(JSON, SIDE, r#""name": "app","#)]),
    ("repeated-variable", &[(JSON, "LOG_LEVEL", "DATABASE_URL")]),
    ("dependency-cycle", &[(JSON, APP, r#""name": "app", "dependsOn": [{"containerName": "app", "condition": "START"}],"#)]),
    ("awsvpc-host-port", &[(JSON, APP, r#""name": "app", "portMappings": [{"containerPort": 80, "hostPort": 81}],"#), (JSON, FAMILY, r#""family": "api", "networkMode": "awsvpc""#)]),
    ("fargate-network", &[(JSON, FAMILY, r#""family": "api", "cpu": "256", "memory": "512", "networkMode": "bridge", "requiresCompatibilities": ["FARGATE"]"#)]),
    ("fargate-size", &[(JSON, FAMILY, r#""family": "api", "cpu": "300", "memory": "512", "requiresCompatibilities": ["FARGATE"]"#)]),
    ("fargate-size", &[(JSON, FAMILY, r#""family": "api", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"]"#), (TOML, "memory = \"2048\"", "memory = \"1024\"")]),
    ("health-check-command", &[(JSON, r#""CMD", "#, "")]),
    ("health-check-overlap", &[(JSON, r#""healthCheck": {"#, r#""healthCheck": {"timeout": 50, "#)]),
    ("unknown-rule", &[(TOML, LOCAL, "[[allow]]\nrule = \"toml-syntax\"\nreason = \"x\"\n[environments.local]")]),
    ("unused-allow", &[(TOML, LOCAL, "[[allow]]\nrule = \"privileged\"\nreason = \"x\"\n[environments.local]")]),
    ("unused-allow", &[(TOML, "name = \"api\"", "name = \"api\"\nnewer-members = [\"futureMember\"]")]),
    ("bad-name", &[(TOML, "name = \"api\"", "name = \"my api\"")]),
    ("bad-name", &[(TOML, "team/api", "Team/API")]),
    ("bad-name", &[(TOML, LOCAL, "[environments.\"a/b\"]")]),
    ("bad-name", &[(TOML, LOCAL, "[values]\n\"a b\" = \"\"\n[environments.local]")]),
    ("bad-name", &[(TOML, "region =", "alarms = [\"arn:aws:cloudwatch:x\"]\nregion =")]),
    ("reserved-name", &[(TOML, LOCAL, "[values]\nimage = \"x\"\n[environments.local]")]),
    ("reserved-name", &[(TOML, LOCAL, "[environments.local]\nvalues = { env = \"x\" }")]),
    ("missing-value", &[(TOML, LOCAL, "[environments.local]\nvalues = { level = \"debug\" }"), (JSON, "\"info\"", "\"${level}\"")]),
    ("unused-value", &[(TOML, LOCAL, "[values]\nlevel = \"info\"\n[environments.local]")]),
    ("misplaced-placeholder", &[(TOML, "./cmd/server", "./cmd/${service}")]),
    ("bad-size", &[(TOML, "cpu = \"1024\"", "cpu = \"1 vCPU\"")]),
    ("bad-size", &[(JSON, FAMILY, r#""family": "api", "memory": "lots""#)]),
    ("bad-size", &[(TOML, LOCAL, "[environments.local]\noverride = { cpu = \"1 vCPU\" }")]),
    ("bad-user", &[(TOML, "[registry]", "[image]\nuser = \"nonroot\"\n[registry]")]),
    ("unpinned-base", &[(TOML, "[registry]", "[image]\nbase = \"debian:12\"\n[registry]")]),
    ("bad-path", &[(TOML, "[registry]", "[image]\nfiles = [{ from = \"../x\", to = \"/x\" }]\n[registry]")]),
    ("bad-path", &[(TOML, "[registry]", "[image]\nfiles = [{ from = \"x\", to = \"x\" }]\n[registry]")]),
    ("bad-path", &[(TOML, "circuit-breaker = true", "circuit-breaker = true\nchecks = [{ path = \"version\" }]")]),
    ("repeated-path", &[(TOML, "[registry]", "[image]\nfiles = [{ from = \"x\", to = \"/x\" }, { from = \"y\", to = \"/x\" }]\n[registry]")]),
    ("empty-command", &[(TOML, "[registry]", "[image]\nentrypoint = []\n[registry]")]),
    ("empty-command", &[(TOML, "circuit-breaker = true", "circuit-breaker = true\nbefore = [{ name = \"m\", command = [] }]")]),
    ("repeated-task", &[(TOML, "circuit-breaker = true", "circuit-breaker = true\nbefore = [{ name = \"m\", command = [\"a\"] }, { name = \"m\", command = [\"b\"] }]")]),
    ("reverse-mismatch", &[(TOML, "circuit-breaker = true", "circuit-breaker = true\nbefore = [{ name = \"m\", command = [\"a\"], rollback = \"reverse\" }]")]),
    ("reverse-mismatch", &[(TOML, "circuit-breaker = true", "circuit-breaker = true\nbefore = [{ name = \"m\", command = [\"a\"], reverse = [\"b\"] }]")]),
    ("not-a-role", &[(JSON, ":role/api", ":policy/api")]),
    ("not-a-role", &[(TOML, "region =", "role = \"deployer\"\nregion =")]),
    ("role-of-another-account", &[(TOML, "region =", "role = \"arn:aws:iam::210987654321:role/x\"\nregion =")]),
    ("not-a-url", &[(TOML, "region =", "url = \"api.example.com\"\nregion =")]),
    ("not-a-url", &[(TOML, "region =", "url = \"https://api.example.com/v1\"\nregion =")]),
    ("repeated-alarm", &[(TOML, "region =", "alarms = [\"a\", \"a\"]\nregion =")]),
    ("alarms-without-region", &[(TOML, LOCAL, "[environments.local]\nalarms = [\"a\"]")]),
    ("unknown-member", &[(TOML, LOCAL, "[environments.local]\nunset = [\"containerDefinitions.api.user\"]")]),
    // Zero downtime.
    ("no-health-check", &[(JSON, r#""healthCheck": {"command": ["CMD", "/app", "health"]},"#, "")]),
    ("shell-health-check", &[(JSON, r#""CMD", "/app", "health""#, r#""CMD-SHELL", "curl -f localhost""#)]),
    ("shell-health-check", &[(JSON, r#""/app", "health""#, r#""curl", "-f", "localhost""#)]),
    ("no-probe", &[(JSON, r#""/app", "health""#, r#""/probe", "http://127.0.0.1:8080/health""#)]),
    ("few-healthy-tasks", &[(TOML, "timeout", "minimum-healthy-percent = 49\ntimeout")]),
    ("cannot-roll", &[(TOML, "allow-variables = true", "allow-variables = true\nembedded = { desired-count = 2 }"), (TOML, "timeout =", "maximum-percent = 100\ntimeout =")]),
    ("short-timeout", &[(TOML, "10m", "5m")]),
    ("no-circuit-breaker", &[(TOML, "circuit-breaker = true", "")]),
    ("no-circuit-breaker", &[(TOML, "circuit-breaker = true", "circuit-breaker = false")]),
    ("short-stop-timeout", &[(TOML, "name = \"api\"", "name = \"api\"\ngrace = \"40s\"")]),
    // Security.
    ("secret-in-environment", &[(JSON, "DATABASE_URL\", \"value\": \"replaced", "DB_PASSWORD\", \"value\": \"correct-horse")]),
    ("secret-in-environment", &[(TOML, "LOG_LEVEL = \"debug\"", "KEY = \"AKIAIOSFODNN7EXAMPLE\"")]),
    ("secret-in-environment", &[(TOML, LOCAL, "[values]\npassword = \"correct-horse\"\n[environments.local]"), (JSON, "\"info\"", "\"${password}\"")]),
    ("secret-in-environment", &[(TOML, LOCAL, "[[environments.local.override.containerDefinitions]]\nname = \"app\"\nenvironment = [{ name = \"X\", value = \"AKIAIOSFODNN7EXAMPLE\" }]\n[environments.local]")]),
    ("secret-not-a-reference", &[(TOML, "/local/api/database-url", "postgres://a:b@c/d")]),
    ("privileged", &[(JSON, SIDE, r#""name": "sidecar", "privileged": true,"#)]),
    ("privileged", &[(TOML, LOCAL, "[[environments.local.override.containerDefinitions]]\nname = \"app\"\nprivileged = true\n[environments.local]")]),
    ("root-user", &[(JSON, SIDE, r#""name": "sidecar", "user": "0:0","#)]),
    ("root-user", &[(TOML, "[registry]", "[image]\nuser = \"0\"\n[registry]")]),
    ("writable-root", &[(JSON, r#""essential": false, "readonlyRootFilesystem": true"#, r#""essential": false"#)]),
    ("floating-image", &[(JSON, "otel@sha256:aa", "otel:latest")]),
    ("no-log-configuration", &[(JSON, r#",
     "logConfiguration": {"logDriver": "awslogs"}}"#, "}")]),
    // Cost of error.
    ("architecture-mismatch", &[(TOML, "[registry]", "platform = \"linux/arm64\"\n[registry]")]),
    ("memory-over-task", &[(JSON, SIDE, r#""name": "sidecar", "memory": 4096,"#), (JSON, FAMILY, r#""family": "api", "memory": "2048""#)]),
    ("no-execution-role", &[(JSON, r#""executionRoleArn": "arn:aws:iam::${account}:role/api","#, "")]),
];

fn edited(edits: &[Edit]) -> (String, String) {
    let (mut pipeline, mut task) = (PIPELINE.to_owned(), TASK_DEFINITION.to_owned());
    for (in_pipeline, from, to) in edits {
        let file = if *in_pipeline {
            &mut pipeline
        } else {
            &mut task
        };
        assert!(file.contains(from), "{from}");
        *file = file.replacen(from, to, 1);
    }
    (pipeline, task)
}

#[test]
fn every_rule_fires_where_it_should_and_nowhere_else() {
    assert_eq!(problems(PIPELINE, TASK_DEFINITION), "");
    for (code, edits) in CASES {
        let (pipeline, task) = edited(edits);
        let found = load_from(&files(&pipeline, &task)).problems;
        assert!(
            found.iter().any(|problem| problem.code == *code),
            "{code}: {}",
            render(&found, Format::Concise, false)
        );
        for problem in &found {
            assert!(rules::find(problem.code).is_some(), "{}", problem.code);
            let allowable = rules::find(problem.code).is_some_and(|rule| rule.allowable);
            assert!(
                !allowable || problem.severity == Severity::Warning,
                "{problem:?}"
            );
        }
    }
}

#[test]
fn every_rule_has_a_case_that_fires() {
    let cases: BTreeSet<&str> = CASES.iter().map(|(code, _)| *code).collect();
    let all: BTreeSet<&str> = rules::all().map(|rule| rule.code).collect();
    // What stands for missing files, and what only several services show, have tests of their own.
    let without: Vec<_> = all.difference(&cases).collect();
    assert_eq!(without, [&"repeated-service", &"unreadable-file"]);
    assert_eq!(all.len(), rules::all().count(), "every code stands once");
}

#[test]
fn every_lint_can_be_broken_on_purpose_with_a_reason() {
    let allowable = |code: &str| rules::find(code).is_some_and(|rule| rule.allowable);
    for (code, edits) in CASES.iter().filter(|(code, _)| allowable(code)) {
        let (pipeline, task) = edited(edits);
        let allow = format!("\n[[allow]]\nrule = \"{code}\"\nreason = \"our own, for a while\"\n");
        let found = load_from(&files(&format!("{pipeline}{allow}"), &task)).problems;
        for problem in found {
            assert!(
                problem.code != *code && problem.code != "unused-allow",
                "{code}: {problem:?}"
            );
        }
    }
}

#[test]
fn an_exception_without_a_reason_is_none() {
    let task = TASK_DEFINITION.replace("otel@sha256:aa", "otel:latest");
    let pipeline = format!("{PIPELINE}\n[[allow]]\nrule = \"floating-image\"\n");
    assert!(problems(&pipeline, &task).contains("`reason` is missing"));
}

#[test]
fn a_finding_explains_itself() {
    for rule in rules::all() {
        let text = rules::explain(rule);
        assert!(text.contains(rule.code) && text.contains("Why: ") && text.contains("Fix: "));
        assert!(rules::markdown().contains(&format!("| `{}` |", rule.code)));
    }
}
