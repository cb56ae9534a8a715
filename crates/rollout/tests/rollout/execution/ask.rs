//! Calls that fail for now.

use std::cell::RefCell;

use rollout::execute::{End, Event};

use super::super::running;
use super::{Script, done, old, plan, rolling, run};

#[test]
fn throttling_and_a_lost_answer_are_no_verdict() {
    let script = Script {
        running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
        failing: RefCell::new(vec![
            ("DescribeService", 3, true),
            ("Tasks", 2, true),
            ("Update", 1, false),
        ]),
        ..Script::new([old(), old(), rolling(), done()])
    };
    let (ended, events) = run(&plan(), &script);
    assert_eq!(ended.end, End::Succeeded, "{ended:?}");
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Retrying(_)))
    );
}
