//! The output of one test or package, without an upper bound on what it writes and with one on what is kept.

/// Bytes that are kept of the beginning, and as many of the end. A goroutine dump of a large program fits into neither.
const KEPT: usize = 64 << 10;

/// Beginning and end of an output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    head: String,
    tail: String,
    dropped: usize,
}

impl Output {
    /// Adds a portion; one is a line at most.
    pub(crate) fn push(&mut self, text: &str) {
        if self.tail.is_empty() && self.head.len() + text.len() <= KEPT {
            self.head.push_str(text);
            return;
        }
        self.tail.push_str(text);
        if self.tail.len() > 2 * KEPT {
            let mut cut = self.tail.len() - KEPT;
            while !self.tail.is_char_boundary(cut) {
                cut += 1;
            }
            self.dropped += cut;
            self.tail.drain(..cut);
        }
    }

    /// What was kept.
    pub(crate) fn text(&self) -> String {
        match self.dropped {
            0 => format!("{}{}", self.head, self.tail),
            dropped => format!("{}\n… {dropped} bytes left out …\n{}", self.head, self.tail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_are_kept() {
        let mut output = Output::default();
        output.push("first\n");
        for _ in 0..100_000 {
            output.push("ünïcödé in the middle\n");
        }
        output.push("last\n");
        let text = output.text();
        assert!(text.starts_with("first\n"), "{}", &text[..20]);
        assert!(text.ends_with("last\n"));
        assert!(text.contains("bytes left out"));
        assert!(text.len() < 4 * KEPT, "{}", text.len());
    }

    #[test]
    fn what_is_short_is_whole() {
        let mut output = Output::default();
        output.push("a\n");
        output.push("b\n");
        assert_eq!(output.text(), "a\nb\n");
    }
}
