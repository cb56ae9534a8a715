//! ARNs of IAM roles, and what is written in their place.

/// What is wrong with a role that is named by ARN; none when nothing is, or when it cannot be told before it is filled in.
pub(super) fn role_problem(role: &str) -> Option<String> {
    let Some(rest) = role.strip_prefix("arn:") else {
        // RegisterTaskDefinition also takes a role's bare name.
        return None;
    };
    let parts: Vec<&str> = rest.splitn(5, ':').collect();
    match parts.as_slice() {
        [_, "iam", "", _, resource] if resource.starts_with("role/") => None,
        [_, "iam", "", _, resource] if resource.starts_with("policy/") => {
            Some("this is the ARN of a policy, which is attached to a role".to_owned())
        }
        _ if role.contains("${") => None,
        _ => Some("this is not the ARN of an IAM role".to_owned()),
    }
}

/// Account of an ARN; none when it has none or is filled in later.
pub(super) fn account(arn: &str) -> Option<&str> {
    let account = arn.split(':').nth(4)?;
    (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_told_from_policies_and_the_rest() {
        for (role, good) in [
            ("arn:aws:iam::123456789012:role/x", true),
            ("arn:aws-cn:iam::123456789012:role/path/x", true),
            ("arn:aws:iam::${account}:role/x", true),
            ("ecsTaskExecutionRole", true),
            (
                "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
                false,
            ),
            ("arn:aws:iam::123456789012:user/x", false),
            ("arn:aws:s3:::bucket", false),
            ("arn:", false),
        ] {
            assert_eq!(role_problem(role).is_none(), good, "{role}");
        }
        assert_eq!(
            account("arn:aws:iam::123456789012:role/x"),
            Some("123456789012")
        );
        assert_eq!(account("arn:aws:iam::${account}:role/x"), None);
    }
}
