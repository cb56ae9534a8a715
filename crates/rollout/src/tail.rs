//! The end of a log, as far as it says why a program failed.

/// Levels of structured loggers, as they write them: `log/slog`, zap, zerolog, logrus.
const LEVELS: [&str; 12] = [
    "\"level\":\"error",
    "\"level\":\"fatal",
    "\"level\":\"panic",
    "\"level\":\"dpanic",
    "\"severity\":\"error",
    "\"severity\":\"critical",
    "level=error",
    "level=fatal",
    "level=panic",
    " error ",
    "[error]",
    "[fatal]",
];
/// Words of those who write plain lines.
const WORDS: [&str; 11] = [
    "error",
    "fatal",
    "panic",
    "failed",
    "cannot",
    "refused",
    "denied",
    "missing",
    "exception",
    // Answers to health checks, in a log of requests.
    "\"status\":5",
    "status=5",
];

/// The line that says most: how a Go program died, else the last at an error's level, else the last with an error's words, else the last.
pub fn telling(lines: &[String]) -> Option<&str> {
    let lines = lines.iter().map(String::as_str);
    lines
        .filter(|line| !line.trim().is_empty())
        // Of several alike the last one is taken.
        .max_by_key(|line| weight(line))
}

fn weight(line: &str) -> u8 {
    // The lines of a Go program's stack: their paths and names may hold any word.
    let stack = line.starts_with([' ', '\t']) || line.starts_with("goroutine ");
    if stack {
        return 0;
    }
    if line.starts_with("panic: ") || line.starts_with("fatal error: ") {
        return 4;
    }
    let lower = line.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&LEVELS) {
        3
    } else if has(&WORDS) {
        2
    } else {
        1
    }
}

/// At most so many characters, with `…` at the end where something is left out.
pub fn brief(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_most_is_found() {
        for (lines, expected) in [
            (&[][..], None),
            (&["", " "], None),
            (&["starting", "listening"], Some("listening")),
            (
                &[
                    r#"{"level":"ERROR","msg":"no database"}"#,
                    r#"{"level":"INFO","msg":"stopped without errors"}"#,
                ],
                Some(r#"{"level":"ERROR","msg":"no database"}"#),
            ),
            (
                &["dial tcp: connection refused", "bye"],
                Some("dial tcp: connection refused"),
            ),
            (
                &[
                    "level=error msg=first",
                    "panic: assignment to entry in nil map",
                    "",
                    "goroutine 1 [running]:",
                    "main.main()",
                    "\t/src/errors.go:7 +0x1d",
                    "exit status 2",
                ],
                Some("panic: assignment to entry in nil map"),
            ),
            (
                &[r#"{"path":"/health","status":503}"#, "stopped"],
                Some(r#"{"path":"/health","status":503}"#),
            ),
            (
                &["time=x level=error msg=one", "time=y level=error msg=two"],
                Some("time=y level=error msg=two"),
            ),
        ] {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            assert_eq!(telling(&lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_left_out_is_marked() {
        assert_eq!(brief("grün", 4), "grün");
        assert_eq!(brief("grün und blau", 5), "grün…");
    }
}
