//! Account settings: kept and told, and of no effect here.
//!
//! Documented in the Amazon ECS API reference, *PutAccountSetting*.

use serde_json::{Value, json};

use super::cluster::with_token;
use super::paging::page;
use super::request::{Request, invalid};
use super::{Ecs, Result};

/// The settings and the values that they have when nobody sets them.
const DEFAULTS: [(&str, &str); 11] = [
    ("awsvpcTrunking", "disabled"),
    ("containerInsights", "disabled"),
    ("containerInstanceLongArnFormat", "enabled"),
    ("defaultLogDriverMode", "non-blocking"),
    ("fargateEventWindows", "disabled"),
    ("fargateFIPSMode", "disabled"),
    ("fargateTaskRetirementWaitPeriod", "7"),
    ("guardDutyActivate", "on"),
    ("serviceLongArnFormat", "enabled"),
    ("tagResourceAuthorization", "off"),
    ("taskLongArnFormat", "enabled"),
];

fn known(name: &str) -> Result<&'static str> {
    let mut all = DEFAULTS.iter().map(|(known, _)| *known);
    all.find(|known| *known == name)
        .ok_or_else(|| invalid(format!("Setting name {name} is not valid.")))
}

impl Ecs {
    pub(super) fn put_account_setting(
        &mut self,
        request: Request<'_>,
        caller: &str,
    ) -> Result<Value> {
        let name = known(request.required("name")?)?;
        let value = request.required("value")?;
        self.account_settings
            .insert(name.to_owned(), value.to_owned());
        let principal = request.text("principalArn")?.unwrap_or(caller);
        Ok(json!({"setting": setting(name, value, principal)}))
    }

    pub(super) fn list_account_settings(
        &self,
        request: Request<'_>,
        caller: &str,
    ) -> Result<Value> {
        let name = request.text("name")?.map(known).transpose()?;
        let value = request.text("value")?;
        let effective = request.flag("effectiveSettings")?.unwrap_or(false);
        let principal = request.text("principalArn")?.unwrap_or(caller);
        let items = DEFAULTS
            .iter()
            .filter(|(known, _)| name.is_none_or(|name| name == *known))
            .filter_map(|(name, default)| {
                let set = self.account_settings.get(*name).map(String::as_str);
                let has = set.or(effective.then_some(*default))?;
                value
                    .is_none_or(|value| value == has)
                    .then(|| ((*name).to_owned(), setting(name, has, principal)))
            });
        let (settings, token) = page(items, false, request, 10, 10)?;
        Ok(with_token(json!({"settings": settings}), token))
    }
}

fn setting(name: &str, value: &str, principal: &str) -> Value {
    json!({"name": name, "value": value, "principalArn": principal, "type": "user"})
}
