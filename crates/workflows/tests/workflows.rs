//! The workflows: as a person would review them, and the rules that all of them keep, whatever names the pipeline files have.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use service_config::Service;
use workflows::{File, Problem, Unit, generate, session_seconds};

const TASK: &str = r#"{"family": "x", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [{"name": "app", "image": "${image}", "essential": true}]}"#;

const PRODUCTION: &str = r#"
[environments.production]
account = "123456789012"
region = "eu-central-1"
branch = "main"
role = "arn:aws:iam::123456789012:role/longshore-production"
"#;

const PIPELINE: &str = "[service]\nname = \"orders\"\n[build]\npackage = \"./cmd\"\n[registry]\nrepository = \"orders\"\n[deploy]\ncontainer = \"app\"\ntimeout = \"15m\"\n[environments.local]\n[environments.local.embedded]\n";

fn load(pipeline: &str) -> Service {
    let read = |path: &Path| match path.to_str() {
        Some("x/pipeline.toml") => Ok(pipeline.as_bytes().to_vec()),
        Some("x/task-definition.json") => Ok(TASK.as_bytes().to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let mut loaded = service_config::load(Path::new("x/pipeline.toml"), &read);
    let service = loaded.service.take();
    service.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

fn service(name: &str, more: &str) -> Service {
    let local = PIPELINE.find("[environments.local]").unwrap();
    let mut service = load(&format!("{}{more}", &PIPELINE[..local]));
    name.clone_into(&mut service.pipeline.service.name);
    service
}

fn unit<'a>(service: &'a Service, module: &str) -> Unit<'a> {
    Unit {
        service,
        module: module.to_owned(),
    }
}

fn text<'a>(files: &'a [File], name: &str) -> &'a str {
    let file = files.iter().find(|file| file.name == name);
    &file
        .unwrap_or_else(|| panic!("no {name} in {files:?}"))
        .text
}

fn yaml(file: &File) -> Value {
    serde_saphyr::from_str(&file.text).unwrap_or_else(|error| panic!("{error}\n{}", file.text))
}

#[test]
fn one_service_with_a_database_and_two_environments() {
    let staging = "[environments.staging]\nregion = \"eu-central-1\"\nbranch = \"main\"\nrole = \"arn:aws:iam::210987654321:role/s\"\ntest = false\n[environments.local]\n[environments.local.embedded]\n";
    let service = service(
        "orders",
        &format!(
            "[test]\nvulnerabilities = true\n[test.postgres]\ndatabase = \"orders\"\nimage = \"postgres:17@sha256:0000000000000000000000000000000000000000000000000000000000000000\"\n{PRODUCTION}{staging}"
        ),
    );
    let files = generate(&[unit(&service, ".")]).unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "deploy-production.yml",
            "deploy-staging.yml",
            "rollback.yml",
            "test.yml"
        ]
    );
    insta::assert_snapshot!(
        "one_deploy_production",
        text(&files, "deploy-production.yml")
    );
    insta::assert_snapshot!("one_rollback", text(&files, "rollback.yml"));
    // An environment that wants no tests has no job for them to wait for.
    let staging = yaml(&files[1]);
    let jobs: Vec<&String> = staging["jobs"].as_object().unwrap().keys().collect();
    assert_eq!(jobs, ["deploy"]);
}

#[test]
fn several_services_are_a_matrix() {
    let (orders, stock) = (service("orders", PRODUCTION), service("stock", PRODUCTION));
    let with_database = service("users", &format!("[test.postgres]\n{PRODUCTION}"));
    let files = generate(&[
        unit(&orders, "services/orders"),
        unit(&stock, "services/stock"),
        unit(&with_database, "services/users"),
    ])
    .unwrap();
    insta::assert_snapshot!("several_test", text(&files, "test.yml"));
    insta::assert_snapshot!("several_deploy", text(&files, "deploy-production.yml"));
    let rollback = yaml(&files[1]);
    assert_eq!(
        rollback["on"]["workflow_dispatch"]["inputs"]["service"]["options"],
        serde_json::json!(["orders", "stock", "users"])
    );
}

#[test]
fn without_a_role_there_are_only_tests() {
    let service = service(
        "orders",
        "[environments.production]\nregion = \"eu-central-1\"\n",
    );
    let files = generate(&[unit(&service, ".")]).unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].name, "test.yml");
}

#[test]
fn what_is_missing_is_told_all_at_once() {
    let one = service("one", "[environments.production]\nbranch = \"main\"\n");
    let other = service(
        "other",
        "[environments.production]\nbranch = \"trunk\"\nregion = \"eu-central-1\"\nrole = \"arn:aws:iam::210987654321:role/x\"\n[environments.1st]\nrole = \"arn:aws:iam::1:role/x\"\nregion = \"eu-central-1\"\n",
    );
    let problems = generate(&[unit(&one, "one"), unit(&other, "other")]).unwrap_err();
    let text: Vec<String> = problems.iter().map(Problem::to_string).collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    environment `1st` cannot name a workflow: use letters, digits, `-` and `_`, beginning with a letter or `_`
    environment `production` of service `one` has no `role`, which the pipeline needs to take on by OIDC
    environment `production` of service `one` has no `region`, which the pipeline needs to know where to ask for credentials
    environment `production` has the branch `main` in one pipeline file and `trunk` in another: one workflow deploys all services of an environment
    ");
}

#[test]
fn credentials_last_as_long_as_a_deployment() {
    for (timeout, seconds) in [("1m", 960), ("15m", 1800), ("3h", 11_700), ("20h", 43_200)] {
        let text = PIPELINE.replace("15m", timeout);
        let service = load(&text);
        assert_eq!(session_seconds(&service), seconds, "{timeout}");
    }
}

/// Expressions that may stand in a workflow: none of them is text that a stranger writes, but for the two inputs, which only reach the environment of a step.
const EXPRESSIONS: [&str; 12] = [
    "${{ github.ref }}",
    "${{ github.run_id }}",
    "${{ matrix.service }}",
    "${{ matrix.module }}",
    "${{ runner.temp }}",
    "${{ steps.deploy.outputs.url }}",
    "${{ steps.rollback.outputs.url }}",
    "${{ inputs.environment }}",
    "${{ inputs.service }}",
    "${{ inputs.revision }}",
    "${{ !cancelled() }}",
    "${{ '${{' }}",
];

/// All strings of a document, with the path to each.
fn strings(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => out.push((path.to_owned(), text.clone())),
        Value::Array(items) => {
            for item in items {
                strings(item, path, out);
            }
        }
        Value::Object(members) => {
            for (name, item) in members {
                strings(item, &format!("{path}/{name}"), out);
            }
        }
        _ => {}
    }
}

/// The rules of the crate's documentation.
fn rules(file: &File) {
    let document = yaml(file);
    assert_eq!(
        document["permissions"],
        serde_json::json!({}),
        "{}",
        file.name
    );
    let mut all = Vec::new();
    strings(&document, "", &mut all);
    // GitHub evaluates nothing under `on`.
    for (path, text) in all.iter().filter(|(path, _)| !path.starts_with("/on/")) {
        let mut rest = text.as_str();
        while let Some(start) = rest.find("${{") {
            let known = EXPRESSIONS
                .iter()
                .find(|known| rest[start..].starts_with(**known));
            let known = known.unwrap_or_else(|| panic!("{}{path}: {text}", file.name));
            rest = &rest[start + known.len()..];
            let input = known.contains("inputs.") || known.contains("matrix.service");
            let only_here = ["/env/", "/concurrency/group", "/name", "/with/name"];
            assert!(
                !input || only_here.iter().any(|place| path.contains(place)),
                "{}{path}: {text}",
                file.name
            );
        }
        if path.ends_with("/run") {
            assert!(!text.contains("${{"), "{}{path}: {text}", file.name);
        }
        if path.ends_with("/uses") {
            let (_, commit) = text.split_once('@').expect("an action is pinned");
            assert!(
                commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()),
                "{text}"
            );
        }
    }
    for (name, job) in document["jobs"].as_object().unwrap() {
        assert!(
            job["timeout-minutes"]
                .as_u64()
                .is_some_and(|minutes| minutes > 0),
            "{name}"
        );
        let token = job["permissions"]["id-token"] == "write";
        assert_eq!(token, job["environment"].is_object(), "{name}");
        let steps = job["steps"].as_array().unwrap();
        let runs: Vec<&str> = steps
            .iter()
            .filter_map(|step| step["run"].as_str())
            .collect();
        let tests = runs.iter().any(|run| run.contains("xtask test"));
        assert!(!(token && tests), "{name}: tests beside a token");
        let caches = steps.iter().any(|step| {
            let uses = step["uses"].as_str().unwrap_or_default();
            uses.starts_with("Swatinem/")
                || (uses.starts_with("actions/setup-go") && step["with"]["cache"] != "false")
        });
        assert!(!(token && caches), "{name}: a cache beside a token");
    }
    let cancels = document["concurrency"]["cancel-in-progress"]
        .as_bool()
        .unwrap();
    let deploys = document["concurrency"]["group"]
        .as_str()
        .unwrap()
        .starts_with("deploy-");
    assert_eq!(cancels, !deploys, "{}", file.name);
}

/// Names that would do something if they were more than names.
const HOSTILE: [&str; 9] = [
    "main",
    "a'; touch pwned; '",
    "$(touch pwned)",
    "`touch pwned`",
    "${{ github.token }}",
    "x\" && exit 0 #",
    "a: b\n- c",
    "*",
    "' || true || '",
];

#[test]
fn hostile_names_stay_names() {
    for name in HOSTILE {
        for branch in HOSTILE {
            // What `check` may refuse is put in behind its back: the generator does not rely on it.
            let mut one = service("one", &format!("[test.postgres]\n{PRODUCTION}"));
            let mut two = service("two", PRODUCTION);
            if let Some(test) = &mut one.pipeline.test
                && let Some(postgres) = &mut test.postgres
            {
                postgres.database = Some(name.to_owned());
                postgres.image = Some(name.to_owned());
            }
            let production = |service: &mut Service| {
                service.pipeline.service.name = name.to_owned();
                if let Some(environment) = service.pipeline.environments.get_mut("production") {
                    environment.branch = Some(branch.to_owned());
                    environment.role = Some(name.to_owned());
                    environment.region = Some(name.to_owned());
                    environment.account = Some(name.to_owned());
                }
            };
            production(&mut one);
            if branch.contains("${{") {
                let problems = generate(&[unit(&one, name)]).unwrap_err();
                assert!(
                    matches!(problems[..], [Problem::Branch { .. }]),
                    "{problems:?}"
                );
                continue;
            }
            for file in generate(&[unit(&one, name)]).unwrap() {
                rules(&file);
            }
            production(&mut two);
            for file in generate(&[unit(&one, name), unit(&two, "other")]).unwrap() {
                rules(&file);
            }
            // The branch is compared as what it is.
            let files = generate(&[unit(&one, ".")]).unwrap();
            let deploy = files
                .iter()
                .find(|file| file.name == "deploy-production.yml");
            let condition = yaml(deploy.unwrap())["jobs"]["deploy"]["if"].clone();
            let expected = format!("github.ref == 'refs/heads/{}'", branch.replace('\'', "''"));
            assert_eq!(condition, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The same for names that nobody thought of.
    #[test]
    fn any_name_stays_a_name(name in "[ -~¡-ɏ]{1,24}", branch in "[ -~¡-ɏ]{1,24}") {
        let mut one = service("one", PRODUCTION);
        one.pipeline.service.name.clone_from(&name);
        if let Some(environment) = one.pipeline.environments.get_mut("production") {
            environment.branch = Some(branch);
            environment.role = Some(name.clone());
        }
        for file in generate(&[unit(&one, &name)]).unwrap() {
            rules(&file);
            let document = yaml(&file);
            if file.name == "test.yml" {
                let tests = &document["jobs"]["test"]["steps"][3]["env"]["SERVICE"];
                prop_assert_eq!(tests.as_str().unwrap().replace("${{ '${{' }}", "${{"), name.clone());
            }
        }
    }
}
