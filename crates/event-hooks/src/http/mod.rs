//! The API at the root of a listener, as Kong's users know it: what [`ROUTES`] names, and nothing else.

mod actions;
mod answer;
mod call;
mod entities;
mod gives;
mod late;
mod routes;
mod sources;

pub use gives::Given;
pub use late::Late;
pub use routes::{ROUTES, Route};

use answer::Refused;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use call::Call;
use std::collections::BTreeMap;
use waybill_authorizer::{Authorizer, Need, Subject};

/// Makes the router. Unknown paths are the listener's business. Until `late` has been set every call is answered 503.
pub fn router(late: Late, authorizer: Authorizer) -> Router {
    let mut paths: BTreeMap<&'static str, MethodRouter> = BTreeMap::new();
    for route in ROUTES {
        let (late, authorizer) = (late.clone(), authorizer.clone());
        let handler = move |request: Request| async move { serve(route, &late, &authorizer, request).await };
        let methods = paths.remove(route.path).unwrap_or_default();
        let method = Method::from_bytes(route.method.as_bytes()).ok();
        let methods = match method.and_then(|method| MethodFilter::try_from(method).ok()) {
            Some(filter) => methods.merge(on(filter, handler)),
            None => methods,
        };
        paths.insert(route.path, methods);
    }
    paths.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods))
}

async fn serve(route: &'static Route, late: &Late, authorizer: &Authorizer, request: Request) -> Response<Body> {
    answered(route, late, authorizer, request).await.unwrap_or_else(Refused::into_response)
}

async fn answered(
    route: &'static Route,
    late: &Late,
    authorizer: &Authorizer,
    request: Request,
) -> Result<Response<Body>, Refused> {
    let (head, body) = request.into_parts();
    let places = call::places(route.path, head.uri.path());
    let need = Need::new(Subject::EventHooks, route.action);
    let object = route.is_about_one().then(|| places.first().map(String::as_str)).flatten();
    let need = object.map_or(need, |id| need.object(id));
    // First: who may not ask learns nothing of what there is.
    let caller = authorizer.authorize(&head, need)?;
    let hooks = late.get().ok_or_else(Refused::not_yet)?;
    let call = Call::read(hooks, caller, places, &head, body).await?;
    (route.handler)(call).await
}
