//! As much of GitHub's workflow syntax as is written here, as types: what cannot be written wrongly needs no review.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_saphyr::Commented;

use crate::actions::Action;

/// A map that keeps its order: people read these files from top to bottom.
#[derive(Clone, Debug)]
pub(crate) struct Entries<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Entries<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn of<const N: usize>(entries: [(&str, T); N]) -> Self {
        let entries = entries.into_iter();
        Self(
            entries
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }
}

impl<T: Serialize> Serialize for Entries<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A permission, with the reason for it.
pub(crate) type Permission = Commented<&'static str>;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Workflow {
    pub(crate) name: String,
    pub(crate) on: On,
    /// None at all for the workflow: each job names its own.
    pub(crate) permissions: Entries<Permission>,
    pub(crate) concurrency: Concurrency,
    pub(crate) jobs: Entries<Job>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct On {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pull_request: Option<Entries<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) merge_group: Option<Entries<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) push: Option<Push>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workflow_dispatch: Option<Dispatch>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Push {
    pub(crate) branches: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Dispatch {
    #[serde(skip_serializing_if = "Entries::is_empty")]
    pub(crate) inputs: Entries<Input>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Input {
    pub(crate) description: String,
    pub(crate) r#type: &'static str,
    pub(crate) required: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Concurrency {
    pub(crate) group: String,
    pub(crate) cancel_in_progress: Commented<bool>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Job {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) needs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#if: Option<String>,
    pub(crate) runs_on: &'static str,
    pub(crate) timeout_minutes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<DeployEnvironment>,
    pub(crate) permissions: Entries<Permission>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) strategy: Option<Strategy>,
    #[serde(skip_serializing_if = "Entries::is_empty")]
    pub(crate) services: Entries<Container>,
    #[serde(skip_serializing_if = "Entries::is_empty")]
    pub(crate) env: Entries<String>,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeployEnvironment {
    pub(crate) name: String,
    pub(crate) url: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Strategy {
    pub(crate) fail_fast: bool,
    pub(crate) matrix: Matrix,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Matrix {
    pub(crate) include: Vec<Entries<String>>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Container {
    pub(crate) image: Commented<String>,
    pub(crate) env: Entries<String>,
    pub(crate) ports: Vec<String>,
    pub(crate) options: String,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Step {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) r#if: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uses: Option<Commented<&'static str>>,
    #[serde(skip_serializing_if = "Entries::is_empty")]
    pub(crate) with: Entries<Commented<String>>,
    #[serde(skip_serializing_if = "Entries::is_empty")]
    pub(crate) env: Entries<String>,
    /// A constant: nothing that comes from outside can be part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<&'static str>,
}

impl Step {
    pub(crate) fn uses<const N: usize>(
        name: &str,
        action: Action,
        with: [(&str, String); N],
    ) -> Self {
        Self {
            name: name.to_owned(),
            uses: Some(Commented(action.pin, action.release.to_owned())),
            ..Self::default()
        }
        .with(with)
    }

    /// The same with more inputs.
    pub(crate) fn with<const N: usize>(mut self, with: [(&str, String); N]) -> Self {
        for (name, value) in with {
            self.with
                .0
                .push((name.to_owned(), Commented(value, String::new())));
        }
        self
    }

    /// The same with words behind the action's release.
    pub(crate) fn comment(mut self, text: &str) -> Self {
        if let Some(Commented(_, comment)) = &mut self.uses {
            comment.push_str(text);
        }
        self
    }

    pub(crate) fn run<const N: usize>(
        name: &str,
        run: &'static str,
        env: [(&str, String); N],
    ) -> Self {
        Self {
            name: name.to_owned(),
            run: Some(run),
            env: Entries::of(env),
            ..Self::default()
        }
    }

    pub(crate) fn id(mut self, id: &'static str) -> Self {
        self.id = Some(id);
        self
    }

    pub(crate) fn also_after_failure(mut self) -> Self {
        self.r#if = Some("${{ !cancelled() }}");
        self
    }
}

/// A text from a pipeline file as a value of a workflow: GitHub evaluates `${{` wherever it stands, so it is written as an expression that gives itself.
pub(crate) fn literal(text: &str) -> String {
    text.replace("${{", "${{ '${{' }}")
}

/// A text inside an expression, as a string of its language.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A branch as a filter that matches it alone: filters are patterns.
pub(crate) fn filter(branch: &str) -> String {
    branch.chars().fold(String::new(), |mut out, character| {
        if "*?+[]!\\".contains(character) {
            out.push('\\');
        }
        out.push(character);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_names() {
        assert_eq!(
            literal("a ${{ github.token }}"),
            "a ${{ '${{' }} github.token }}"
        );
        assert_eq!(quoted("it's"), "'it''s'");
        assert_eq!(filter("release/*"), "release/\\*");
        assert_eq!(filter("main"), "main");
    }
}
