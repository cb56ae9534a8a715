//! The pipeline file, `pipeline.toml`: what is built, where it is pushed, how and where it is deployed.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;

use crate::decode::{Context, Decode, choice, record};
use crate::overlay::Override;
use crate::tree::Node;

record! {
    "kebab-case";

    /// How one service goes from its sources to ECS.
    struct Pipeline {
        /// The service.
        service: ServiceSection,
        /// How the Go program is built.
        build: BuildSection,
        /// How it is tested; the usual way when left out.
        test: Option<TestSection>,
        /// What the image holds besides the program.
        image: Option<ImageSection>,
        /// Where the image is pushed.
        registry: RegistrySection,
        /// How a new version is rolled out.
        deploy: DeploySection,
        /// Named values: `${name}` in either file stands for one. An environment may have others.
        values: Option<BTreeMap<String, String>>,
        /// Where it is deployed, by name.
        environments: BTreeMap<String, Environment>,
        /// Lint rules that this service breaks on purpose.
        allow: Option<Vec<Allow>>,
    }

    /// A lint rule that a service breaks on purpose.
    struct Allow {
        /// Code of the rule, such as `writable-root`; `cargo xtask explain` lists them.
        rule: String,
        /// Why; for whoever reads the file next.
        reason: String,
    }

    /// The service.
    struct ServiceSection {
        /// Its name; also the name of the ECS service where an environment names no other.
        name: String,
        /// How long the service may take to end after SIGTERM, such as `20s`.
        grace: Option<Span>,
        /// The task definition, relative to this file; `task-definition.json` when left out.
        task_definition: Option<String>,
        /// The environment that commands use when none is named; `local` when left out.
        default_environment: Option<String>,
        /// Members of the task definition that ECS takes and this version of longshore does not know, by name. They are passed on as they are.
        newer_members: Option<Vec<String>>,
    }

    /// How the Go program is built.
    struct BuildSection {
        /// The main package, relative to this file: `./cmd/server`.
        package: String,
        /// Operating system and architecture; `linux/amd64` when left out.
        platform: Option<Platform>,
        /// Several of them, in place of `platform`: each is built, and the image becomes an index over all.
        platforms: Option<Vec<Platform>>,
        /// A string variable that the build sets to the commit: `main.commit`.
        commit_variable: Option<String>,
        /// More linker flags, after `-s -w`.
        ldflags: Option<Vec<String>>,
        /// Build tags.
        tags: Option<Vec<String>>,
        /// Environment of the build.
        env: Option<BTreeMap<String, String>>,
    }

    /// How the service is tested.
    struct TestSection {
        /// Packages that are tested; `./...` when left out.
        packages: Option<Vec<String>>,
        /// Whether the race detector watches; true when left out.
        race: Option<bool>,
        /// How long the tests of one package may take; `120s` when left out.
        timeout: Option<Span>,
        /// Whether `go vet` is run; true when left out.
        vet: Option<bool>,
        /// Whether `go.mod` and `go.sum` must be tidy; true when left out.
        tidy: Option<bool>,
        /// Whether `govulncheck` looks for known vulnerabilities; false when left out.
        vulnerabilities: Option<bool>,
        /// Environment of the tests.
        env: Option<BTreeMap<String, String>>,
        /// A PostgreSQL for the tests, thrown away afterwards.
        postgres: Option<TestPostgres>,
    }

    /// A PostgreSQL for the tests.
    struct TestPostgres {
        /// Name of the database; `test` when left out.
        database: Option<String>,
        /// Environment variable that the tests read its URL from; `DATABASE_URL` when left out. One that is set already is used instead of a new PostgreSQL.
        variable: Option<String>,
        /// Container image that CI runs beside the tests, `postgres:17@sha256:…`; `postgres:17` when left out.
        image: Option<String>,
    }

    /// What the image holds besides the program.
    struct ImageSection {
        /// Base image pinned by digest, `gcr.io/distroless/static-debian12@sha256:…`; longshore's own minimal base when left out.
        base: Option<String>,
        /// The entry point; the program itself when left out.
        entrypoint: Option<Vec<String>>,
        /// Labels of the image configuration.
        labels: Option<BTreeMap<String, String>>,
        /// User and group that the program runs as, by number: `65532:65532`, which it is when left out.
        user: Option<String>,
        /// Files and folders that the image holds beside the program.
        files: Option<Vec<ImageFile>>,
        /// Puts `/probe` into the image: it asks an HTTP address and ends with 0 when the answer is 200. A health check for a program that has none of its own.
        probe: Option<bool>,
        /// How the layers are compressed; `gzip` when left out.
        compression: Option<Compression>,
    }

    /// A file or folder that goes into the image.
    struct ImageFile {
        /// Where it is, relative to this file.
        from: String,
        /// Where it goes: an absolute path in the image.
        to: String,
    }

    /// Where the image is pushed.
    struct RegistrySection {
        /// Name of the ECR repository, in the account and region of the environment.
        repository: String,
        /// Whether the repository is created when it is not there; false when left out.
        create: Option<bool>,
        /// Whether `latest` is moved along with the commit's tag; false when left out.
        latest: Option<bool>,
    }

    /// How a new version is rolled out. What is not named here stays as the service has it.
    struct DeploySection {
        /// The container of the task definition that gets the image.
        container: String,
        /// How long a deployment may take, such as `15m`; `30m` when left out.
        timeout: Option<Span>,
        /// Healthy tasks that a rollout keeps, in percent of the desired count.
        minimum_healthy_percent: Option<u32>,
        /// Tasks that a rollout may run at once, in percent of the desired count.
        maximum_percent: Option<u32>,
        /// Whether ECS itself ends a failing deployment and goes back.
        circuit_breaker: Option<bool>,
        /// What happens when a deployment fails; `rollback` when left out.
        on_failure: Option<OnFailure>,
        /// Tasks that run to their end with the new image before the service is changed: migrations.
        before: Option<Vec<BeforeTask>>,
        /// Requests to the public address that must be answered well before a deployment counts as succeeded.
        checks: Option<Vec<AfterCheck>>,
        /// How long the new version is watched (its tasks, and the environment's alarms) after its rollout, such as `2m`; not at all when left out.
        bake: Option<Span>,
    }

    /// A task that runs to its end before the service is changed.
    struct BeforeTask {
        /// Its name, for people.
        name: String,
        /// What the container runs, in place of the task definition's command: `["migrate"]`.
        command: Vec<String>,
        /// The container that runs it; the deployed one when left out.
        container: Option<String>,
        /// How long it may take; `10m` when left out.
        timeout: Option<Span>,
        /// Whether the revision before still works after this task has run; `safe` when left out.
        rollback: Option<RollbackAfter>,
        /// What undoes it, when a rollback needs that: a command as above, run with the new image before the way back.
        reverse: Option<Vec<String>>,
    }

    /// One request to the public address.
    struct AfterCheck {
        /// Path and query: `/version`.
        path: String,
        /// The status that it must be answered with; 200 when left out. A redirect is an answer, and is not followed.
        status: Option<u16>,
        /// A text that the body must hold, such as `${commit}`.
        contains: Option<String>,
        /// How long it is tried until it is answered so; `30s` when left out.
        within: Option<Span>,
    }

    /// A place where the service is deployed.
    struct Environment {
        /// AWS account, 12 digits. A deployment with credentials of another account is refused.
        account: Option<String>,
        /// AWS region; that of the credentials' configuration when left out.
        region: Option<String>,
        /// ECS cluster; `default` when left out.
        cluster: Option<String>,
        /// ECS service; the service's name when left out.
        service: Option<String>,
        /// CPU of the task, in place of the task definition's.
        cpu: Option<String>,
        /// Memory of the task, in place of the task definition's.
        memory: Option<String>,
        /// Environment variables of the container, over those of the task definition.
        variables: Option<BTreeMap<String, String>>,
        /// Secrets of the container by reference (SSM name or ARN, Secrets Manager ARN), over those of the task definition.
        secrets: Option<BTreeMap<String, String>>,
        /// Members of the task definition that this environment has otherwise; merged by container name.
        r#override: Option<Override>,
        /// Members of the task definition that this environment does not have: `containerDefinitions.api.healthCheck`.
        unset: Option<Vec<String>>,
        /// Named values of this environment, over those of the file.
        values: Option<BTreeMap<String, String>>,
        /// Public address of the service, `https://api.example.com`: where the checks after a deployment go, and what is printed.
        url: Option<String>,
        /// Names of CloudWatch alarms: one in ALARM during the rollout or the bake time fails the deployment.
        alarms: Option<Vec<String>>,
        /// Whether the tests run before a deployment; true when left out, except where the AWS on this machine is used.
        test: Option<bool>,
        /// ARN of the IAM role that the pipeline takes on by OIDC to deploy here.
        role: Option<String>,
        /// Branch whose pushes are deployed here by the pipeline; none when left out.
        branch: Option<String>,
        /// Whether `deploy --variable NAME=VALUE` may add variables; false when left out.
        allow_variables: Option<bool>,
        /// Makes this environment the AWS that longshore carries with it, on this machine.
        embedded: Option<Embedded>,
    }

    /// The AWS on this machine: what infrastructure code would provide elsewhere.
    struct Embedded {
        /// Tasks that the service runs; 2 when left out.
        desired_count: Option<u32>,
        /// Loopback port of the load balancer; a free one when left out.
        port: Option<u16>,
        /// Path that the load balancer checks; `/health` when left out.
        health_path: Option<String>,
        /// A PostgreSQL for the service, from this machine's own binaries.
        postgres: Option<Postgres>,
    }

    /// A PostgreSQL for the service.
    struct Postgres {
        /// Name of the database.
        database: String,
        /// SSM parameter that the connection URL is put into.
        parameter: String,
        /// What the parameter holds when this machine has no PostgreSQL; without it a deployment is refused then.
        fallback: Option<String>,
    }
}

choice! {
    /// How layers are compressed.
    #[derive(Default)]
    enum Compression {
        /// Understood everywhere.
        #[default]
        Gzip = "gzip",
        /// Faster and smaller; ECR and Fargate take it.
        Zstd = "zstd",
    }

    /// What happens when a deployment fails.
    #[derive(Default)]
    enum OnFailure {
        /// The service goes back to the revision that served before.
        #[default]
        Rollback = "rollback",
        /// Nothing: a person decides. The command ends with 5.
        Stay = "stay",
    }

    /// Whether the revision before still works after a task has run.
    #[derive(Default)]
    enum RollbackAfter {
        /// It does: a rollback needs nothing more.
        #[default]
        Safe = "safe",
        /// It does once `reverse` has run.
        Reverse = "reverse",
        /// It does not: after this task nothing goes back by itself.
        Never = "never",
    }

    /// Operating system and architecture of an image.
    #[derive(Default)]
    enum Platform {
        /// 64-bit x86.
        #[default]
        LinuxAmd64 = "linux/amd64",
        /// 64-bit Arm (Graviton).
        LinuxArm64 = "linux/arm64",
    }
}

impl BuildSection {
    /// What is built for, each once.
    pub fn platforms(&self) -> Vec<Platform> {
        match self.platforms.as_deref() {
            Some(several @ [_, ..]) => several.to_vec(),
            _ => vec![self.platform.unwrap_or_default()],
        }
    }
}

impl Platform {
    /// The name as Go and OCI write it: `linux/amd64`.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "linux/amd64",
            Self::LinuxArm64 => "linux/arm64",
        }
    }
}

/// A length of time: `90s`, `15m`, `1h`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Span(
    #[schemars(
        with = "String",
        regex(pattern = r"^([0-9]{1,4}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$"),
        length(min = 2)
    )]
    u64,
);

impl Span {
    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl Decode for Span {
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = String::decode(node, context)?;
        let seconds = parse_span(&text);
        if seconds.is_none() {
            context.error(
                "not-a-duration",
                node.span.clone(),
                format!("{text:?} is not a length of time such as \"90s\", \"15m\" or \"1h30m\""),
            );
        }
        seconds.map(Self)
    }
}

/// Seconds of `1h30m`; each unit once, the larger first, no more digits than the schema's pattern allows.
fn parse_span(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut seconds = 0;
    for (unit, factor, digits) in [('h', 3600, 4), ('m', 60, 5), ('s', 1, 6)] {
        let Some((number, after)) = rest.split_once(unit) else {
            continue;
        };
        if number.is_empty() || number.len() > digits || !number.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        seconds += number.parse::<u64>().ok()? * factor;
        rest = after;
    }
    (rest.is_empty() && !text.is_empty()).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("1h30m", Some(5400)),
            ("1h1m1s", Some(3661)),
            ("", None),
            ("15", None),
            ("m", None),
            ("5s1m", None),
            ("1.5h", None),
            ("+5s", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(parse_span(text), seconds, "{text}");
        }
    }
}
