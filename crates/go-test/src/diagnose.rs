//! What one failure means: a data race, a hang, a panic, an assertion; and the line of the service's own code that it points to.

use crate::report::{Kind, Place, Problem};
use crate::tools::Sources;

/// A test or package that failed.
pub(crate) struct Failure<'a> {
    pub(crate) package: &'a str,
    pub(crate) test: Option<&'a str>,
    pub(crate) output: &'a str,
    /// Whether it came to an end of its own.
    pub(crate) ended: bool,
}

impl Failure<'_> {
    /// Whether its output names a line of code; a parent of failed subtests usually has none.
    pub(crate) fn says_something(&self) -> bool {
        self.output.lines().any(|line| logged(line).is_some())
            || self.output.contains("WARNING: DATA RACE")
            || self.output.contains("panic: ")
    }
}

/// The problem that a failure is.
pub(crate) fn problem(failure: &Failure<'_>, sources: &Sources) -> Problem {
    let output = failure.output;
    let (kind, message, place, help) = if output.contains("panic: test timed out after ") {
        hang(failure, sources)
    } else if output.contains("WARNING: DATA RACE") {
        race(failure, sources)
    } else if let Some(panic) = panic_message(output) {
        (Kind::Panic, panic.to_owned(), frame(output, sources), None)
    } else if failure.test.is_some() && failure.ended {
        // The last line is the one that ended the test, or the last of what it found; not one that only announces a dump, as cleanups write it.
        let mut lines = output.lines().rev().filter_map(logged);
        let last = lines.clone().next();
        let logged = lines
            .find(|(_, _, message)| !message.trim_end().ends_with(':'))
            .or(last);
        let place =
            logged.and_then(|(file, line, _)| sources.in_package(failure.package, file, line));
        let message = logged
            .map(|(_, _, message)| message.trim())
            .filter(|message| !message.is_empty())
            .or_else(|| assertion(output))
            .unwrap_or("it failed without a word");
        (Kind::Test, message.to_owned(), place, None)
    } else {
        let message = output
            .lines()
            .map(str::trim)
            .find(|line| !(line.is_empty() || is_frame(line) || line.starts_with("FAIL")))
            .unwrap_or("it ended in the middle, without a word");
        (
            Kind::Package,
            message.to_owned(),
            frame(output, sources),
            None,
        )
    };
    Problem {
        kind,
        package: Some(failure.package.to_owned()),
        test: failure.test.map(str::to_owned),
        message,
        place,
        output: match kind {
            Kind::Timeout => own_goroutine_first(&without_frames(output), failure.test),
            _ => without_frames(output),
        },
        help,
    }
}

/// A dump of goroutines with the test's own at its head: in a large program it stands somewhere among hundreds.
fn own_goroutine_first(output: &str, test: Option<&str>) -> String {
    let mut blocks: Vec<&str> = output.split("\n\n").collect();
    let own = test
        .and_then(|test| test.split('/').next())
        .and_then(|test| {
            let call = format!(".{test}");
            blocks
                .iter()
                .position(|block| is_goroutine(block) && block.contains(&call))
        });
    let first = blocks.iter().position(|block| is_goroutine(block));
    if let (Some(own), Some(first)) = (own, first) {
        blocks[first..=own].rotate_right(1);
    }
    blocks.join("\n\n")
}

fn is_goroutine(block: &str) -> bool {
    block.trim_start().starts_with("goroutine ")
}

type Diagnosis = (Kind, String, Option<Place>, Option<String>);

fn hang(failure: &Failure<'_>, sources: &Sources) -> Diagnosis {
    let mut lines = failure
        .output
        .lines()
        .skip_while(|line| !line.contains("panic: test timed out after "));
    let limit = lines
        .next()
        .and_then(|line| line.rsplit(' ').next())
        .unwrap_or("its time");
    let running: Vec<&str> = lines
        .skip_while(|line| !line.contains("running tests:"))
        .skip(1)
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let message = if running.is_empty() {
        format!("no end after {limit}")
    } else {
        format!("no end after {limit}: {}", running.join(", "))
    };
    // The goroutine of the test itself, not the alarm's.
    let own = running
        .first()
        .and_then(|test| test.split([' ', '/']).next())
        .and_then(|test| {
            let call = format!(".{test}");
            failure
                .output
                .split("\n\n")
                .find(|goroutine| goroutine.contains(&call))
        });
    let place = own
        .and_then(|goroutine| frame(goroutine, sources))
        .or_else(|| frame(failure.output, sources));
    (
        Kind::Timeout,
        message,
        place,
        Some("find what it waits for in the goroutines below, or raise `timeout` under [test] in pipeline.toml".to_owned()),
    )
}

fn race(failure: &Failure<'_>, sources: &Sources) -> Diagnosis {
    let mut accesses = Vec::new();
    let mut lines = failure
        .output
        .lines()
        .skip_while(|line| !line.contains("WARNING: DATA RACE"))
        .peekable();
    while let Some(line) = lines.next() {
        let words = line.trim().to_lowercase();
        let what = ["previous write", "previous read", "read", "write"]
            .into_iter()
            .find(|what| words.starts_with(&format!("{what} at ")));
        if let Some(what) = what {
            let mut stack = String::new();
            while let Some(line) = lines.next_if(|line| !line.trim().is_empty()) {
                stack.push_str(line);
                stack.push('\n');
            }
            accesses.push((what, frame(&stack, sources)));
        }
        if accesses.len() == 2 {
            break;
        }
    }
    let words: Vec<String> = accesses
        .iter()
        .map(|(what, place)| match place {
            Some(place) => format!("{what} at {}:{}", place.file, place.line),
            None => (*what).to_owned(),
        })
        .collect();
    let message = if words.is_empty() {
        "two goroutines use one variable, and at least one of them writes".to_owned()
    } else {
        words.join(", ")
    };
    let place = accesses.into_iter().find_map(|(_, place)| place);
    (
        Kind::Race,
        message,
        place,
        Some("guard the variable with a mutex, a channel or sync/atomic".to_owned()),
    )
}

/// The message of a panic, without what Go adds.
fn panic_message(output: &str) -> Option<&str> {
    let line = output.lines().find_map(|line| {
        line.trim_start()
            .strip_prefix("panic: ")
            .or_else(|| line.strip_prefix("fatal error: "))
    })?;
    Some(line.split(" [recovered").next().unwrap_or(line))
}

/// `    name_test.go:12: message`, as `t.Error` and `t.Log` write it.
fn logged(line: &str) -> Option<(&str, u32, &str)> {
    let trimmed = line.trim_start();
    if trimmed.len() == line.len() {
        return None;
    }
    let (file, rest) = trimmed.split_once(".go:")?;
    let (number, message) = rest
        .split_once(": ")
        .unwrap_or((rest.trim_end_matches(':'), ""));
    let plain = !file.is_empty() && !file.contains([' ', '/', '\t']);
    // The testing package logs about races and calls on ended tests under its own name.
    if !plain || file == "testing" {
        return None;
    }
    Some((&trimmed[..file.len() + 3], number.parse().ok()?, message))
}

/// The line `Error:` of an assertion library's block, which stands below the line with the place.
fn assertion(output: &str) -> Option<&str> {
    output
        .lines()
        .find_map(|line| line.trim().strip_prefix("Error:"))
        .map(str::trim)
        .filter(|message| !message.is_empty())
}

/// The first frame of a stack that lies in the service's own code: `/path/file.go:12 +0x1f`.
fn frame(stack: &str, sources: &Sources) -> Option<Place> {
    stack.lines().find_map(|line| {
        let path = line.trim();
        let (file, rest) = path.split_once(".go:")?;
        if !file.starts_with('/') {
            return None;
        }
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        sources.own(&format!("{file}.go"), digits.parse().ok()?)
    })
}

/// Lines that only say that a test began, waits, goes on or ended.
fn is_frame(line: &str) -> bool {
    ["=== RUN", "=== PAUSE", "=== CONT", "=== NAME"]
        .iter()
        .any(|start| line.starts_with(start))
}

/// An output without such lines.
pub(crate) fn without_frames(output: &str) -> String {
    output
        .lines()
        .filter(|line| !is_frame(line))
        .fold(String::new(), |mut text, line| {
            text.push_str(line);
            text.push('\n');
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_testing_package() {
        for (line, expected) in [
            ("    a_test.go:3: bad 1", Some(("a_test.go", 3, "bad 1"))),
            ("        deep.go:12: x: y", Some(("deep.go", 12, "x: y"))),
            ("    a_test.go:3: ", Some(("a_test.go", 3, ""))),
            ("a_test.go:3: not indented", None),
            ("    testing.go:1712: race detected", None),
            ("      /tmp/a_test.go:6 +0x2e", None),
            ("    a_test.go:x: no number", None),
        ] {
            assert_eq!(logged(line), expected, "{line}");
        }
    }

    #[test]
    fn an_assertion_librarys_block() {
        let output = "    a_test.go:9: \n        \tError Trace:\t/src/a_test.go:9\n        \tError:      \tNot equal: \n        \t            \texpected: 1\n";
        assert_eq!(assertion(output), Some("Not equal:"));
    }

    #[test]
    fn panics() {
        for (output, expected) in [
            ("panic: boom [recovered, repanicked]\n", Some("boom")),
            (
                "x\npanic: runtime error: index\n",
                Some("runtime error: index"),
            ),
            (
                "fatal error: all goroutines are asleep - deadlock!\n",
                Some("all goroutines are asleep - deadlock!"),
            ),
            ("no such thing\n", None),
        ] {
            assert_eq!(panic_message(output), expected, "{output}");
        }
    }
}
