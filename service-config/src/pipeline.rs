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
        /// What the image holds besides the program.
        image: Option<ImageSection>,
        /// Where the image is pushed.
        registry: RegistrySection,
        /// How a new version is rolled out.
        deploy: DeploySection,
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
    }

    /// How the Go program is built.
    struct BuildSection {
        /// The main package, relative to this file: `./cmd/server`.
        package: String,
        /// Operating system and architecture; `linux/amd64` when left out.
        platform: Option<Platform>,
        /// A string variable that the build sets to the commit: `main.commit`.
        commit_variable: Option<String>,
        /// More linker flags, after `-s -w`.
        ldflags: Option<Vec<String>>,
        /// Build tags.
        tags: Option<Vec<String>>,
        /// Environment of the build.
        env: Option<BTreeMap<String, String>>,
    }

    /// What the image holds besides the program.
    struct ImageSection {
        /// Base image pinned by digest, `gcr.io/distroless/static-debian12@sha256:…`; longshore's own minimal base when left out.
        base: Option<String>,
        /// The entry point; the program itself when left out.
        entrypoint: Option<Vec<String>>,
        /// Labels of the image configuration.
        labels: Option<BTreeMap<String, String>>,
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
