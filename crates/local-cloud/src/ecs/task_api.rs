//! The calls that run, stop, list and show tasks.

use serde_json::{Value, json};

use super::blueprint;
use super::capacity_providers::{Placement, platform, provider};
use super::cluster::with_token;
use super::describe::{missing, object};
use super::paging::page;
use super::request::{Request, invalid};
use super::tags::{self, managed_tags};
use super::task_life::{By, NewTask};
use super::task_state::{StopCode, Task};
use super::{Ecs, Result, names, network, tokens};
use crate::task::Millis;

impl Ecs {
    pub(super) fn run_task(&mut self, request: Request<'_>, now: Millis) -> Result<Value> {
        let cluster = self.cluster(request)?;
        let token = tokens::read(request, 64)?;
        let whole = Value::Object(request.members().clone());
        if let Some(token) = token
            && let Some(ids) = self.tokens.find(&cluster, token, &whole, now)?
        {
            let tasks = ids.iter().filter_map(|id| self.tasks.get(id));
            let tasks: Vec<Value> = tasks.map(|task| self.task_view(task, true)).collect();
            return Ok(object([("tasks", tasks.into()), ("failures", json!([]))]));
        }
        let definition = self.usable_definition(request.required("taskDefinition")?)?;
        let number = request.count("count", 1, 10)?.unwrap_or(1);
        let Some(found) = self.definition(&definition) else {
            return Ok(json!({"tasks": [], "failures": []}));
        };
        if found.is_awsvpc() && request.value("networkConfiguration").is_none() {
            return Err(invalid(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ));
        }
        let placement = self.placement(&cluster, request, &definition)?;
        let launch = match &placement {
            Placement::Launch(launch) => launch,
            // The strategies that there are lead to Fargate.
            Placement::Strategy(_) => "FARGATE",
        };
        let given = request.value("overrides");
        blueprint::overrides(given, found)?;
        let mut tags = self.propagated(request.text("propagateTags")?, &definition, None);
        if request.flag("enableECSManagedTags")? == Some(true) {
            tags.extend(managed_tags(&cluster, None));
        }
        tags.extend(tags::read(request, "tags")?);
        let started_by = request.text("startedBy")?;
        if started_by.is_some_and(|by| by.len() > 128) {
            return Err(invalid("startedBy may have 128 characters."));
        }
        let group = match request.text("group")? {
            Some(group) => group.to_owned(),
            None => format!("family:{}", definition.family),
        };
        let version = request.text("platformVersion")?;
        let version = version.or((launch == "FARGATE").then_some("LATEST"));
        let version = version.map(platform);
        let fits = number.min(self.places());
        let failures: Vec<Value> = (fits..number).map(|_| self.no_place(launch)).collect();
        let (mut tasks, mut ids) = (Vec::new(), Vec::new());
        for before in 0..fits {
            let overrides = match self.definition(&definition) {
                Some(found) => blueprint::overrides(given, found)?,
                None => Vec::new(),
            };
            let new = NewTask {
                cluster: cluster.clone(),
                definition: definition.clone(),
                membership: None,
                started_by: started_by.map(str::to_owned),
                group: group.clone(),
                launch_type: launch.to_owned(),
                provider: match &placement {
                    Placement::Launch(_) => None,
                    Placement::Strategy(strategy) => provider(strategy, before),
                },
                platform_version: version.map(str::to_owned),
                subnet: network::subnet(request.value("networkConfiguration")),
                given_overrides: given.cloned(),
                overrides,
                tags: tags.clone(),
                targets: Vec::new(),
            };
            let id = self.new_task(new, now);
            tasks.push(self.task_view(&self.tasks[&id], true));
            ids.push(id);
        }
        if let Some(token) = token.filter(|_| !ids.is_empty()) {
            self.tokens.remember(&cluster, token, whole, ids, now);
        }
        Ok(object([
            ("tasks", tasks.into()),
            ("failures", failures.into()),
        ]))
    }

    pub(super) fn stop_task(&mut self, request: Request<'_>, now: Millis) -> Result<Value> {
        let cluster = self.cluster(request)?;
        let name = request.required("task")?;
        let id = self
            .find_task(&cluster, name)
            .map(|task| task.id.clone())
            .ok_or_else(|| invalid("The referenced task was not found."))?;
        let reason = request.text("reason")?.unwrap_or("Task stopped by user");
        if reason.len() > 1_024 {
            return Err(invalid("reason may have 1024 characters."));
        }
        self.begin_stop(
            &id,
            StopCode::UserInitiated,
            reason.to_owned(),
            By::Decision,
            now,
        );
        Ok(object([("task", self.task_view(&self.tasks[&id], true))]))
    }

    fn find_task(&self, cluster: &str, name: &str) -> Option<&Task> {
        let task = self.tasks.get(names::last(name))?;
        (task.cluster == cluster).then_some(task)
    }

    pub(super) fn list_tasks(&self, request: Request<'_>) -> Result<Value> {
        let cluster = self.cluster(request)?;
        let statuses = ["RUNNING", "PENDING", "STOPPED"];
        let status = request
            .choice("desiredStatus", &statuses)?
            .unwrap_or("RUNNING");
        let family = request.text("family")?;
        let started_by = request.text("startedBy")?;
        let launch = request.text("launchType")?;
        let service = match request.text("serviceName")? {
            Some(_) => Some(self.service_key(request, "serviceName")?),
            None => None,
        };
        // There are no container instances, so that none has any tasks.
        let anywhere = request.value("containerInstance").is_none();
        let items = self
            .tasks
            .values()
            .filter(|task| {
                anywhere
                    && task.cluster == cluster
                    && match status {
                        "RUNNING" => task.stop.is_none(),
                        "STOPPED" => task.stop.is_some(),
                        // ECS never wants a task to be pending.
                        _ => false,
                    }
                    && family.is_none_or(|family| task.definition.family == family)
                    && started_by.is_none_or(|by| task.started_by.as_deref() == Some(by))
                    && launch.is_none_or(|launch| task.launch_type == launch)
                    && service.is_none_or(|service| {
                        let member = task.membership.as_ref();
                        member.is_some_and(|member| member.service == service)
                    })
            })
            .map(|task| (task.id.clone(), self.task_arn(&cluster, &task.id)));
        let (arns, token) = page(items, false, request, 100, 100)?;
        Ok(with_token(object([("taskArns", arns.into())]), token))
    }

    pub(super) fn describe_tasks(&self, request: Request<'_>) -> Result<Value> {
        let cluster = self.cluster(request)?;
        let with_tags = request.includes("TAGS")?;
        let wanted = request.texts("tasks")?;
        if wanted.is_empty() {
            return Err(invalid("Tasks cannot be empty."));
        }
        if wanted.len() > 100 {
            return Err(invalid("Tasks cannot exceed 100 elements."));
        }
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for name in wanted {
            match self.find_task(&cluster, name) {
                Some(task) => tasks.push(self.task_view(task, with_tags)),
                None => failures.push(missing(&self.task_arn(&cluster, names::last(name)))),
            }
        }
        Ok(object([
            ("tasks", tasks.into()),
            ("failures", failures.into()),
        ]))
    }
}
