//! No file makes the parsers panic, and no problem stands outside its file.
//!
//! A short run is part of the tests; a long one: `PROPTEST_CASES=5000000 cargo test --release -p service-config --test fuzz`.

use std::io;
use std::path::Path;

use diagnostic::{Format, render};
use proptest::prelude::*;
use proptest::sample::select;
use service_config::load;

const PIPELINE: &str = include_str!("../../examples/api/pipeline.toml");
const TASK_DEFINITION: &str = include_str!("../../examples/api/task-definition.json");

/// Pieces of which files are made, and by which good files are broken.
const PIECES: [&str; 28] = [
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
    "null",
    "true",
    "-1",
    "1e400",
    "\"CMD\"",
    "[deploy]",
    "[[allow]]",
    "containerDefinitions",
    "family",
    "environments",
    "override",
    "\u{0}",
    "\u{feff}",
    "ü",
    "\\u0000",
    "//",
    "9999999999999999999999",
];

fn broken(good: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        any::<prop::sample::Index>(),
        0..40_usize,
        select(&PIECES[..]),
    );
    prop::collection::vec(edit, 0..6).prop_map(move |edits| {
        let mut text: Vec<char> = good.chars().collect();
        for (at, remove, insert) in edits {
            let start = at.index(text.len() + 1);
            let end = (start + remove).min(text.len());
            text.splice(start..end, insert.chars());
        }
        text.into_iter().collect::<String>().into_bytes()
    })
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(select(&PIECES[..]), 0..60)
            .prop_map(|pieces| pieces.concat().into_bytes()),
    ]
}

proptest! {
    // What is found becomes a test of its own; seeds of inputs this large tell nobody anything.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_a_panic(
        pipeline in prop_oneof![4 => broken(PIPELINE), 1 => soup()],
        task_definition in prop_oneof![4 => broken(TASK_DEFINITION), 1 => soup()],
    ) {
        let loaded = load(Path::new("p/pipeline.toml"), &|path: &Path| -> io::Result<Vec<u8>> {
            Ok(if path.extension().is_some_and(|end| end == "toml") { pipeline.clone() } else { task_definition.clone() })
        });
        for problem in &loaded.problems {
            prop_assert!(problem.span.start <= problem.span.end, "{problem:?}");
            prop_assert!(problem.span.end <= problem.source.text.len(), "{problem:?}");
        }
        for format in [Format::Full, Format::Concise, Format::Github, Format::Json] {
            let text = render(&loaded.problems, format, false);
            prop_assert!(format == Format::Json || text.is_empty() == loaded.problems.is_empty());
        }
    }
}
