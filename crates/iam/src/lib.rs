//! The IAM side of a pipeline: the role that a GitHub job takes on by OIDC, with exactly the permissions that `deploy` and `rollback` use; and what the tasks'
//! execution role needs. As data, as a CloudFormation template, as Terraform.
//!
//! Pure: services in, documents out. Every grant says why it is there; a test holds the policy against the calls that a recorded deployment and
//! rollback made, both ways.

mod cloudformation;
mod grants;
mod policy;
mod roles;
mod terraform;

pub use cloudformation::cloudformation;
pub use policy::{Policy, Statement};
pub use roles::{Input, Problem, Role, Roles, roles};
pub use terraform::terraform;
