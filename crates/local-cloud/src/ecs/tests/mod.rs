//! The model's behaviour through its public door, with a scripted runner and a virtual clock.

mod api;
mod breaker;
mod failures;
mod guards;
mod operations;
mod ordering;
mod placement;
mod properties;
mod rollout;
mod scenarios;
mod tasks;
mod wire;
mod world;
