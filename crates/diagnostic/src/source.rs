//! The text of a file, and places in it.

use std::ops::Range;
use std::path::PathBuf;

/// A file's text under the name that people know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path as it is shown: relative to where the command was run, where possible.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// A place as people and editors count: from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters (Unicode scalar values), from 1.
    pub column: usize,
}

impl Source {
    /// A source from its path and text.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// The place of a byte offset. An offset past the end, or inside a character, counts as the nearest place before it.
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A span widened to whole characters, inside the text.
pub(crate) fn whole_characters(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    start..text.ceil_char_boundary(span.end.max(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let source = Source::new("f", "añb\ncd\n");
        let table = [
            (0, 1, 1),
            (1, 1, 2),
            (2, 1, 2), // inside ñ
            (3, 1, 3),
            (4, 1, 4),
            (5, 2, 1),
            (8, 3, 1),
            (99, 3, 1),
        ];
        for (offset, line, column) in table {
            assert_eq!(
                source.position(offset),
                Position { line, column },
                "offset {offset}"
            );
        }
    }
}
