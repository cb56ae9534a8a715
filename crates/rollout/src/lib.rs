//! The rollout: from facts to a plan, from a plan to events, from observations to a verdict.
//!
//! No clock and no network here: both come in through [`execute::Cloud`]. So the same decisions are made against AWS, against the AWS of one machine and in a simulation.

pub mod cause;
pub mod compare;
pub mod execute;
pub mod facts;
pub mod mask;
pub mod next;
pub mod plan;
pub mod preflight;
pub mod receipt;
pub mod tail;
mod threshold;
pub mod verdict;
pub mod words;
