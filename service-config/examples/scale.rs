//! How the time of checking and rendering grows with the number of services: each is loaded, and rendered for three environments.
//!
//! `cargo run --release -p service-config --example scale`

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use service_config::{Inputs, load};

/// Two files of a service, no two alike.
struct Files {
    pipeline: String,
    task_definition: String,
}

fn generated(number: usize) -> Files {
    let mut environments = String::new();
    for (index, name) in ["local", "staging", "production"].iter().enumerate() {
        let _ = write!(
            environments,
            "[environments.{name}]\naccount = \"12345678901{index}\"\nregion = \"eu-central-1\"\ncluster = \"{name}\"\ncpu = \"{}\"\nmemory = \"{}\"\nvariables = {{ LOG_LEVEL = \"debug\", SHARD = \"{number}\" }}\nsecrets = {{ DATABASE_URL = \"/{name}/service-{number}/database-url\" }}\nvalues = {{ zone = \"{name}-{number}\" }}\n[[environments.{name}.override.containerDefinitions]]\nname = \"app\"\nstopTimeout = {}\n",
            256 << index,
            1024 << index,
            40 + index
        );
    }
    let mut sidecars = String::new();
    for side in 0..number % 3 {
        let _ = write!(
            sidecars,
            ", {{\"name\": \"side-{side}\", \"image\": \"public.ecr.aws/x/side@sha256:{number:064}\", \"essential\": false, \"readonlyRootFilesystem\": true, \"dependsOn\": [{{\"containerName\": \"app\", \"condition\": \"HEALTHY\"}}], \"logConfiguration\": {{\"logDriver\": \"awslogs\", \"options\": {{\"awslogs-group\": \"/x\", \"awslogs-region\": \"${{region}}\"}}}}}}"
        );
    }
    Files {
        pipeline: format!(
            "[service]\nname = \"service-{number}\"\ndefault-environment = \"local\"\n[build]\npackage = \"./cmd/server\"\n[registry]\nrepository = \"team/service-{number}\"\n[deploy]\ncontainer = \"app\"\ntimeout = \"15m\"\ncircuit-breaker = true\nchecks = [{{ path = \"/version\", contains = \"${{commit}}\" }}]\n{environments}"
        ),
        task_definition: format!(
            "{{\"family\": \"service-{number}\", \"executionRoleArn\": \"arn:aws:iam::${{account}}:role/execution\", \"networkMode\": \"awsvpc\", \"requiresCompatibilities\": [\"FARGATE\"], \"cpu\": \"256\", \"memory\": \"512\", \"containerDefinitions\": [{{\"name\": \"app\", \"image\": \"${{image}}\", \"portMappings\": [{{\"containerPort\": 8080}}], \"environment\": [{{\"name\": \"ZONE\", \"value\": \"${{zone}}\"}}], \"readonlyRootFilesystem\": true, \"healthCheck\": {{\"command\": [\"CMD\", \"/server\", \"health\"], \"interval\": 10}}, \"logConfiguration\": {{\"logDriver\": \"awslogs\", \"options\": {{\"awslogs-group\": \"/${{env}}/${{service}}\", \"awslogs-region\": \"${{region}}\", \"awslogs-stream-prefix\": \"ecs\"}}}}}}{sidecars}]}}"
        ),
    }
}

/// Loads and renders; gives the number of bytes rendered, or says what is wrong.
fn work(files: &[Files]) -> Result<usize, String> {
    let mut bytes = 0;
    for files in files {
        let read = |path: &Path| -> io::Result<Vec<u8>> {
            let toml = path.extension().is_some_and(|end| end == "toml");
            let text = if toml {
                &files.pipeline
            } else {
                &files.task_definition
            };
            Ok(text.clone().into_bytes())
        };
        let loaded = load(Path::new("service/pipeline.toml"), &read);
        let (Some(service), []) = (&loaded.service, loaded.problems.as_slice()) else {
            return Err(format!("{:?}", loaded.problems));
        };
        for environment in service.pipeline.environments.keys() {
            let inputs = Inputs::for_review(environment);
            bytes += service
                .render(&inputs)
                .map_err(|error| error.to_string())?
                .len();
        }
    }
    Ok(bytes)
}

fn main() -> ExitCode {
    let files: Vec<Files> = (0..1000).map(generated).collect();
    println!("services      time   each  ratio to the half");
    let mut before: Option<Duration> = None;
    for count in [250, 500, 1000] {
        // The best of five: a busy machine only makes it longer.
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let since = Instant::now();
            if let Err(problem) = work(&files[..count]) {
                eprintln!("{problem}");
                return ExitCode::FAILURE;
            }
            best = best.min(since.elapsed());
        }
        let each = best / u32::try_from(count).unwrap_or(1);
        let ratio = before.map_or(String::new(), |before| {
            format!("{:.2}", best.as_secs_f64() / before.as_secs_f64())
        });
        println!("{count:8} {best:9.1?} {each:7.0?}  {ratio}");
        before = Some(best);
    }
    ExitCode::SUCCESS
}
