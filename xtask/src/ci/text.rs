//! Text from outside (names, log lines, errors) inside Markdown, where it must stay text.

/// A block of text as it is. The fence is longer than any in the text.
pub fn code_block(language: &str, text: &str) -> String {
    let fence = "`".repeat(longest_run(text, '`').max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end())
}

/// A few words as they are.
pub fn code_span(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    let space = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Words in a table's cell.
pub fn table_cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '!' | '@' | '#' | '$' => {
                out.push('\\');
                out.push(character);
            }
            c if c.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

fn longest_run(text: &str, wanted: char) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_text() {
        assert_eq!(
            code_block("", "a\n```\n<script>\n"),
            "````\na\n```\n<script>\n````\n"
        );
        assert_eq!(code_block("diff", "-a"), "```diff\n-a\n```\n");
        assert_eq!(code_span("a`b"), "``a`b``");
        assert_eq!(code_span("a\nb"), "`a b`");
        assert_eq!(
            table_cell("x|y\n<img onerror=1> [a](b)"),
            "x\\|y &lt;img onerror=1&gt; \\[a\\](b)"
        );
    }
}
