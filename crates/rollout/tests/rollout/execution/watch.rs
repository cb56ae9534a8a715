//! The watching of a deployment.

use rollout::execute::End;

use super::super::{arn, running};
use super::{Script, done, old, plan, rolling, run};

#[test]
fn a_good_release_succeeds() {
    let script = Script {
        running: vec![running(2, "sha256:new"), running(2, "sha256:new")],
        ..Script::new([old(), old(), rolling(), rolling(), done()])
    };
    let (ended, _) = run(&plan(), &script);
    assert_eq!((ended.end, ended.live), (End::Succeeded, Some(arn(2))));
    assert_eq!((script.called("Register"), script.called("Update")), (1, 1));
}
