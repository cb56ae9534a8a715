//! What Go's tools say about a service, as data: the events of `go test -json` become packages, tests and problems with a place; a problem says in one line what
//! went wrong.
//!
//! Pure: lines in, a [`Report`] out, and the report as JUnit. Programs are run by whoever uses this.

mod collect;
mod diagnose;
mod junit;
mod output;
mod report;
mod tools;

pub use collect::{Collected, Collector};
pub use junit::junit;
pub use report::{Kind, Outcome, Package, Place, Problem, Report, Step, TestCase, report_schema};
pub use tools::{Sources, untidy, verify, vet, vulnerabilities};
