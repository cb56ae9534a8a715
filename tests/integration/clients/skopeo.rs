//! skopeo, from Debian: images go in and out.

use longshore_tests::Project;
use serde_json::Value;

use super::{attempt, run};
use crate::one_at_a_time;

#[test]
#[ignore = "needs skopeo and the AWS CLI"]
fn skopeo_copies_an_image_in_and_out() {
    let _guard = one_at_a_time();
    let project = Project::example();
    let receipt = project.deploy(&[]).expect(0).json();
    let digest = receipt["image"]
        .as_str()
        .unwrap()
        .split_once('@')
        .unwrap()
        .1;
    let password = run(&project, "aws", &["ecr", "get-login-password"]);
    let login = format!("AWS:{}", password.trim());
    run(
        &project,
        "aws",
        &["ecr", "create-repository", "--repository-name", "copy"],
    );

    let at = |name: &str| format!("docker://127.0.0.1:{}/{name}", project.port());
    let folder = format!("oci:{}:v1", project.path("oci").display());
    let (from, to) = (at("longshore/api:latest"), at("copy:v1"));
    run(
        &project,
        "skopeo",
        &[
            "copy",
            "--src-tls-verify=false",
            "--src-creds",
            &login,
            &from,
            &folder,
        ],
    );
    run(
        &project,
        "skopeo",
        &[
            "copy",
            "--dest-tls-verify=false",
            "--dest-creds",
            &login,
            &folder,
            &to,
        ],
    );
    let look = ["inspect", "--tls-verify=false", "--creds", &login, &to];
    let inspected: Value = serde_json::from_str(&run(&project, "skopeo", &look)).unwrap();
    assert_eq!(inspected["Digest"], digest);
    assert_eq!(inspected["RepoTags"], serde_json::json!(["v1"]));
    assert_eq!(
        inspected["Labels"]["org.opencontainers.image.revision"],
        receipt["commit"]
    );
    let stranger = ["inspect", "--tls-verify=false", "--creds", "AWS:wrong", &to];
    let refused = attempt(&project, "skopeo", &stranger);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("unauthorized"),
        "{said}"
    );
}
