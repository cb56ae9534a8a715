//! The terminal of the moving line: the one of standard error, with a width that is known. A line that is wider than its terminal
//! wraps, and what is left of it cannot be cleared again.

use std::io;

use console::Term;
use indicatif::TermLike;

/// Fewer columns than this hold no stage and its times.
const LEAST: u16 = 36;

/// Standard error as a terminal.
#[derive(Debug)]
pub struct Screen {
    term: Term,
    /// What `COLUMNS` says; it goes before what the terminal says.
    columns: Option<u16>,
}

impl Screen {
    /// The screen; none where no width is known, or too small a one.
    pub fn find(columns: Option<&str>) -> Option<Self> {
        let screen = Self {
            term: Term::stderr(),
            columns: columns.and_then(|columns| columns.parse().ok()),
        };
        (screen.known()? >= LEAST).then_some(screen)
    }

    fn known(&self) -> Option<u16> {
        let told = self.columns.filter(|columns| *columns > 0);
        told.or_else(|| self.term.size_checked().map(|(_, columns)| columns))
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.known().unwrap_or(LEAST)
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.term.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.term.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.term.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.term.flush()
    }
}
