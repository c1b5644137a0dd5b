//! klev's API at the root of a listener: what [`ROUTES`] names, and nothing else.

mod answer;
mod call;
mod gate;
mod gives;
mod late;
mod routes;

pub use answer::answer_error;
pub use gate::{Denied, Gate, Want};
pub use gives::Given;
pub use late::Late;
pub use routes::{ROUTES, Route, Takes};

use answer::Refused;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use call::Call;
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_streams_core::{Code, Error, Reach};

/// Makes the router. It has no fallback: unknown paths are the listener's business ([`answer_error`] makes klev's
/// answer). Until `late` has been set every call is answered 503.
pub fn router(late: Late, gate: Arc<dyn Gate>) -> Router {
    let mut paths: BTreeMap<&'static str, MethodRouter> = BTreeMap::new();
    for route in ROUTES {
        let (late, gate) = (late.clone(), gate.clone());
        let handler = move |request: Request| async move { serve(route, &late, &*gate, request).await };
        let other = move |request: Request| async move { wrong_method(route.path, &request) };
        let methods = paths.remove(route.path).unwrap_or_else(|| MethodRouter::new().fallback(other));
        let method = Method::from_bytes(route.method.as_bytes()).ok();
        let methods = match method.and_then(|method| MethodFilter::try_from(method).ok()) {
            Some(filter) => methods.merge(on(filter, handler)),
            None => methods,
        };
        paths.insert(route.path, methods);
    }
    paths.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods))
}

fn wrong_method(path: &str, request: &Request) -> Response<Body> {
    let methods: Vec<&str> = ROUTES.iter().filter(|route| route.path == path).map(|route| route.method).collect();
    let (method, path) = (request.method(), request.uri().path());
    let why = format!("{method} {path}: no such method here, expected {}", methods.join(" or "));
    answer_error(&Error::new(Code::MethodNotAllowed, why))
}

async fn serve(route: &'static Route, late: &Late, gate: &dyn Gate, request: Request) -> Response<Body> {
    match answered(route, late, gate, request).await {
        Ok(answer) => answer,
        Err(refused) => refused.into_response(),
    }
}

async fn answered(
    route: &'static Route,
    late: &Late,
    gate: &dyn Gate,
    request: Request,
) -> Result<Response<Body>, Refused> {
    let (parts, body) = request.into_parts();
    let (id, object) = route.object(parts.uri.path());
    let want = Want { subject: route.subject, action: route.action, object: object.as_deref() };
    let reach = match route.takes {
        Takes::Signed => Reach::All,
        _ => gate.check(&parts, &want)?,
    };
    // Only now: who may not ask learns nothing of what there is.
    let id = id.transpose()?;
    let streams = late.get()?.within(reach);
    // On the heap: what reads a body is larger than all that waits behind it.
    let call = Box::pin(Call::read(route, streams, id, &parts, body)).await?;
    // The buffer that a request came in lives as long as its parts do.
    drop(parts);
    (route.handler)(call).await.map_err(Refused::from)
}
