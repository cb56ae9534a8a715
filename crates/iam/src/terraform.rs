//! The roles as Terraform.

use std::fmt::Write as _;

use serde_json::Value;

use crate::roles::{Role, Roles};

/// A file that makes the OIDC provider, unless the account has it, and the roles.
pub fn terraform(roles: &Roles) -> String {
    let mut out = format!(
        r#"# Longshore: the role that {purpose}. Written by `cargo xtask iam`.

terraform {{
  required_version = ">= 1.5"
  required_providers {{
    aws = {{
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }}
  }}
}}

variable "create_provider" {{
  type        = bool
  default     = true
  description = "An account has one provider for GitHub; false when it is there already"
}}

resource "aws_iam_openid_connect_provider" "github" {{
  count          = var.create_provider ? 1 : 0
  url            = {url}
  client_id_list = [{audience}]
}}
"#,
        purpose = roles.deploy.purpose,
        url = string(&format!("https://{}", roles.oidc_provider)),
        audience = string(roles.audience),
    );
    role(&mut out, "deploy", &roles.deploy);
    for (number, execution) in roles.execution.iter().enumerate() {
        let name = match number {
            0 => "execution".to_owned(),
            number => format!("execution_{}", number + 1),
        };
        role(&mut out, &name, execution);
    }
    out.push_str("\noutput \"deploy_role_arn\" {\n  description = \"`role` of the environment in pipeline.toml\"\n  value       = aws_iam_role.deploy.arn\n}\n");
    out
}

fn role(out: &mut String, label: &str, role: &Role) {
    let document = |policy| {
        let value = serde_json::to_value(policy).unwrap_or_default();
        let mut text = String::new();
        expression(&mut text, &value, 1);
        text
    };
    let _ = write!(
        out,
        r#"
resource "aws_iam_role" "{label}" {{
  name                 = {name}
  description          = {purpose}
  max_session_duration = {seconds}
  assume_role_policy = jsonencode({trust})
}}

resource "aws_iam_role_policy" "{label}" {{
  name   = {policy_name}
  role   = aws_iam_role.{label}.id
  policy = jsonencode({policy})
}}
"#,
        name = string(&role.name),
        purpose = string(&role.purpose),
        seconds = role.max_session_duration,
        trust = document(&role.trust_policy),
        policy_name = string(role.policy_name),
        policy = document(&role.policy),
    );
}

/// A JSON value as an expression of HCL.
fn expression(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            out.push_str("{\n");
            for (name, member) in members {
                let _ = write!(out, "{indent}  {} = ", string(name));
                expression(out, member, depth + 1);
                out.push('\n');
            }
            let _ = write!(out, "{indent}}}");
        }
        Value::Array(items) => {
            out.push_str("[\n");
            for item in items {
                let _ = write!(out, "{indent}  ");
                expression(out, item, depth + 1);
                out.push_str(",\n");
            }
            let _ = write!(out, "{indent}]");
        }
        Value::String(text) => out.push_str(&string(text)),
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// A string of HCL, in which nothing is a template.
fn string(text: &str) -> String {
    let mut out = String::from("\"");
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' | '%' if characters.peek() == Some(&'{') => {
                out.push(character);
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_string_is_a_template() {
        assert_eq!(
            string("a \"b\" ${c} %{d} $e\\"),
            "\"a \\\"b\\\" $${c} %%{d} $e\\\\\""
        );
    }
}
