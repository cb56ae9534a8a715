//! What people's task definition files hold, each thing as real repositories have it.

use std::path::Path;

use diagnostic::{Format, render};

use crate::{PIPELINE, TASK_DEFINITION, files, load_from};

/// What people's files hold besides is accepted with a note, and the clean file has nothing to note.
#[test]
fn what_people_have_is_accepted_and_can_be_written_clean() {
    let described = format!(r#"{{"taskDefinition": {TASK_DEFINITION}, "tags": []}}"#)
        .replace(r#""family": "api","#, r#""family": "api", "revision": 3, "status": "ACTIVE", "cpu": 256, "memory": ".5 GB", "taskRoleArn": null,"#);
    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(described.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let mut people = files(PIPELINE, "");
    people.insert("app/task-definition.json".into(), utf16);
    let loaded = load_from(&people);
    insta::assert_snapshot!("accepted", render(&loaded.problems, Format::Concise, false));
    let clean = loaded.clean[0].clone();
    assert_eq!(clean.path, Path::new("app/task-definition.json"));
    insta::assert_snapshot!("clean", clean.text);
    let again = load_from(&files(PIPELINE, &clean.text));
    assert_eq!(
        (again.problems.as_slice(), again.clean),
        (&[][..], Vec::new())
    );
    assert_eq!(
        again.service.unwrap().task_definition,
        loaded.service.unwrap().task_definition
    );
}
