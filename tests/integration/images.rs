//! What an image may have, all of it at once, until it runs.

use longshore_tests::{Project, get, skip_without};

use crate::{one_at_a_time, url};

/// Two platforms under an index, of which this machine takes its own; zstd layers; a user of its own; files; and a health check by the
/// probe, without which the tasks would never become healthy.
#[test]
fn an_image_with_everything_runs() {
    if skip_without("go", "version") {
        return;
    }
    let _guard = one_at_a_time();
    let project = Project::example();
    project.edit(
        "api/pipeline.toml",
        "[build]\n",
        "[build]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n",
    );
    project.edit(
        "api/pipeline.toml",
        "[registry]",
        r#"[image]
user = "1234:1234"
probe = true
compression = "zstd"
files = [{ from = "web", to = "/srv/web" }]

[registry]"#,
    );
    project.edit(
        "api/task-definition.json",
        r#"["CMD", "/server", "health"]"#,
        r#"["CMD", "/probe", "http://127.0.0.1:8080/health"]"#,
    );
    std::fs::create_dir(project.path("api/web")).unwrap();
    std::fs::write(project.path("api/web/index.html"), "<html>").unwrap();
    project.commit("an image with everything");

    let receipt = project.deploy(&[]).expect(0).json();
    assert_eq!(receipt["outcome"], "succeeded");
    let (status, _) = get(&format!("{}/health", url(&receipt))).unwrap();
    assert_eq!(status, 200);

    let image = receipt["image"].as_str().unwrap();
    let digest = image.rsplit_once("@sha256:").unwrap().1;
    let blobs = project.home().join("build/api/image/blobs/sha256");
    let document = |hex: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(blobs.join(hex)).unwrap()).unwrap()
    };
    let index = document(digest);
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 2, "{index}");
    for entry in manifests {
        let hex = entry["digest"]
            .as_str()
            .unwrap()
            .trim_start_matches("sha256:");
        let manifest = document(hex);
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 4, "base, probe, files, program");
        for layer in layers {
            assert_eq!(
                layer["mediaType"],
                "application/vnd.oci.image.layer.v1.tar+zstd"
            );
        }
    }
    // Nothing changed, so nothing is sent and nothing is done.
    let again = project.deploy(&[]).expect(0);
    assert!(
        again.stderr.contains("all of it was there already"),
        "{}",
        again.stderr
    );
    assert_eq!(again.json()["outcome"], "unchanged");
}
