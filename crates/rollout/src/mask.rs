//! Hides what looks like a secret in text that others wrote: log lines, reasons, bodies. A report is read by more people, and kept longer, than the log it quotes.
//!
//! By shape and by name, so it can only be a net with a mesh: whoever logs secrets should stop. It never hides digests, commits, task IDs or ARNs, which a reader needs.

/// What stands in a secret's place.
pub const HIDDEN: &str = "***";

/// Parts of names that secrets have.
const NAMES: [&str; 11] = [
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "private_key",
    "access_key",
    "authorization",
    "credential",
];
/// Beginnings of tokens that services give out.
const TOKENS: [&str; 13] = [
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk_live_",
    "rk_live_",
    "sk-",
    "eyJ",
];
/// Words that stand between a name and its secret: `Authorization: Bearer …`.
const SCHEMES: [&str; 3] = ["bearer", "basic", "digest"];

/// Whether a name is one that secrets have.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES.iter().any(|part| name.contains(part))
}

/// The text with what looks like a secret hidden, and on one line: what a program writes must not move a reader's cursor, nor begin a line that a CI system takes for a command.
pub fn mask(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    let text = text.as_str();
    if text.contains("PRIVATE KEY-----") {
        return format!("{HIDDEN} (a private key)");
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Whether the next word is the value of a name that secrets have.
    let mut named = false;
    // An ARN has words between colons, one of them perhaps `secret`, and none of them one.
    let mut arn = false;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            let mut characters = rest.chars();
            let separator = characters.next().unwrap_or_default();
            // What separates a name from its value goes on; anything else ends it.
            arn &= separator == ':';
            named &= matches!(separator, ':' | '=' | '"' | '\'' | ' ' | '\\' | '>');
            out.push(separator);
            rest = characters.as_str();
            continue;
        }
        let is_value_next = after
            .trim_start_matches(['"', '\'', '\\', ' '])
            .starts_with([':', '=']);
        arn |= word == "arn" && after.starts_with(':');
        if arn {
            out.push_str(word);
            named = false;
        } else if let Some(shown) = without_password(word) {
            out.push_str(&shown);
            named = false;
        } else if named && SCHEMES.contains(&word.to_lowercase().as_str()) {
            out.push_str(word);
        } else if named && !is_harmless(word) || has_secret_shape(word) {
            out.push_str(HIDDEN);
            named = false;
        } else {
            out.push_str(word);
            named = is_value_next && is_secret_name(word)
                || SCHEMES[..1].contains(&word.to_lowercase().as_str());
        }
        rest = after;
    }
    out
}

/// A word is what no quote, bracket, blank or assignment divides. The `:` of a URL belongs to it, that of `name: value` does not: it is told apart in [`without_password`].
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "-_./+%~@$*!#".contains(c)
}

/// The word with the password of `user:password@host` hidden. Words end at `:`, so that here a password is what stands before `@` at the beginning of a word.
fn without_password(word: &str) -> Option<String> {
    let (before, host) = word.rsplit_once('@')?;
    // `image@sha256:…` and an e-mail address hold none; a password follows a `:` and so begins the word.
    let digest = host == "sha256";
    let address = before.contains('.') && !before.contains(['$', '!', '#', '%', '*']);
    (!digest && !address && !before.contains('/')).then(|| format!("{HIDDEN}@{host}"))
}

fn is_harmless(word: &str) -> bool {
    let lower = word.to_lowercase();
    matches!(
        lower.as_str(),
        "true"
            | "false"
            | "null"
            | "none"
            | "token"
            | "secret"
            | "from"
            | "is"
            | "was"
            | "not"
            | "the"
            | "for"
            | "missing"
            | "invalid"
            | "expired"
            | "required"
    ) || word.starts_with("arn")
        || word.starts_with('/')
        || word == HIDDEN
}

/// Keys and tokens: by their beginning, or as a long word of mixed characters that is no hexadecimal number.
fn has_secret_shape(word: &str) -> bool {
    let known = |prefix: &&str| word.starts_with(*prefix) && word.len() >= prefix.len() + 12;
    if TOKENS.iter().any(known) {
        return true;
    }
    let letters = |test: fn(&char) -> bool| word.chars().filter(test).count();
    let plain = word
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "+/=_-".contains(c));
    let slashes = letters(|c| *c == '/');
    word.len() >= 32
        && plain
        && slashes < 3
        && !word.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
        // An AWS secret access key has 40 characters, and perhaps one digit.
        && letters(char::is_ascii_digit) >= if word.len() == 40 { 1 } else { 4 }
        && letters(char::is_ascii_uppercase) >= 4
        && letters(char::is_ascii_lowercase) >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        for (text, shown) in [
            ("password=hunter2 user=me", "password=*** user=me"),
            (
                r#"{"db_password": "hunter2","a":1}"#,
                r#"{"db_password": "***","a":1}"#,
            ),
            (r#"{\"apiKey\":\"abc\"}"#, r#"{\"apiKey\":\"***\"}"#),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            ("sent bearer abc", "sent bearer ***"),
            (
                "postgres://api:s3cret@db:5432/api",
                "postgres://api:***@db:5432/api",
            ),
            ("key AKIAIOSFODNN7EXAMPLE is gone", "key *** is gone"),
            ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "***"),
            ("t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln x", "t *** x"),
            ("-----BEGIN RSA PRIVATE KEY----- MII", "*** (a private key)"),
        ] {
            assert_eq!(mask(text), shown);
        }
    }

    #[test]
    fn a_text_stays_on_its_line() {
        assert_eq!(mask("a\tb\n::error::c\r\u{1b}[2Jd"), "a b ::error::c  [2Jd");
    }

    #[test]
    fn what_a_reader_needs_is_shown() {
        for text in [
            "repo@sha256:68fa7dd25e7d1a84156d06a58fe28ddc387bd663284a253e71c506e0509cfaed",
            "essential container `api` exited with code 3",
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:production/api/database-url-Ab12Cd",
            "task 0123456789abcdef0123456789abcdef of b4594d2f1e5aa35f196feb5cc70e569fc2eff95c",
            "unable to retrieve secret from asm: the token is missing",
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed",
            "mail to ops.team@example.com",
            r#"{"time":"2026-11-24T04:37:34.832276658Z","level":"WARN","msg":"a fault is injected on purpose","API_FAULT":"exit"}"#,
            "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cannot-pull-image.html",
            "",
        ] {
            assert_eq!(mask(text), text);
        }
    }
}
