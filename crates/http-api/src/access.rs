//! Which routes are open to whom (contract/kumomta.md section 7.1, ARCHITECTURE.md section 8).

use crate::api::Clock;
use crate::auth::{AuthInfo, Authenticator, Identity};
use crate::body;
use crate::credentials::Shown;
use crate::reply::Refusal;
use crate::rights::Rights;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use waybill_authorizer::{Action, Authorizer, Connection, Decision, Need, Origin, Peer, Question, Subject, Verdict};

/// Who may use a route, as far as neither the operator's `get_acl_definition` nor KumoMTA's own list says otherwise
/// (`acl.rs`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Anybody: liveness.
    Anyone,
    /// Trusted hosts, and whoever authenticates: injection.
    Inject,
    /// Trusted hosts only; credentials do not help: KumoMTA's administration and metrics.
    Trusted,
    /// Whom the [`Authorizer`](waybill_authorizer::Authorizer) lets: what KumoMTA has not, and `trusted_hosts` does not open.
    /// The subject is `admin`. `GET` is `list`, or `get` where the path has a parameter, `DELETE` is `delete`, the others
    /// are `update`; the object is the first parameter of the path. Handlers find an `Extension<Caller>`, too.
    Control,
    /// Whom the router itself lets: each of its handlers asks the [`Authorizer`](waybill_authorizer::Authorizer), and says
    /// no in its API's own words. Nobody has asked before.
    Own,
}

/// What the guard of one router needs.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) access: Access,
    pub(crate) trusted: Arc<[IpNet]>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) authorizer: Authorizer,
    pub(crate) rights: Arc<Rights>,
    pub(crate) clock: Clock,
}

/// Lets a request through with an [`AuthInfo`], or answers it.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    let checked = match guard.access {
        Access::Own => return next.run(Request::from_parts(head, body)).await,
        Access::Control => guard.control(&mut head).await.map_err(refused),
        Access::Anyone | Access::Inject | Access::Trusted => guard.check(&head).await.map_err(not_proved),
    };
    match checked {
        Ok(who) => {
            head.extensions.insert(Arc::new(who));
            next.run(Request::from_parts(head, body)).await
        }
        Err(answer) => {
            body::discard(&head.headers, body).await;
            answer
        }
    }
}

/// The answer to a client of KumoMTA's own surface.
fn not_proved(refusal: Refusal) -> Response {
    let unauthorized = refusal.status == StatusCode::UNAUTHORIZED;
    let mut response = refusal.into_response();
    if unauthorized {
        let challenge = HeaderValue::from_static("Basic realm=\"waybill\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The answer to a client of what is new below `/api`: a text.
fn refused(refusal: waybill_authorizer::Refusal) -> Response {
    let mut response = Refusal::error(refusal.status(), refusal.message()).into_response();
    response.headers_mut().extend(refusal.headers());
    response
}

impl Guard {
    async fn check(&self, request: &Parts) -> Result<AuthInfo, Refusal> {
        let connection = request.extensions.get::<Connection>();
        let who = self.authenticator.authenticate(connection, &self.trusted, &request.headers).await;
        self.tell_identity(connection, request, who.as_ref());
        let who = who?;
        let allowed = match who.peer {
            // The operator.
            Peer::Admin => true,
            Peer::Ip(_) => {
                let via = connection.map_or("?", |connection| &*connection.via);
                let (path, method, now) = (request.uri.path(), &request.method, (self.clock)());
                self.rights.allow(&who, via, path, method, self.access, now).await?
            }
        };
        let refusal = (!allowed).then(|| not_permitted(&who, connection, request));
        // What is open to everybody is nothing that anybody decided.
        if self.access != Access::Anyone || !allowed {
            let question = || Question::Authorization {
                identities: who.identities(),
                groups: who.groups().map(str::to_owned).collect(),
                privilege: request.method.to_string(),
            };
            self.tell(connection, request, question, refusal.as_ref());
        }
        refusal.map_or(Ok(who), Err)
    }

    /// Whether credentials, where there are any, proved somebody.
    fn tell_identity(&self, connection: Option<&Connection>, request: &Parts, who: Result<&AuthInfo, &Refusal>) {
        let Some(shown) = Shown::of(&request.headers) else { return };
        let proved = who.ok().and_then(|who| who.identities().into_iter().next());
        let question = || Question::Authentication {
            mechanism: shown.mechanism,
            identity: proved.clone().or_else(|| shown.user.clone()),
        };
        self.tell(connection, request, question, who.err());
    }

    fn tell(
        &self,
        connection: Option<&Connection>,
        request: &Parts,
        question: impl FnOnce() -> Question,
        refusal: Option<&Refusal>,
    ) {
        self.authorizer.decisions().tell(|| Decision {
            question: question(),
            decision: if refusal.is_none() { Verdict::Allow } else { Verdict::Deny },
            reason: refusal.map(|refusal| refusal.text.clone()),
            resource: format!(
                "http_listener/{}{}",
                connection.map_or("?", |connection| &*connection.via),
                request.uri.path()
            ),
            peer_address: connection
                .map_or_else(|| Ipv4Addr::UNSPECIFIED.into(), |connection| connection.peer.address()),
            event_time: (self.clock)(),
        });
    }

    /// Leaves the caller in the request.
    async fn control(&self, request: &mut Parts) -> Result<AuthInfo, waybill_authorizer::Refusal> {
        let parameters = RawPathParams::from_request_parts(request, &()).await.ok();
        let object = parameters.as_ref().and_then(|all| all.iter().next()).map(|(_, value)| value.to_owned());
        let action = match &request.method {
            &Method::GET | &Method::HEAD if object.is_none() => Action::List,
            &Method::GET | &Method::HEAD => Action::Get,
            &Method::DELETE => Action::Delete,
            _ => Action::Update,
        };
        let need = Need::new(Subject::Admin, action);
        let need = object.as_deref().map_or(need, |object| need.object(object));
        let caller = self.authorizer.authorize(request, need)?;
        let names = match caller.origin() {
            Origin::Token(id) => vec![(id.to_string(), "Token".to_owned())],
            Origin::AdminSocket | Origin::ThisMachine => Vec::new(),
        };
        let identity = (!names.is_empty()).then(|| Arc::new(Identity { names, groups: Vec::new() }));
        let who = AuthInfo { peer: caller.peer(), trusted: caller.peer() == Peer::Admin, identity };
        request.extensions.insert(caller);
        Ok(who)
    }
}

/// 401 that ends as KumoMTA's does, with the reason in front.
fn not_permitted(who: &AuthInfo, connection: Option<&Connection>, request: &Parts) -> Refusal {
    let via = connection.map_or("?", |connection| &*connection.via);
    let name: String = who.name().chars().filter(|c| !c.is_control()).take(256).collect();
    let (method, path) = (&request.method, request.uri.path());
    // Whoever is trusted may do much, and not this: no POST, say, where there is only a GET.
    let trust = if who.trusted { "in" } else { "not in" };
    let text = format!("{name} ({trust} trusted_hosts) not permitted {method} on http_listener/{via}{path}");
    Refusal::new(StatusCode::UNAUTHORIZED, text)
}
