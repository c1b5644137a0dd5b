//! Which events there are, and which happen.

use super::answer::{Refused, ok};
use super::call::Call;
use crate::{HookError, Place, Watch};
use axum::body::Body;
use axum::response::Response;
use serde_json::json;
use std::time::Duration;
use waybill_event_hooks_core::Filter;
use waybill_types::parse_duration;

/// The longest that somebody who watches may wait for an event.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(super) async fn all(call: Call) -> Result<Response<Body>, Refused> {
    Ok(ok(&call.hooks.catalogue().to_json()))
}

pub(super) async fn of_source(call: Call) -> Result<Response<Body>, Refused> {
    let found = call.hooks.catalogue().source_json(call.place(0));
    Ok(ok(&found.ok_or(HookError::NotFound)?))
}

pub(super) async fn one(call: Call) -> Result<Response<Body>, Refused> {
    let found = call.hooks.catalogue().event_json(call.place(0), call.place(1));
    Ok(ok(&found.ok_or(HookError::NotFound)?))
}

pub(super) async fn watch(call: Call) -> Result<Response<Body>, Refused> {
    let wrong = |field: &str, why: String| HookError::Asked(format!("{field}: {why}"));
    let filter = call.asked("filter").map(Filter::parse).transpose();
    let filter = filter.map_err(|error| wrong("filter", error.to_string()))?;
    let place = call.asked("after").map(|text| {
        text.parse::<Place>().map_err(|()| wrong("after", "expected `next` of the answer before".to_owned()))
    });
    let wait = call.asked("wait").map(|text| parse_duration(text).map_err(|why| wrong("wait", why.to_string())));
    let wait = wait.transpose()?.unwrap_or_default().min(LONGEST_WAIT);
    let text = |name: &str| call.asked(name).map(str::to_owned);
    let watch = Watch { source: text("source"), event: text("event"), filter };
    let (found, next) = call.hooks.watch(&call.caller, &watch, place.transpose()?, wait).await?;
    Ok(ok(&json!({ "data": found, "next": next.to_string() })))
}
