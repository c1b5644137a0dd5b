use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};

/// A router that remembers what it serves, so that it can be compared with what is described.
pub(crate) struct Routes<S = ()> {
    pub(crate) router: Router<S>,
    pub(crate) served: Vec<Served>,
}

/// A method and a path as OpenAPI spells them: `get`, `/token/{id}`.
pub(crate) type Served = (&'static str, &'static str);

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub(crate) fn new() -> Self {
        Routes { router: Router::new(), served: Vec::new() }
    }

    pub(crate) fn get<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.on(MethodFilter::GET, ("get", path), handler)
    }

    pub(crate) fn post<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.on(MethodFilter::POST, ("post", path), handler)
    }

    pub(crate) fn patch<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.on(MethodFilter::PATCH, ("patch", path), handler)
    }

    pub(crate) fn delete<H: Handler<T, S>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.on(MethodFilter::DELETE, ("delete", path), handler)
    }

    fn on<H: Handler<T, S>, T: 'static>(mut self, filter: MethodFilter, served: Served, handler: H) -> Self {
        self.served.push(served);
        Routes { router: self.router.route(served.1, on(filter, handler)), ..self }
    }

    pub(crate) fn merge(mut self, other: Routes<S>) -> Self {
        self.served.extend(other.served);
        Routes { router: self.router.merge(other.router), ..self }
    }

    pub(crate) fn with_state<Rest>(self, state: S) -> Routes<Rest> {
        Routes { router: self.router.with_state(state), served: self.served }
    }
}
