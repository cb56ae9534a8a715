//! One case of the fuzzer: two files made from a seed, and what must hold whatever they hold.

use std::io;
use std::path::Path;

use diagnostic::{Format, render};
use fastrand::Rng;
use service_config::{Inputs, Loaded, load, rules};

/// Small files that together use every section: most of a small file is syntax, which is what a change hits.
const PIPELINES: [&str; 3] = [
    "[service]\nname = \"api\"\ngrace = \"20s\"\nnewer-members = [\"x\"]\n[build]\npackage = \".\"\n[registry]\nrepository = \"api\"\n[deploy]\ncontainer = \"app\"\ntimeout = \"1h30m\"\ncircuit-breaker = true\n[environments.local]\n",
    "service = { name = \"api\" }\nbuild = { package = \".\", env = { A = \"b\" }, platform = \"linux/arm64\" }\nregistry = { repository = \"a/b\" }\ndeploy = { container = \"app\", before = [{ name = \"m\", command = [\"${v}\"], rollback = \"reverse\", reverse = [\"d\"] }], checks = [{ path = \"/\", status = 200, contains = \"${commit}\" }] }\nimage = { base = \"a@sha256:00\", user = \"1:1\", files = [{ from = \"a\", to = \"/a\" }] }\nvalues = { v = \"${env}\" }\nenvironments = {}\n",
    "[service]\nname=\"api\"\n[build]\npackage=\".\"\n[registry]\nrepository=\"api\"\n[deploy]\ncontainer=\"app\"\n[environments.p]\naccount=\"123456789012\"\ncpu=\"256\"\nmemory=\"512\"\nvariables={A=\"${env}\",T=\"AKIAIOSFODNN7EXAMPLE\"}\nsecrets={B=\"/b\"}\nunset=[\"containerDefinitions.app.cpu\"]\nurl=\"https://a.b\"\nalarms=[\"a\"]\nrole=\"arn:aws:iam::123456789012:role/x\"\n[[environments.p.override.containerDefinitions]]\nname=\"app\"\ncpu=7\n[[allow]]\nrule=\"writable-root\"\nreason=\"r\"\n",
];
const TASK_DEFINITIONS: [&str; 4] = [
    r#"{"family": "api", "containerDefinitions": [{"name": "app", "image": "${image}", "cpu": 1}]}"#,
    "{\n  // c\n  \"taskDefinition\": {\"family\": \"a\", \"revision\": 1, \"cpu\": \".25 vCPU\", \"memory\": 512, \"x\": null,\n  \"containerDefinitions\": [{\"name\": \"app\", \"healthCheck\": {\"command\": [\"CMD\", \"a\"], \"interval\": 5},},]},\n  \"tags\": []\n}\n",
    r#"{"family":"a","requiresCompatibilities":["FARGATE"],"networkMode":"awsvpc","cpu":"256","memory":"512","executionRoleArn":"arn:aws:iam::${account}:role/x","volumes":[{"name":"v"}],"containerDefinitions":[{"name":"app","portMappings":[{"containerPort":${PORT},"hostPort":80}],"mountPoints":[{"sourceVolume":"v"}],"environment":[{"name":"A","value":"{{ b }}"}],"secrets":[{"name":"B","valueFrom":"/b"}]},{"name":"s","image":"<X>","dependsOn":[{"containerName":"app","condition":"START"}]}]}"#,
    r#"[{"name": "app", "image": "i", "essential": null, "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}]}]"#,
];

/// Pieces of which files are made, and by which good files are broken.
const PIECES: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "=",
    "\n",
    "${",
    "}",
    "{{",
    "}}",
    "<A>",
    "null",
    "true",
    "-1",
    "1e400",
    "1.5",
    "\"CMD\"",
    "[deploy]",
    "[[allow]]",
    "containerDefinitions",
    "family",
    "environments",
    "override",
    "values",
    "\u{0}",
    "\u{feff}",
    "ü",
    "\u{1F600}",
    "\\u0000",
    "\\ud800",
    "//",
    "/*",
    "*/",
    "9999999999999999999999",
    "'''",
    "\"\"\"",
    "\r\n",
];

fn broken(good: &str, rng: &mut Rng) -> String {
    let mut text = good.to_owned();
    for _ in 0..rng.u8(..6) {
        let start = text.floor_char_boundary(rng.usize(..=text.len()));
        let end = text.ceil_char_boundary(
            (start + rng.usize(..12) * usize::from(rng.bool())).min(text.len()),
        );
        // A piece, or another part of the same file: what is well-formed breaks deeper.
        let from = text.floor_char_boundary(rng.usize(..=text.len()));
        let to = text.ceil_char_boundary((from + rng.usize(..40)).min(text.len()));
        let piece = match rng.u8(..4) {
            0 => text[from..to].to_owned(),
            1 => String::new(),
            _ => PIECES[rng.usize(..PIECES.len())].to_owned(),
        };
        text.replace_range(start..end, &piece);
    }
    text
}

fn file(good: &[&str], rng: &mut Rng) -> Vec<u8> {
    match rng.u8(..16) {
        0 => std::iter::repeat_with(|| rng.u8(..)).take(20).collect(),
        1 => {
            let count = rng.usize(..40);
            let mut piece = || PIECES[rng.usize(..PIECES.len())];
            std::iter::repeat_with(&mut piece)
                .take(count)
                .collect::<String>()
                .into_bytes()
        }
        2 => {
            let text = broken(good[rng.usize(..good.len())], rng);
            let mark = std::iter::once(0xFEFF);
            mark.chain(text.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect()
        }
        _ => broken(good[rng.usize(..good.len())], rng).into_bytes(),
    }
}

fn loaded(pipeline: &[u8], task_definition: &[u8]) -> Loaded {
    load(
        Path::new("p/pipeline.toml"),
        &|path: &Path| -> io::Result<Vec<u8>> {
            let toml = path.extension().is_some_and(|end| end == "toml");
            Ok(if toml { pipeline } else { task_definition }.to_vec())
        },
    )
}

/// Makes the files of a seed, and checks all that must hold of them.
///
/// # Panics
///
/// When something does not hold.
pub fn run(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let pipeline = if rng.bool() {
        PIPELINES[rng.usize(..PIPELINES.len())].as_bytes().to_vec()
    } else {
        file(&PIPELINES, &mut rng)
    };
    let task_definition = file(&TASK_DEFINITIONS, &mut rng);
    let all = loaded(&pipeline, &task_definition);
    for problem in &all.problems {
        assert!(problem.span.start <= problem.span.end, "{problem:?}");
        assert!(problem.span.end <= problem.source.text.len(), "{problem:?}");
        assert!(rules::find(problem.code).is_some(), "{problem:?}");
    }
    if rng.u8(..64) == 0 {
        for format in [Format::Full, Format::Concise, Format::Github, Format::Json] {
            let text = render(&all.problems, format, false);
            assert!(format == Format::Json || text.is_empty() == all.problems.is_empty());
        }
    }
    let rendered = |all: &Loaded| {
        let service = all.service.as_ref()?;
        let names = service.pipeline.environments.keys();
        Some(
            names
                .map(|name| {
                    service
                        .render(&Inputs::for_review(name))
                        .unwrap_or_default()
                })
                .collect::<Vec<_>>(),
        )
    };
    let documents = rendered(&all);
    for document in documents.iter().flatten() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(document);
        assert!(parsed.is_ok(), "{document}");
    }
    if !all.clean.is_empty() {
        // What was mended needs no mending, and means what it meant.
        let of = |name: &str, otherwise: &[u8]| {
            let clean = all.clean.iter().find(|clean| clean.path.ends_with(name));
            clean.map_or(otherwise.to_vec(), |clean| clean.text.clone().into_bytes())
        };
        let again = loaded(
            &of("pipeline.toml", &pipeline),
            &of("task-definition.json", &task_definition),
        );
        assert!(again.clean.is_empty(), "{:?}", again.clean);
        assert_eq!(documents, rendered(&again));
    }
}
