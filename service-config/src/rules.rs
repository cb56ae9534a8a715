//! Every kind of finding, with its reason and what to do: what `cargo xtask explain` prints and the table in the documentation is made from.

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

/// The rule of that code.
pub fn find(code: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.code == code)
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
    for rule in RULES {
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
        allowable: matches!(group, ZeroDowntime | Security | CostOfError),
    }
}

use Group::{Accepted, CostOfError, Files, Meaning, Security, ZeroDowntime};

/// All of them, group by group.
pub const RULES: &[Rule] = &[
    rule(
        Files,
        "unreadable-file",
        "A file is missing, is a link, or is no text",
        "Nothing can be said about what cannot be read; a link may lead out of the service's folder",
        "Put the file where the pipeline file says",
    ),
    rule(
        Files,
        "toml-syntax",
        "pipeline.toml is not TOML",
        "It cannot be read further",
        "See the marked place",
    ),
    rule(
        Files,
        "json-syntax",
        "The task definition is not JSON",
        "It cannot be read further; comments and trailing commas are fine",
        "See the marked place",
    ),
    rule(
        Files,
        "repeated-key",
        "A name stands twice in one object",
        "JSON keeps one of the two in silence",
        "Keep one",
    ),
    rule(
        Files,
        "unknown-key",
        "A key that nothing reads",
        "A misspelt key would be ignored, and what it meant not done",
        "Mend the spelling, or take it out",
    ),
    rule(
        Files,
        "missing-key",
        "A key that must be there is not",
        "There is no sensible default",
        "Add it",
    ),
    rule(
        Files,
        "wrong-type",
        "A value is of another type than its key takes",
        "ECS would refuse it",
        "See the message",
    ),
    rule(
        Files,
        "unknown-value",
        "A word that is not one of those that can stand there",
        "ECS would refuse it",
        "Use one of the words in the message",
    ),
    rule(
        Files,
        "out-of-range",
        "A number outside its range",
        "ECS would refuse it",
        "See the message for the range",
    ),
    rule(
        Files,
        "not-a-duration",
        "A length of time that cannot be read",
        "A timeout must be certain",
        "Write \"90s\", \"15m\" or \"1h30m\"",
    ),
    rule(
        Files,
        "bare-containers",
        "The task definition is a bare list of containers",
        "Terraform takes such a list; RegisterTaskDefinition takes an object",
        "Write {\"family\": …, \"containerDefinitions\": […]} around it",
    ),
    rule(
        Accepted,
        "encoding",
        "The file is UTF-16 or begins with a byte order mark",
        "Other tools refuse it",
        "`cargo xtask check --fix` writes plain UTF-8",
    ),
    rule(
        Accepted,
        "wrapped-document",
        "The document is wrapped in `taskDefinition`, as a describe call answers",
        "RegisterTaskDefinition takes what is inside",
        "`cargo xtask check --fix` unwraps it",
    ),
    rule(
        Accepted,
        "read-only-member",
        "A member that ECS answers and does not take",
        "RegisterTaskDefinition refuses it",
        "`cargo xtask check --fix` takes it out",
    ),
    rule(
        Accepted,
        "null-member",
        "A member is null",
        "ECS takes a member or none",
        "`cargo xtask check --fix` takes it out",
    ),
    rule(
        Accepted,
        "size-spelling",
        "CPU or memory is not written as a string of digits",
        "ECS has several spellings for one size; a review should not have to know them",
        "`cargo xtask check --fix` writes the digits",
    ),
    rule(
        Meaning,
        "no-environment",
        "The pipeline file has no environment",
        "There is nowhere to deploy to",
        "Add [environments.NAME]",
    ),
    rule(
        Meaning,
        "unknown-environment",
        "The default environment is not in the file",
        "Commands without --env would fail",
        "Name one that is",
    ),
    rule(
        Meaning,
        "not-an-account",
        "An account that is not 12 digits",
        "The guard against the wrong account could never hold",
        "Write the account's number as a string",
    ),
    rule(
        Meaning,
        "bad-platforms",
        "`platforms` is empty, lists one twice, or stands beside `platform`",
        "It is not clear what is built",
        "List each platform once, under one of the two names",
    ),
    rule(
        Meaning,
        "not-a-user",
        "The image's user is not a number",
        "Names depend on the base image's /etc/passwd, and ECS and Linux count in numbers",
        "Write USER:GROUP, such as 65532:65532",
    ),
    rule(
        Meaning,
        "bad-image-file",
        "A file of the image comes from outside the service's folder, or goes to no absolute path",
        "The image must not depend on the machine that builds it",
        "Write `from` relative to pipeline.toml and `to` from the image's root",
    ),
    rule(
        Meaning,
        "variable-and-secret",
        "A name is a variable and a secret of one environment",
        "Only one of them can be set",
        "Keep one",
    ),
    rule(
        Meaning,
        "unknown-container",
        "A container that the task definition does not have",
        "The image would go nowhere, or ECS would refuse",
        "Use a name from `containerDefinitions`",
    ),
    rule(
        Meaning,
        "unknown-volume",
        "A volume that the task definition does not have",
        "ECS would refuse it",
        "Add it to `volumes`",
    ),
    rule(
        Meaning,
        "unknown-placeholder",
        "`${name}` that stands for nothing",
        "It would reach the service as it is written",
        "Use a known name; write $${ for a literal",
    ),
    rule(
        Meaning,
        "foreign-placeholder",
        "A placeholder of another tool",
        "Nothing fills it in here",
        "Write what the message says",
    ),
    rule(
        Meaning,
        "no-essential-container",
        "No container is essential",
        "ECS refuses such a task definition",
        "Make one essential",
    ),
    rule(
        Meaning,
        "repeated-container",
        "Two containers of one name",
        "ECS refuses it",
        "Rename one",
    ),
    rule(
        Meaning,
        "repeated-variable",
        "A variable is set twice in one container",
        "Which of the two wins is not defined",
        "Keep one",
    ),
    rule(
        Meaning,
        "dependency-cycle",
        "Containers wait for each other in a circle",
        "ECS refuses it; none could start",
        "Take one `dependsOn` out",
    ),
    rule(
        Meaning,
        "awsvpc-host-port",
        "A host port that differs from the container's under awsvpc",
        "ECS refuses it",
        "Leave `hostPort` out",
    ),
    rule(
        Meaning,
        "fargate-network",
        "Another network mode than awsvpc on Fargate",
        "ECS refuses it",
        "Set `networkMode` to awsvpc",
    ),
    rule(
        Meaning,
        "fargate-size",
        "CPU and memory that Fargate does not combine",
        "ECS refuses it",
        "Use a pair from the message",
    ),
    rule(
        Meaning,
        "health-check-command",
        "A health check command without CMD or CMD-SHELL in front",
        "ECS refuses it",
        "Write [\"CMD\", program, argument]",
    ),
    rule(
        Meaning,
        "health-check-overlap",
        "A health check may take longer than the time to the next",
        "Checks would pile up, and one slow answer count twice",
        "Make `timeout` shorter than `interval`",
    ),
    rule(
        Meaning,
        "unknown-rule",
        "`[[allow]]` names no rule that can be allowed",
        "A misspelt exception allows nothing",
        "Use a code of this table",
    ),
    rule(
        Meaning,
        "unused-allow",
        "`[[allow]]` names a rule that nothing breaks",
        "An exception that outlives its reason hides the next mistake",
        "Take it out",
    ),
    rule(
        ZeroDowntime,
        "no-health-check",
        "The deployed container has no health check",
        "ECS takes it for healthy as soon as its process runs, and stops the old tasks",
        "Add `healthCheck` with a command of the program itself",
    ),
    rule(
        ZeroDowntime,
        "shell-health-check",
        "A health check needs a shell, curl or wget that the image does not hold",
        "It always fails, and the rollout with it",
        "Let the program check itself",
    ),
    rule(
        ZeroDowntime,
        "few-healthy-tasks",
        "A rollout may go below half of the tasks",
        "The rest must carry all requests",
        "Raise minimum-healthy-percent",
    ),
    rule(
        ZeroDowntime,
        "cannot-roll",
        "No task may stop and none may start",
        "The rollout stands still until the timeout",
        "Leave room for one task more",
    ),
    rule(
        ZeroDowntime,
        "short-timeout",
        "The timeout comes before ECS can have decided",
        "A deployment would be called failed that ECS is still judging",
        "Give it longer",
    ),
    rule(
        ZeroDowntime,
        "no-circuit-breaker",
        "The pipeline file asks for no circuit breaker",
        "When longshore is not watching any more, nothing ends a rollout that cannot succeed",
        "Set circuit-breaker = true",
    ),
    rule(
        ZeroDowntime,
        "short-stop-timeout",
        "A container is killed before the service has had its grace",
        "Requests under way are cut off",
        "Raise `stopTimeout`",
    ),
    rule(
        Security,
        "secret-in-environment",
        "A value that looks like a secret, in the environment",
        "Anyone who may describe the task definition reads it, for as long as the revision exists",
        "Put it into SSM or Secrets Manager",
    ),
    rule(
        Security,
        "secret-not-a-reference",
        "A secret that is no reference to SSM or Secrets Manager",
        "The task cannot start; and it may be the secret itself",
        "Write a parameter's name or a secret's whole ARN",
    ),
    rule(
        Security,
        "privileged",
        "A container has the rights of the instance's root",
        "A break-in owns the host",
        "Take `privileged` out",
    ),
    rule(
        Security,
        "root-user",
        "A container runs as root",
        "A break-in has more to work with",
        "Take `user` out, or name another",
    ),
    rule(
        Security,
        "writable-root",
        "The root file system can be written",
        "A break-in can stay",
        "Set `readonlyRootFilesystem` to true",
    ),
    rule(
        Security,
        "floating-image",
        "A sidecar's image is not pinned by digest",
        "Two tasks of one revision may run different programs",
        "Write repository@sha256:…",
    ),
    rule(
        Security,
        "no-log-configuration",
        "A container's output goes nowhere",
        "Nobody can tell why it failed, or what it did",
        "Add `logConfiguration`",
    ),
    rule(
        CostOfError,
        "architecture-mismatch",
        "Image and task are of different architectures",
        "No container would start",
        "Make `platform` and `runtimePlatform` agree",
    ),
    rule(
        CostOfError,
        "memory-over-task",
        "The containers ask for more memory than the task has",
        "ECS refuses it",
        "Raise the task's memory",
    ),
    rule(
        CostOfError,
        "no-execution-role",
        "There is no execution role, and the task needs one",
        "Image, secrets or logs cannot be reached, and no task starts",
        "Name one in `executionRoleArn`",
    ),
];
