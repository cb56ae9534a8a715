//! Lists in pages: tags, repositories.

use hyper::Request;
use hyper::body::Incoming;
use serde_json::json;

use super::super::answer::{self, Answer, with};
use super::{CATALOG, parameter};
use crate::daemon::cloud::Cloud;
use crate::ecr::registry::Refusal;

/// How many items a page has, and after which item it begins.
fn page(request: &Request<Incoming>) -> Result<(usize, Option<String>), Refusal> {
    let limit = match parameter(request, "n") {
        None => 1000,
        Some(n) => n
            .parse::<usize>()
            .ok()
            .filter(|n| (1..=1000).contains(n))
            .ok_or_else(|| {
                Refusal::new(
                    400,
                    "PAGINATION_NUMBER_INVALID",
                    "'n' must be between 1 and 1000",
                )
            })?,
    };
    Ok((limit, parameter(request, "last")))
}

/// The answer with the address of the next page, when there is one.
fn paged(answer: Answer, path: &str, limit: usize, last: Option<&&str>, more: bool) -> Answer {
    match last {
        Some(last) if more => {
            let next = format!("<{path}?n={limit}&last={last}>; rel=\"next\"");
            with(answer, "link", &next)
        }
        _ => answer,
    }
}

pub(super) fn tags(
    cloud: &Cloud,
    name: &str,
    request: &Request<Incoming>,
) -> Result<Answer, Refusal> {
    let (limit, last) = page(request)?;
    let models = cloud.models();
    let (tags, more) = models
        .ecr
        .tags(name, last.as_deref(), limit, &cloud.place)?;
    let answer = answer::json(200, &json!({"name": name, "tags": tags}));
    let path = format!("/v2/{name}/tags/list");
    Ok(paged(answer, &path, limit, tags.last(), more))
}

pub(super) fn catalog(cloud: &Cloud, request: &Request<Incoming>) -> Result<Answer, Refusal> {
    let (limit, last) = page(request)?;
    let models = cloud.models();
    let (names, more) = models.ecr.catalog(last.as_deref(), limit);
    let answer = answer::json(200, &json!({"repositories": names}));
    Ok(paged(answer, CATALOG, limit, names.last(), more))
}
