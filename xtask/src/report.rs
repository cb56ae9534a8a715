//! Problems and results as people read them.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use diagnostic::{Diagnostic, Format};

use crate::ui;

/// Shows problems on standard error; in a format for machines, on standard output.
pub fn problems(problems: &[Diagnostic], format: Format) {
    let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = diagnostic::render(problems, format, color);
    match format {
        Format::Full => ui::say(text.trim_end()),
        Format::Concise | Format::Github | Format::Json => ui::print(&text),
    }
}

/// `1 problem`, `2 problems`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

/// Writes beside, then renames: nobody sees half a file. A pipe or a device is written to as it is.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return std::fs::write(path, text);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // What is left of it is of no use to anybody.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// The same for a file whose folder need not be there: longshore's own ones, and those of reports.
pub fn write_with_folder(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    write(path, text)
}
