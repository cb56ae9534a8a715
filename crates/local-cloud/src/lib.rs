//! An AWS for one machine: as much of ECS, ECR, SSM, Secrets Manager, CloudWatch Logs, STS and load balancing as a deployment needs.
//!
//! It is not a mock: tasks are processes made from the images that were pushed, behind a load balancer that takes requests. [`client`] starts and finds an
//! instance; [`daemon`] is one.

mod alarms;
pub mod balancer;
pub mod calls;
pub mod client;
pub mod daemon;
pub mod ecr;
pub mod ecs;
mod elb;
pub mod error;
mod faults;
mod files;
mod http;
mod iam;
pub mod identity;
pub mod instance;
mod issuer;
pub mod logs;
pub mod place;
pub mod postgres;
mod random;
pub mod runner;
mod scaling;
pub mod secrets;
mod services;
pub mod sigv4;
pub mod ssm;
mod sts;
mod tags;
pub mod task;
mod value_from;
mod view;

pub use view::View;
