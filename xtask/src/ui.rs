//! What a person sees while a command runs: one moving line on a terminal (stage, how far it is, how long it and the whole have
//! taken) under the lines of what is done; plain lines everywhere else. All of it on standard error.

mod screen;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use rollout::receipt::Stage;
use screen::Screen;

/// Prints a line on standard error. A closed standard error stops nothing.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", inert(line));
}

/// GitHub's runner takes `##[command]` for a command wherever it stands in a line, and longshore uses none: so it is somebody else's text.
fn inert(line: &str) -> String {
    line.replace("##[", "# #[")
}

/// Whether something that was to be printed on standard output was lost.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints on standard output; a closed pipe (`| head`) is no error. Anything else, such as a full disk, is said.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        say(&format!(
            "error: standard output cannot be written to: {error}"
        ));
    }
}

/// Whether output was lost.
pub fn lost_output() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Where lines do not move, a stage that has nothing new to say says at least that it goes on, this often: CI services end jobs that
/// are silent, and people doubt them.
const QUIET: Duration = Duration::from_secs(30);

/// The display of a command with stages.
pub struct Ui {
    moves: bool,
    since: Instant,
    current: Option<Current>,
    stages: Vec<Stage>,
}

struct Current {
    name: &'static str,
    since: Instant,
    bar: Option<ProgressBar>,
    last: String,
    last_said: Instant,
}

impl Ui {
    /// A display that suits where standard error goes.
    pub fn new() -> Self {
        Self {
            moves: moves(std::io::stderr().is_terminal(), |name| {
                std::env::var_os(name)
            }),
            since: Instant::now(),
            current: None,
            stages: Vec::new(),
        }
    }

    /// Begins a stage; the one before it ends, if it was not ended.
    pub fn stage(&mut self, name: &'static str, text: &str) {
        self.close("ended");
        let screen = screen().filter(|_| self.moves);
        let bar = screen.map(|screen| moving_line(screen, name, text, self.since));
        if bar.is_none() {
            say(&format!("{name:>8}  {text}"));
        }
        let now = Instant::now();
        self.current = Some(Current {
            name,
            since: now,
            bar,
            last: text.to_owned(),
            last_said: now,
        });
    }

    /// Says how far the stage is. A line of its own only where lines do not move, and only when it says something new or nothing was
    /// said for long.
    pub fn progress(&mut self, text: &str) {
        self.show(text, None);
    }

    /// The same, with a bar of `done` out of `all` where lines move.
    pub fn progress_of(&mut self, done: u64, all: u64, text: &str) {
        self.show(text, Some((done, all)));
    }

    fn show(&mut self, text: &str, part: Option<(u64, u64)>) {
        let Some(current) = &mut self.current else {
            return;
        };
        let new = current.last != text;
        if let Some(bar) = &current.bar {
            bar.set_message(match part {
                Some((done, all)) => format!("{} {text}", text_bar(done, all)),
                None => text.to_owned(),
            });
        } else if new || current.last_said.elapsed() >= QUIET {
            let still = if new {
                String::new()
            } else {
                format!(" (after {})", spoken(current.since.elapsed()))
            };
            say(&format!("{:>8}  {text}{still}", ""));
            current.last_said = Instant::now();
        }
        if new {
            text.clone_into(&mut current.last);
        }
    }

    /// Says how far the stage is, where that can move in place; elsewhere only now and then.
    pub fn spin(&mut self, text: &str) {
        self.spin_part(text, None);
    }

    /// The same, with a bar of `done` out of `all` where lines move.
    pub fn spin_of(&mut self, done: u64, all: u64, text: &str) {
        self.spin_part(text, Some((done, all)));
    }

    fn spin_part(&mut self, text: &str, part: Option<(u64, u64)>) {
        let quiet = self
            .current
            .as_ref()
            .is_some_and(|current| current.bar.is_none() && current.last_said.elapsed() < QUIET);
        if !quiet {
            self.show(text, part);
        }
    }

    /// A line that stays.
    pub fn line(&mut self, text: &str) {
        let line = format!("{:>8}  {text}", "");
        match self
            .current
            .as_ref()
            .and_then(|current| current.bar.as_ref())
        {
            Some(bar) => bar.suspend(|| say(&line)),
            None => say(&line),
        }
        if let Some(current) = &mut self.current {
            current.last_said = Instant::now();
        }
    }

    /// Ends the stage with what came of it.
    pub fn done(&mut self, result: &str) {
        self.close(result);
    }

    /// The stages of a run that is over. One that is still under way is the one that failed.
    pub fn stages(&mut self) -> Vec<Stage> {
        self.close("FAILED");
        std::mem::take(&mut self.stages)
    }

    fn close(&mut self, result: &str) {
        let Some(current) = self.current.take() else {
            return;
        };
        let seconds = current.since.elapsed().as_secs_f64();
        if let Some(bar) = current.bar {
            bar.finish_and_clear();
        }
        say(&format!("{:>8}  {result}  ({seconds:.1} s)", current.name));
        self.stages.push(Stage {
            name: current.name.to_owned(),
            seconds: (seconds * 1000.0).round() / 1000.0,
        });
    }
}

/// What an error leaves open has failed.
impl Drop for Ui {
    fn drop(&mut self) {
        self.close("FAILED");
    }
}

fn screen() -> Option<Screen> {
    Screen::find(std::env::var("COLUMNS").ok().as_deref())
}

/// Whether lines may move: on a terminal that can, and that a person watches.
fn moves(terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let value = |name| variable(name).filter(|value| !value.is_empty());
    let dumb = value("TERM").is_none_or(|term| term == "dumb");
    let ci = value("CI").is_some_and(|ci| ci != "false" && ci != "0");
    terminal && !dumb && !ci && value("NO_COLOR").is_none()
}

/// The line that moves: stage, how far it is, how long it has taken, how long the whole has.
fn moving_line(screen: Screen, name: &'static str, text: &str, since: Instant) -> ProgressBar {
    // Twenty times a second at most, as indicatif draws on terminals.
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen), 20);
    let bar = ProgressBar::with_draw_target(None, target);
    let template = "{spinner} {prefix:>6}  {wide_msg} {times}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.tick_chars("-\\|/ ").with_key(
            "times",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let (stage, all) = (spoken(state.elapsed()), spoken(since.elapsed()));
                let _ = write!(out, "{stage}, {all} in all");
            },
        ));
    }
    bar.set_prefix(name);
    bar.set_message(text.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// `[########............]`: readable without colour, in any font.
fn text_bar(done: u64, all: u64) -> String {
    const WIDTH: u64 = 20;
    let full = (done.min(all) * WIDTH).checked_div(all).unwrap_or(WIDTH);
    let mut text = String::from("[");
    for cell in 0..WIDTH {
        text.push(if cell < full { '#' } else { '.' });
    }
    text + "]"
}

/// A length of time, for people: `7 s`, `2 min 05 s`.
fn spoken(time: Duration) -> String {
    let mut text = String::new();
    let (minutes, seconds) = (time.as_secs() / 60, time.as_secs() % 60);
    let _ = match minutes {
        0 => write!(text, "{seconds} s"),
        _ => write!(text, "{minutes} min {seconds:02} s"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_move_only_before_a_person() {
        let good = ("TERM", "xterm-256color");
        for (terminal, variables, expected) in [
            (true, &[good][..], true),
            (true, &[good, ("CI", ""), ("NO_COLOR", "")], true),
            (true, &[good, ("CI", "false")], true),
            (false, &[good], false),
            (true, &[], false),
            (true, &[("TERM", "dumb")], false),
            (true, &[good, ("CI", "true")], false),
            (true, &[good, ("NO_COLOR", "1")], false),
        ] {
            let variable = |name: &str| {
                variables
                    .iter()
                    .find(|(found, _)| *found == name)
                    .map(|(_, value)| OsString::from(value))
            };
            assert_eq!(moves(terminal, variable), expected, "{variables:?}");
        }
    }

    #[test]
    fn text_from_outside_is_no_command() {
        assert_eq!(inert("| ##[add-mask]x"), "| # #[add-mask]x");
    }

    #[test]
    fn bars_and_times() {
        assert_eq!(text_bar(0, 4), "[....................]");
        assert_eq!(text_bar(1, 4), "[#####...............]");
        assert_eq!(text_bar(9, 4), "[####################]");
        assert_eq!(text_bar(0, 0), "[####################]");
        assert_eq!(spoken(Duration::from_millis(7900)), "7 s");
        assert_eq!(spoken(Duration::from_secs(125)), "2 min 05 s");
    }
}
