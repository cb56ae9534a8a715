//! `build`: the same commit gives the same digest, and the image names the commit that it is of.

use std::path::Path;
use std::process::Command;

use longshore_tests::{Project, longshore, skip_without};

/// Builds in a folder; gives the digest and the commit that the image names.
fn build_in(folder: &Path, change: impl FnOnce(&mut Command)) -> (String, String) {
    let mut command = Command::new(longshore());
    command
        .arg("build")
        .current_dir(folder)
        .env_remove("LONGSHORE_HOME")
        .env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap());
    change(&mut command);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let digest = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let layout = stderr
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("layout"))
        .unwrap()
        .trim();
    let blob = |digest: &str| -> serde_json::Value {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let path = folder.join(layout).join("blobs/sha256").join(hex);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let config = blob(blob(&digest)["config"]["digest"].as_str().unwrap());
    let commit = config["config"]["Labels"]["org.opencontainers.image.revision"]
        .as_str()
        .unwrap();
    (digest, commit.to_owned())
}

fn build(project: &Project) -> (String, String) {
    build_in(&project.path(""), |_| {})
}

fn go_env(name: &str) -> String {
    let output = Command::new("go").args(["env", name]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

/// What differs between two people's machines: the folder, the umask at checkout and at the build, time zone, home, user, locale.
#[test]
fn the_same_commit_is_the_same_digest_wherever_it_is_built() {
    if skip_without("go", "version") {
        return;
    }
    let project = Project::example();
    project.edit(
        "api/pipeline.toml",
        "[registry]",
        "[image]\nfiles = [{ from = \"internal\", to = \"/src\" }]\nprobe = true\n\n[registry]",
    );
    project.commit("with files and a probe");
    let first = build(&project);

    let elsewhere = tempfile::Builder::new()
        .prefix("another name ")
        .tempdir()
        .unwrap();
    let clone = elsewhere.path().join("deeper/checkout");
    let script = format!(
        "umask 077 && git clone --quiet {} '{}'",
        project.path("").display(),
        clone.display()
    );
    run("sh", &["-c", &script]);
    let (modules, cache) = (go_env("GOMODCACHE"), go_env("GOCACHE"));
    let second = build_in(&clone, |command| {
        let program = command.get_program().to_owned();
        *command = Command::new("sh");
        command
            .args(["-c", "umask 027 && exec \"$0\" build"])
            .arg(program)
            .current_dir(&clone)
            .env_remove("LONGSHORE_HOME")
            .env("GOMODCACHE", &modules)
            .env("GOCACHE", &cache)
            .env("HOME", elsewhere.path())
            .env("USER", "somebody")
            .env("TZ", "Pacific/Kiritimati")
            .env("LC_ALL", "tr_TR.UTF-8")
            .env("GOAMD64", "v3")
            .env("SOURCE_DATE_EPOCH", "1");
    });
    assert_eq!(first, second);
}

/// A CI job has a detached HEAD, and often no more than one commit.
#[test]
fn a_shallow_clone_and_a_detached_head_are_the_commit_they_are_of() {
    if skip_without("go", "version") {
        return;
    }
    let project = Project::example();
    let head = project.commit_of_head();
    let (digest, commit) = build(&project);
    assert_eq!(commit, head);

    project.git(&["checkout", "--quiet", "--detach"]);
    assert_eq!(build(&project), (digest.clone(), head.clone()));

    let folder = tempfile::tempdir().unwrap();
    let clone = folder.path().join("clone");
    let source = format!("file://{}", project.path("").display());
    let clone_text = clone.display().to_string();
    run(
        "git",
        &["clone", "--quiet", "--depth=1", &source, &clone_text],
    );
    assert_eq!(build_in(&clone, |_| {}), (digest, head));
}

#[test]
fn sources_that_differ_from_the_commit_are_named_so() {
    if skip_without("go", "version") {
        return;
    }
    let project = Project::example();
    let head = project.commit_of_head();
    // What the build does not read is no difference.
    std::fs::write(project.path("NOTES.md"), "notes").unwrap();
    assert_eq!(build(&project).1, head);

    let untracked = project.path("api/internal/new.txt");
    std::fs::write(&untracked, "new").unwrap();
    assert_eq!(build(&project).1, format!("{head}-dirty"));
    std::fs::remove_file(untracked).unwrap();
    assert_eq!(build(&project).1, head);

    project.edit(
        "api/cmd/server/main.go",
        "package main",
        "package main // x",
    );
    assert_eq!(build(&project).1, format!("{head}-dirty"));
    project.git(&["checkout", "--quiet", "."]);

    // A library of the same repository, outside the service's module.
    std::fs::create_dir(project.path("lib")).unwrap();
    std::fs::write(project.path("lib/go.mod"), "module example.com/lib\n").unwrap();
    let module = project.path("api/go.mod");
    let text = std::fs::read_to_string(&module).unwrap();
    std::fs::write(&module, text + "\nreplace example.com/lib => ../lib\n").unwrap();
    let head = project.commit("a library");
    assert_eq!(build(&project).1, head);
    std::fs::write(project.path("lib/lib.go"), "package lib\n").unwrap();
    assert_eq!(build(&project).1, format!("{head}-dirty"));
}

#[test]
fn without_a_commit_the_image_says_so() {
    if skip_without("go", "version") {
        return;
    }
    let project = Project::example();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    run(
        "cp",
        &[
            "-r",
            &project.path("api").display().to_string(),
            &copy.display().to_string(),
        ],
    );
    assert_eq!(build_in(&copy, |_| {}).1, "unversioned");
    run("git", &["init", "--quiet", &copy.display().to_string()]);
    assert_eq!(build_in(&copy, |_| {}).1, "unversioned", "no commit yet");
}

/// In a container the checkout often belongs to somebody else, and git refuses to read it.
#[test]
fn a_repository_that_git_refuses_is_not_built_without_its_name() {
    let project = Project::example();
    let output = project
        .command(&["build"])
        .env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("safe.directory"), "{stderr}");
}
