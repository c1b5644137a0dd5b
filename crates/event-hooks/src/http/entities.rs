//! Hooks are made, shown, changed and deleted.

use super::answer::{Refused, answer, nothing, ok};
use super::call::Call;
use crate::{HookError, Listed};
use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;
use waybill_types::Timestamp;

/// Hooks of a page where nobody says how many, and the most.
const SIZE: usize = 100;
const LARGEST: usize = 1000;

/// Where the next page begins: behind this hook, whether it is still there or not.
fn place(hook: &Listed) -> String {
    let (created, id) = hook.place();
    format!("{}.{id}", created.nanos())
}

fn parse_place(text: &str) -> Option<(Timestamp, Uuid)> {
    let (nanos, id) = text.split_once('.')?;
    Some((Timestamp::from_nanos(nanos.parse().ok()?), id.parse().ok()?))
}

pub(super) async fn list(call: Call) -> Result<Response<Body>, Refused> {
    let size = call.number("size", SIZE, LARGEST)?.max(1);
    let wrong = || HookError::Asked("offset: expected `offset` of the page before".to_owned());
    let after = call.asked("offset").map(|text| parse_place(text).ok_or_else(wrong)).transpose()?;
    let all = call.hooks.list(&call.caller);
    let rest = all.iter().filter(|hook| after.is_none_or(|after| hook.place() > after));
    let page: Vec<&Listed> = rest.clone().take(size).collect();
    let more = rest.count() > page.len();
    let mut found = json!({ "data": page.iter().map(|hook| hook.to_json()).collect::<Vec<Value>>(), "next": null });
    if let Some(last) = page.last().filter(|_| more) {
        let offset = place(last);
        found["next"] = format!("/event-hooks?size={size}&offset={offset}").into();
        found["offset"] = offset.into();
    }
    Ok(ok(&found))
}

pub(super) async fn create(call: Call) -> Result<Response<Body>, Refused> {
    let (document, encoding) = call.document()?;
    let hook = call.hooks.create(&call.caller, None, document, encoding).await?;
    Ok(answer(StatusCode::CREATED, &hook.to_json()))
}

pub(super) async fn get(call: Call) -> Result<Response<Body>, Refused> {
    Ok(ok(&call.hooks.show(&call.caller, call.id()?)?))
}

pub(super) async fn patch(call: Call) -> Result<Response<Body>, Refused> {
    let (document, encoding) = call.document()?;
    Ok(ok(&call.hooks.patch(&call.caller, call.id()?, document, encoding).await?.to_json()))
}

pub(super) async fn put(call: Call) -> Result<Response<Body>, Refused> {
    let (document, encoding) = call.document()?;
    Ok(ok(&call.hooks.put(&call.caller, call.id()?, document, encoding).await?.to_json()))
}

pub(super) async fn delete(call: Call) -> Result<Response<Body>, Refused> {
    call.hooks.delete(&call.caller, call.id()?).await?;
    Ok(nothing())
}
