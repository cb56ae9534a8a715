//! IAM's policy documents.

use std::collections::BTreeMap;

use serde::Serialize;

/// Operator, key, values.
pub type Conditions = BTreeMap<&'static str, BTreeMap<String, Vec<String>>>;

/// A policy document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    /// Version of the policy language.
    pub version: &'static str,
    /// The statements.
    pub statement: Vec<Statement>,
}

/// One statement. All of them allow: what nothing allows is denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// Its name: letters and digits.
    pub sid: String,
    /// `Allow`.
    pub effect: &'static str,
    /// Who; only in a trust policy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub principal: BTreeMap<&'static str, String>,
    /// What.
    pub action: Vec<String>,
    /// On what; not in a trust policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<String>,
    /// When.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: Conditions,
}

impl Policy {
    /// A document of these statements.
    pub fn new(statement: Vec<Statement>) -> Self {
        Self {
            version: "2012-10-17",
            statement,
        }
    }
}

/// One condition.
pub(crate) fn condition(operator: &'static str, key: &str, value: &str) -> Conditions {
    Conditions::from([(
        operator,
        BTreeMap::from([(key.to_owned(), vec![value.to_owned()])]),
    )])
}
