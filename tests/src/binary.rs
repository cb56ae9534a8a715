//! The binary under test. `CARGO_BIN_EXE_*` is not set for another package's binary, so cargo is asked to build it, and says where it is.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use cargo_metadata::Message;

/// Path of the `longshore` binary; built at the first call.
pub fn longshore() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build).clone()
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What cargo tells a test about its package makes some build scripts (ring's) run again, and half of the build with them.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"]
            .iter()
            .any(|prefix| name_text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    let mut child = command
        .args([
            "build",
            "--package",
            "longshore",
            "--bin",
            "longshore",
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(child.stdout.take().unwrap());
    let executable = Message::parse_stream(output)
        .filter_map(Result::ok)
        .filter_map(|message| match message {
            Message::CompilerArtifact(artifact) if artifact.target.name == "longshore" => {
                artifact.executable
            }
            _ => None,
        })
        .last();
    assert!(child.wait().unwrap().success(), "the binary does not build");
    executable
        .expect("cargo names the binary")
        .into_std_path_buf()
}
