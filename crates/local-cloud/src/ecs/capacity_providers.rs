//! Capacity providers: Fargate's two, which clusters are associated with and strategies name.
//!
//! Documented in the Amazon ECS API reference: *PutClusterCapacityProviders*, *CapacityProviderStrategyItem*. A strategy is checked, kept and told; all capacity is this machine.

use serde_json::{Map, Value, json};

use super::cluster::with_token;
use super::describe::missing;
use super::paging::page;
use super::request::{Request, invalid};
use super::task_definition::{DefinitionId, TaskDefinition};
use super::{Ecs, Result, names};

/// All that there are.
const PROVIDERS: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];
const DEFAULT: &str = "defaultCapacityProviderStrategy";

/// Where a task or service is to run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Placement {
    /// A launch type.
    Launch(String),
    /// A strategy, which is never empty.
    Strategy(Value),
}

/// Whether members say that tasks run on Fargate, by a launch type or by a strategy.
pub(super) fn on_fargate(members: &Map<String, Value>) -> bool {
    members
        .get("launchType")
        .is_some_and(|launch| launch == "FARGATE")
        || members
            .get("capacityProviderStrategy")
            .and_then(Value::as_array)
            .is_some_and(|strategy| !strategy.is_empty())
}

/// The version of Fargate's platform that a name stands for (*Fargate platform versions for Amazon ECS*).
pub(super) fn platform(version: &str) -> &str {
    match version {
        "LATEST" => "1.4.0",
        version => version,
    }
}

/// The provider of a strategy that the task after so many others goes to: first the bases, then in the proportion of the weights.
pub(super) fn provider(strategy: &Value, before: u64) -> Option<String> {
    let items: Vec<(&str, u64, u64)> = strategy
        .as_array()?
        .iter()
        .filter_map(|item| {
            let number = |member: &str| item[member].as_u64().unwrap_or(0);
            let name = item["capacityProvider"].as_str()?;
            Some((name, number("base"), number("weight")))
        })
        .collect();
    let mut rest = before;
    for (name, base, _) in &items {
        if rest < *base {
            return Some((*name).to_owned());
        }
        rest -= base;
    }
    let total: u64 = items.iter().map(|(_, _, weight)| weight).sum();
    let mut at = rest.checked_rem(total).unwrap_or(0);
    for (name, _, weight) in &items {
        if at < *weight {
            return Some((*name).to_owned());
        }
        at -= weight;
    }
    items.first().map(|(name, _, _)| (*name).to_owned())
}

/// Writes into a service's members where its tasks are to run.
pub(super) fn place(members: &mut Map<String, Value>, placement: Placement) {
    let (member, other, value) = match placement {
        Placement::Launch(launch) => ("launchType", "capacityProviderStrategy", launch.into()),
        Placement::Strategy(strategy) => ("capacityProviderStrategy", "launchType", strategy),
    };
    members.remove(other);
    members.insert(member.to_owned(), value);
}

/// Another strategy, or none again, for a service; whether that is a change. It is made by a new deployment only.
pub(super) fn change_placement(
    members: &mut Map<String, Value>,
    wanted: Option<Value>,
    force: bool,
) -> Result<bool> {
    if members.get("capacityProviderStrategy") == wanted.as_ref() {
        return Ok(false);
    }
    if !force {
        return Err(invalid(
            "When switching from launch type to capacity provider strategy on an existing service, or making a change to a capacity provider strategy on a service that is already using one, you must force a new deployment.",
        ));
    }
    // The strategies that there are lead to Fargate, and so it stays.
    let launch = || Placement::Launch("FARGATE".to_owned());
    place(members, wanted.map_or_else(launch, Placement::Strategy));
    if on_fargate(members) {
        members
            .entry("platformVersion")
            .or_insert_with(|| "LATEST".into());
    }
    Ok(true)
}

/// Tasks are spread anew over the zones unless there may be none above the desired count.
pub(super) fn rebalancing(request: Request<'_>) -> Result<&'static str> {
    let configuration = request.structure("deploymentConfiguration")?;
    let most = configuration.map_or(Ok(None), |one| one.count("maximumPercent", 100, 10_000))?;
    Ok(if most == Some(100) {
        "DISABLED"
    } else {
        "ENABLED"
    })
}

/// A strategy with the numbers that were left out.
fn filled_in(strategy: &[Value]) -> Value {
    let items = strategy.iter().map(|item| {
        let mut item = item.clone();
        for member in ["weight", "base"] {
            if item[member].is_null() {
                item[member] = 0.into();
            }
        }
        item
    });
    items.collect()
}

/// Refuses what is no strategy over these providers.
fn check(strategy: &[Value], associated: &[&str]) -> Result<()> {
    let name = |item: &Value| {
        item["capacityProvider"]
            .as_str()
            .map(names::last)
            .map(str::to_owned)
    };
    let known = |item: &Value| name(item).is_some_and(|name| associated.contains(&name.as_str()));
    if !strategy.iter().all(known) {
        return Err(invalid(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and try again.",
        ));
    }
    let number = |item: &Value, member: &str| item[member].as_u64().unwrap_or(0);
    let weighted = strategy.iter().filter(|item| number(item, "weight") > 0);
    if !strategy.is_empty() && strategy.len() > 1 && weighted.count() == 0 {
        return Err(invalid(
            "At least one capacity provider in a strategy must have a weight greater than 0.",
        ));
    }
    if strategy
        .iter()
        .filter(|item| number(item, "base") > 0)
        .count()
        > 1
    {
        return Err(invalid(
            "Only one capacity provider in a strategy can have a base.",
        ));
    }
    Ok(())
}

impl Ecs {
    /// Where a request wants its tasks: as it says, else by the cluster's default strategy, else on EC2.
    ///
    /// There are no instances here, but tasks of EC2 run all the same. So what cannot run on Fargate goes there, although the cluster's default leads to Fargate.
    pub(super) fn placement(
        &self,
        cluster: &str,
        request: Request<'_>,
        definition: &DefinitionId,
    ) -> Result<Placement> {
        let kinds = ["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"];
        let launch = request.choice("launchType", &kinds)?;
        let strategy = self.strategy(cluster, request)?;
        match (launch, strategy) {
            (Some(_), Some(_)) => Err(invalid(
                "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
            )),
            (Some(launch), None) => Ok(Placement::Launch(launch.to_owned())),
            (None, Some(strategy)) => Ok(Placement::Strategy(strategy)),
            (None, None) => {
                let default = self.clusters[cluster].members.get(DEFAULT);
                let fits = self
                    .definition(definition)
                    .is_some_and(TaskDefinition::supports_fargate);
                Ok(
                    match default.filter(|strategy| fits && **strategy != json!([])) {
                        Some(strategy) => Placement::Strategy(strategy.clone()),
                        None => Placement::Launch("EC2".to_owned()),
                    },
                )
            }
        }
    }

    /// The strategy of a request, checked and filled in; `None` when it names none or an empty one.
    pub(super) fn strategy(&self, cluster: &str, request: Request<'_>) -> Result<Option<Value>> {
        let strategy = request.list("capacityProviderStrategy")?;
        if strategy.is_empty() {
            return Ok(None);
        }
        let associated = self.clusters[cluster].members.get("capacityProviders");
        let associated = associated.and_then(Value::as_array).into_iter().flatten();
        let associated: Vec<&str> = associated.filter_map(Value::as_str).collect();
        check(strategy, &associated)?;
        Ok(Some(filled_in(strategy)))
    }

    /// Providers and default strategy of a cluster, as a request gives them.
    pub(super) fn read_providers(request: Request<'_>) -> Result<[(&'static str, Value); 2]> {
        let providers = request.texts("capacityProviders")?;
        for name in &providers {
            if !PROVIDERS.contains(&names::last(name)) {
                return Err(invalid(format!(
                    "The specified capacity provider '{name}' was not found. Specify a valid name or ARN and try again."
                )));
            }
        }
        let providers: Vec<&str> = providers.into_iter().map(names::last).collect();
        let strategy = request.list(DEFAULT)?;
        check(strategy, &providers)?;
        Ok([
            ("capacityProviders", json!(providers)),
            (DEFAULT, filled_in(strategy)),
        ])
    }

    pub(super) fn put_cluster_capacity_providers(&mut self, request: Request<'_>) -> Result<Value> {
        request.required("cluster")?;
        let name = self.cluster(request)?;
        let read = Self::read_providers(request)?;
        if let Some(cluster) = self.clusters.get_mut(&name) {
            for (member, value) in read {
                cluster.members.insert(member.to_owned(), value);
            }
        }
        Ok(self.whole_cluster(&name))
    }

    pub(super) fn describe_capacity_providers(&self, request: Request<'_>) -> Result<Value> {
        let wanted = request.texts("capacityProviders")?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        let arn = |name: &str| self.settings.arn(["capacity-provider/", name]);
        let all = if wanted.is_empty() {
            PROVIDERS.to_vec()
        } else {
            wanted
        };
        for name in all {
            let name = names::last(name);
            if PROVIDERS.contains(&name) {
                let view = json!({
                    "capacityProviderArn": arn(name),
                    "name": name,
                    "status": "ACTIVE",
                    "tags": [],
                });
                found.push(view);
            } else {
                failures.push(missing(&arn(name)));
            }
        }
        Ok(json!({"capacityProviders": found, "failures": failures}))
    }

    /// There are none.
    pub(super) fn list_container_instances(&self, request: Request<'_>) -> Result<Value> {
        self.cluster(request)?;
        let none = std::iter::empty::<(String, Value)>();
        let (arns, token) = page(none, false, request, 100, 100)?;
        Ok(with_token(json!({"containerInstanceArns": arns}), token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_go_to_the_base_first_and_then_by_weight() {
        let strategy = json!([
            {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
            {"capacityProvider": "FARGATE_SPOT", "base": 0, "weight": 2},
        ]);
        let on: Vec<bool> = (0..8)
            .map(|before| provider(&strategy, before).unwrap() == "FARGATE")
            .collect();
        assert_eq!(on, [true, true, true, false, false, true, false, false]);
        let alone = json!([{"capacityProvider": "FARGATE", "base": 0, "weight": 0}]);
        assert_eq!(provider(&alone, 5).as_deref(), Some("FARGATE"));
    }
}
