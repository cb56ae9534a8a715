//! Finding a container's program and becoming it, with the words of a container runtime when that fails.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;

use super::protocol::Process;
use crate::runner::rooted;

/// Executes the process's program. Returns only when that fails, with the reason.
///
/// `root` is where the image lies when it is not this process's root.
pub(super) fn become_program(process: &Process, root: Option<&Path>) -> String {
    let place = |path: &Path| match root {
        Some(root) => rooted::resolve(root, path),
        None => Ok(path.to_owned()),
    };
    let cwd = Path::new(&process.cwd);
    if let Err(error) = place(cwd).and_then(std::env::set_current_dir) {
        return format!(
            "chdir to cwd ({:?}) set in config.json failed: {}",
            process.cwd,
            words(&error)
        );
    }
    let name = process.argv.first().map_or("", String::as_str);
    let program = match find(name, process, &place) {
        Ok(program) => program,
        Err(reason) => return reason,
    };
    if is_foreign(&program) {
        return format!("exec {name}: {}", Errno::ENOEXEC.desc().to_lowercase());
    }
    // `exec` gives the program default signals, which this one changed when it started.
    let error = Command::new(program)
        .arg0(name)
        .args(process.argv.iter().skip(1))
        .env_clear()
        .envs(process.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .exec();
    format!("exec {name}: {}", words(&error))
}

fn find(
    name: &str,
    process: &Process,
    place: &dyn Fn(&Path) -> io::Result<PathBuf>,
) -> Result<PathBuf, String> {
    if name.contains('/') {
        let written = Path::new(&process.cwd).join(name);
        let path = place(&written).map_err(|error| format!("exec: {name:?}: {}", words(&error)))?;
        return match path.metadata() {
            Err(error) => Err(format!("exec: {name:?}: stat {name}: {}", words(&error))),
            Ok(found) if found.is_dir() => Err(format!("exec: {name:?}: is a directory")),
            Ok(found) if found.permissions().mode() & 0o111 == 0 => {
                Err(format!("exec: {name:?}: permission denied"))
            }
            Ok(_) => Ok(path),
        };
    }
    let search = process
        .env
        .iter()
        .find(|(variable, _)| variable == "PATH")
        .map_or("", |(_, folders)| folders);
    search
        .split(':')
        .filter(|folder| !folder.is_empty())
        .filter_map(|folder| place(&Path::new(&process.cwd).join(folder).join(name)).ok())
        .find(|path| {
            path.metadata()
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
        .ok_or_else(|| format!("exec: {name:?}: executable file not found in $PATH"))
}

/// Whether the kernel would not execute the file. It is asked beforehand, because `exec` of the standard library hands such a file to a shell, which a container runtime does not.
fn is_foreign(program: &Path) -> bool {
    // Of an ELF file: 16 bytes of identification, 2 of type, 2 of machine.
    let mut start = [0; 20];
    let own = |path: &str| {
        let mut start = [0; 20];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
        read.is_ok().then_some(start)
    };
    // A program may be executable and not readable.
    let Ok(length) = File::open(program).and_then(|mut file| file.read(&mut start)) else {
        return false;
    };
    if start.starts_with(b"#!") {
        return false;
    }
    length < start.len()
        || !start.starts_with(b"\x7fELF")
        || own("/proc/self/exe").is_some_and(|own| own[18..] != start[18..])
}

/// The error as a runtime writes it: `no such file or directory`.
fn words(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => errno.desc().to_lowercase(),
        None => error.to_string(),
    }
}
