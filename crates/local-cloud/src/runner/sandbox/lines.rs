//! Output of a process, cut into lines of bounded length.

/// Longer lines are told in parts, as Docker's log drivers do.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// Bytes of an unfinished line.
#[derive(Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The lines that `bytes` complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if self.rest.ends_with(b"\n") {
                self.rest.pop();
                self.cut(&mut lines);
                lines.push(text(&self.rest));
                self.rest.clear();
            } else {
                self.cut(&mut lines);
            }
        }
        lines
    }

    /// What is left when the output ends.
    pub(super) fn finish(self) -> Option<String> {
        (!self.rest.is_empty()).then(|| text(&self.rest))
    }

    fn cut(&mut self, lines: &mut Vec<String>) {
        while self.rest.len() > MAX_LINE {
            // Not in the middle of a character: its later bytes have the form 10xxxxxx.
            let at = (MAX_LINE - 3..=MAX_LINE)
                .rev()
                .find(|&at| self.rest[at] & 0xC0 != 0x80)
                .unwrap_or(MAX_LINE);
            lines.push(text(&self.rest[..at]));
            self.rest.drain(..at);
        }
    }
}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a\nb"), ["a"]);
        assert_eq!(lines.push(b"c\r\n\n\xff\n"), ["bc", "", "\u{fffd}"]);
        assert_eq!(lines.push(b"end"), [""; 0]);
        assert_eq!(lines.finish().as_deref(), Some("end"));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_long(text in "[a-zé€😀\n]{0,40}", repeat in 1_usize..3000, chunk in 1_usize..40_000) {
            let text = text.repeat(repeat);
            let mut lines = Lines::default();
            let mut told: Vec<String> = text.as_bytes().chunks(chunk).flat_map(|bytes| lines.push(bytes)).collect();
            told.extend(lines.finish());
            prop_assert!(told.iter().all(|line| line.len() <= MAX_LINE));
            prop_assert_eq!(told.concat(), text.replace('\n', ""));
        }
    }
}
