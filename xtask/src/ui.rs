//! What a person sees while a command runs: one moving line on a terminal, plain lines everywhere else. All of it on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use rollout::receipt::Stage;

/// Prints a line on standard error. A closed standard error stops nothing.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints on standard output; a closed pipe (`| head`) is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The display of a command with stages.
pub struct Ui {
    terminal: bool,
    current: Option<Current>,
    stages: Vec<Stage>,
}

struct Current {
    name: &'static str,
    since: Instant,
    bar: Option<ProgressBar>,
    last: String,
}

impl Ui {
    /// A display that suits where standard error goes.
    pub fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            terminal: std::io::stderr().is_terminal() && !dumb && std::env::var_os("CI").is_none(),
            current: None,
            stages: Vec::new(),
        }
    }

    /// Begins a stage; the one before it ends, if it was not ended.
    pub fn stage(&mut self, name: &'static str, text: &str) {
        self.close("ended");
        let bar = self.terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {prefix:>8}  {msg}  [{elapsed}]")
            {
                bar.set_style(style);
            }
            bar.set_prefix(name);
            bar.set_message(text.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        if bar.is_none() {
            say(&format!("{name:>8}  {text}"));
        }
        self.current = Some(Current {
            name,
            since: Instant::now(),
            bar,
            last: text.to_owned(),
        });
    }

    /// Says how far the stage is. A line of its own only where lines do not move, and only when it says something new.
    pub fn progress(&mut self, text: &str) {
        if let Some(current) = &mut self.current
            && current.last != text
        {
            match &current.bar {
                Some(bar) => bar.set_message(text.to_owned()),
                None => say(&format!("{:>8}  {text}", "")),
            }
            text.clone_into(&mut current.last);
        }
    }

    /// Says how far the stage is, where that can move in place; elsewhere nothing.
    pub fn spin(&mut self, text: &str) {
        if let Some(bar) = self
            .current
            .as_ref()
            .and_then(|current| current.bar.as_ref())
        {
            bar.set_message(text.to_owned());
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
    }

    /// Ends the stage with what came of it.
    pub fn done(&mut self, result: &str) {
        self.close(result);
    }

    /// The stages so far; the one under way counts as ended.
    pub fn stages(&mut self) -> Vec<Stage> {
        self.close("ended");
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
