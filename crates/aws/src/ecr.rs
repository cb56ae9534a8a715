//! ECR: the repository, and the password for its registry.

use std::fmt;

use aws_sdk_ecr::operation::create_repository::CreateRepositoryError;
use aws_sdk_ecr::operation::describe_repositories::DescribeRepositoriesError;
use base64::Engine as _;

use crate::connect::Aws;
use crate::error::Error;

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `host/name`, as image references begin.
    pub uri: String,
}

/// User and password of a registry, valid 12 hours.
#[derive(Clone)]
pub struct Token {
    /// User name; ECR's is `AWS`.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Aws {
    /// The repository of that name; none when there is none.
    pub async fn repository(&self, name: &str) -> Result<Option<Repository>, Error> {
        let answer = self
            .ecr
            .describe_repositories()
            .repository_names(name)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer
                .repositories()
                .first()
                .and_then(|repository| repository.repository_uri())
                .map(|uri| Repository {
                    uri: uri.to_owned(),
                })),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeRepositoriesError::is_repository_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(Error::new("ecr:DescribeRepositories", &error)),
        }
    }

    /// Creates a repository. One that is there already is as good.
    pub async fn create_repository(&self, name: &str) -> Result<Repository, Error> {
        let answer = self
            .ecr
            .create_repository()
            .repository_name(name)
            .send()
            .await;
        match answer {
            Ok(answer) => answer
                .repository()
                .and_then(|repository| repository.repository_uri())
                .map(|uri| Repository {
                    uri: uri.to_owned(),
                })
                .ok_or_else(|| Error::incomplete("ecr:CreateRepository", "repository URI")),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(CreateRepositoryError::is_repository_already_exists_exception) =>
            {
                self.repository(name)
                    .await?
                    .ok_or_else(|| Error::incomplete("ecr:DescribeRepositories", "repository"))
            }
            Err(error) => Err(Error::new("ecr:CreateRepository", &error)),
        }
    }

    /// GetAuthorizationToken.
    pub async fn registry_token(&self) -> Result<Token, Error> {
        let operation = "ecr:GetAuthorizationToken";
        let answer = self.ecr.get_authorization_token().send().await;
        let answer = answer.map_err(|error| Error::new(operation, &error))?;
        let data = answer.authorization_data().first();
        let token = data.and_then(|data| data.authorization_token());
        let decoded =
            token.and_then(|token| base64::engine::general_purpose::STANDARD.decode(token).ok());
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|text| text.split_once(':')) {
            Some((user, password)) => Ok(Token {
                user: user.to_owned(),
                password: password.to_owned(),
            }),
            None => Err(Error::incomplete(operation, "usable token")),
        }
    }
}
