//! The configuration as its users meet it: files in; a service, or problems with places, out.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod agreement;
mod environments;
mod mistakes;
mod reading;
mod rules;
mod schemas;

use std::collections::HashMap;
use std::io;
use std::path::Path;

use diagnostic::{Format, render};
use service_config::{Loaded, load};

const PIPELINE: &str = r#"
[service]
name = "api"

[build]
package = "./cmd/server"

[registry]
repository = "team/api"

[deploy]
container = "app"
timeout = "10m"
circuit-breaker = true

[environments.local]
variables = { LOG_LEVEL = "debug" }
secrets = { DATABASE_URL = "/local/api/database-url" }
allow-variables = true

[environments.production]
account = "123456789012"
region = "eu-central-1"
cpu = "1024"
memory = "2048"
service = "api-production"
"#;

const TASK_DEFINITION: &str = r#"{
  // Comments are what people have.
  "$schema": "x",
  "containerDefinitions": [
    {"name": "sidecar", "image": "otel@sha256:aa", "essential": false, "readonlyRootFilesystem": true,
     "logConfiguration": {"logDriver": "awslogs"}},
    {
      "image": "${image}", "name": "app", "readonlyRootFilesystem": true,
      "healthCheck": {"command": ["CMD", "/app", "health"]},
      "environment": [{"name": "DATABASE_URL", "value": "replaced"}, {"name": "LOG_LEVEL", "value": "info"}],
      "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/${env}/${service}", "awslogs-region": "${region}"}}
    }
  ],
  "executionRoleArn": "arn:aws:iam::${account}:role/api",
  "family": "api"
}"#;

fn files(pipeline: &str, task_definition: &str) -> HashMap<String, Vec<u8>> {
    HashMap::from([
        ("app/pipeline.toml".into(), pipeline.into()),
        ("app/task-definition.json".into(), task_definition.into()),
    ])
}

fn load_from(files: &HashMap<String, Vec<u8>>) -> Loaded {
    load(Path::new("app/pipeline.toml"), &|path| {
        let name = path.to_string_lossy().into_owned();
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        files.get(&name).cloned().ok_or_else(missing)
    })
}

fn problems(pipeline: &str, task_definition: &str) -> String {
    let loaded = load_from(&files(pipeline, task_definition));
    render(&loaded.problems, Format::Concise, false)
}
