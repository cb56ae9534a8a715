//! Every kind of finding, with its reason and what to do: what `cargo xtask explain` prints and the table in the documentation is made from.

mod files;
mod lints;
mod meaning;

use std::fmt::Write as _;

/// One kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The code in the finding.
    pub code: &'static str,
    /// What it is about.
    pub group: Group,
    /// What is found, in one line.
    pub what: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// Whether `[[allow]]` in the pipeline file may name it.
    pub allowable: bool,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The files as such.
    Files,
    /// What has one meaning and is accepted in another form.
    Accepted,
    /// What ECS would refuse.
    Meaning,
    /// What lets a rollout lose requests, or never end.
    ZeroDowntime,
    /// What gives away more than it should.
    Security,
    /// What shows only when a task cannot start.
    CostOfError,
}

impl Group {
    /// As a heading.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "Files",
            Self::Accepted => "Accepted in another form",
            Self::Meaning => "Meaning",
            Self::ZeroDowntime => "Zero downtime",
            Self::Security => "Security",
            Self::CostOfError => "Cost of error",
        }
    }
}

/// All rules, group by group.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [files::RULES, meaning::RULES, lints::RULES]
        .into_iter()
        .flatten()
}

/// The rule of that code.
pub fn find(code: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.code == code)
}

/// The rule as `explain` prints it.
pub fn explain(rule: &Rule) -> String {
    let allow = if rule.allowable {
        format!(
            "\nTo break it on purpose, in pipeline.toml:\n\n  [[allow]]\n  rule = \"{}\"\n  reason = \"…\"\n",
            rule.code
        )
    } else {
        String::new()
    };
    format!(
        "{} ({})\n\n{}.\n\nWhy: {}.\nFix: {}.\n{allow}",
        rule.code,
        rule.group.name(),
        rule.what,
        rule.why,
        rule.fix
    )
}

/// All rules as a Markdown document.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Findings\n\nWritten by `cargo xtask schema`. `cargo xtask explain CODE` prints one.\n",
    );
    let mut group = None;
    for rule in all() {
        if group != Some(rule.group) {
            group = Some(rule.group);
            let _ = write!(
                out,
                "\n## {}\n\n| code | what | why | fix | can be allowed |\n|---|---|---|---|---|\n",
                rule.group.name()
            );
        }
        let allowable = if rule.allowable { "yes" } else { "" };
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {allowable} |",
            rule.code,
            cell(rule.what),
            cell(rule.why),
            cell(rule.fix)
        );
    }
    out
}

const fn rule(
    group: Group,
    code: &'static str,
    what: &'static str,
    why: &'static str,
    fix: &'static str,
) -> Rule {
    Rule {
        code,
        group,
        what,
        why,
        fix,
        allowable: matches!(
            group,
            Group::ZeroDowntime | Group::Security | Group::CostOfError
        ),
    }
}
