//! Problems and results as people read them.

use std::io::{self, IsTerminal as _};
use std::path::Path;

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

/// Writes beside, then renames: nobody sees half a file.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}
