//! `/tokens` and `/token/{id}` as klev's clients know them (contract/klev.md section 2), for whoever the authorizer lets.

mod problem;

pub(crate) use problem::Problem;

use crate::routes::Routes;
use crate::{body, reply};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use utoipa::{OpenApi, ToSchema};
use waybill_authorizer::{Acl, Action, Authorizer, Caller, Need, Shown, Subject, TokenUpdate};

/// Metadata and a list, with room for how JSON may spell them.
const BODY_LIMIT: usize = 256 * 1024;

/// What the endpoints take and answer.
#[derive(OpenApi)]
#[openapi(paths(list, create, show, update, delete))]
pub(crate) struct TokensDoc;

/// The routes.
pub(crate) fn routes(authorizer: Authorizer) -> Routes {
    Routes::new()
        .get("/tokens", list)
        .post("/tokens", create)
        .get("/token/{id}", show)
        .patch("/token/{id}", update)
        .delete("/token/{id}", delete)
        .with_state(Arc::new(authorizer))
}

/// What a new token is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// a note of yours, up to 4096 bytes
    metadata: Option<String>,
    /// what it allows, each `subject[:action[:object]]`; without it what the caller may do, but for `admin` and `event_hooks:lambda`
    acl: Option<Vec<String>>,
    /// confines it to a tenant; a caller that is confined makes tokens of its own tenant
    tenant: Option<String>,
}

/// What is to be different; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Changed {
    /// a note of yours, up to 4096 bytes
    metadata: Option<String>,
    /// what it allows
    acl: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Filter {
    metadata: Option<String>,
}

/// All that the caller reaches.
#[derive(Serialize)]
struct Tokens {
    tokens: Vec<Shown>,
}

/// What a token looks like, for the description.
#[derive(ToSchema)]
#[schema(as = Token)]
#[expect(dead_code, reason = "only its description is used; the type stands where tokens are")]
struct Described {
    /// `tok_` and a KSUID
    token_id: String,
    /// what its maker wrote about it
    metadata: String,
    /// what it allows
    acl: Vec<String>,
    /// the tenant that it is confined to
    tenant: Option<String>,
    /// the secret, in the answer to its making only
    bearer: Option<String>,
}

/// A list of them, for the description.
#[derive(ToSchema)]
#[schema(as = Tokens)]
#[expect(dead_code, reason = "only its description is used")]
struct DescribedList {
    /// the oldest first
    tokens: Vec<Described>,
}

/// What stands in the path, also where it is no text: no id is either.
struct Id(String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Infallible;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Id(Path::from_request_parts(head, state).await.map_or_else(|_| String::new(), |Path(id)| id)))
    }
}

type Tokened<T> = Result<Json<T>, Problem>;
type Asks = State<Arc<Authorizer>>;

#[utoipa::path(
    get,
    path = "/tokens",
    tag = "tokens",
    summary = "List tokens, the oldest first",
    params(("metadata" = Option<String>, Query, description = "only those with exactly this")),
    responses((status = 200, description = "those that the caller reaches", body = DescribedList))
)]
async fn list(State(authorizer): Asks, request: Request) -> Tokened<Tokens> {
    let (caller, head, _) = admit(&authorizer, request, Need::new(Subject::Tokens, Action::List)).await?;
    let Query(filter) = Query::<Filter>::try_from_uri(&head.uri)
        .map_err(|error| Problem::wrong("json-invalid", format_args!("the query cannot be read: {error}")))?;
    let found = authorizer.tokens().list(&caller, filter.metadata.as_deref())?;
    Ok(Json(Tokens { tokens: found.iter().map(|token| token.shown()).collect() }))
}

#[utoipa::path(
    post,
    path = "/tokens",
    tag = "tokens",
    summary = "Make a token",
    request_body = Wanted,
    responses(
        (status = 200, description = "with `bearer`, which cannot be had again", body = Described),
        (status = 403, description = "it would allow more than the caller may"),
    )
)]
async fn create(State(authorizer): Asks, request: Request) -> Tokened<Shown> {
    let (caller, head, body) = admit(&authorizer, request, Need::new(Subject::Tokens, Action::Create)).await?;
    let Wanted { metadata, acl, tenant } = read(&head, body).await?;
    let acl = acl.map(Acl::parse).transpose()?;
    let (token, bearer) = authorizer.tokens().create(&caller, metadata.unwrap_or_default(), acl, tenant).await?;
    Ok(Json(token.shown_with(&bearer)))
}

#[utoipa::path(
    get,
    path = "/token/{id}",
    tag = "tokens",
    summary = "Show a token",
    responses((status = 200, description = "it is there", body = Described), (status = 404, description = "it is not, or not the caller's tenant's"))
)]
async fn show(State(authorizer): Asks, Id(id): Id, request: Request) -> Tokened<Shown> {
    let (caller, ..) = admit(&authorizer, request, Need::new(Subject::Tokens, Action::Get).object(&id)).await?;
    Ok(Json(authorizer.tokens().get(&caller, id.parse()?)?.shown()))
}

#[utoipa::path(
    patch,
    path = "/token/{id}",
    tag = "tokens",
    summary = "Change what a token allows, or what is said about it",
    request_body = Changed,
    responses(
        (status = 200, description = "as it is now; its secret stays", body = Described),
        (status = 403, description = "it allows more than the caller may, or would"),
        (status = 404, description = "there is none, or not of the caller's tenant"),
    )
)]
async fn update(State(authorizer): Asks, Id(id): Id, request: Request) -> Tokened<Shown> {
    let (caller, head, body) =
        admit(&authorizer, request, Need::new(Subject::Tokens, Action::Update).object(&id)).await?;
    let Changed { metadata, acl } = read(&head, body).await?;
    let update = TokenUpdate { metadata, acl: acl.map(Acl::parse).transpose()? };
    Ok(Json(authorizer.tokens().update(&caller, id.parse()?, update).await?.shown()))
}

#[utoipa::path(
    delete,
    path = "/token/{id}",
    tag = "tokens",
    summary = "Delete a token",
    responses(
        (status = 200, description = "what it was; it opens nothing any more", body = Described),
        (status = 403, description = "it allows more than the caller may"),
        (status = 404, description = "there is none, or not of the caller's tenant"),
    )
)]
async fn delete(State(authorizer): Asks, Id(id): Id, request: Request) -> Tokened<Shown> {
    let (caller, ..) = admit(&authorizer, request, Need::new(Subject::Tokens, Action::Delete).object(&id)).await?;
    Ok(Json(authorizer.tokens().delete(&caller, id.parse()?).await?.shown()))
}

/// Lets the request in, or reads what the client still sends, so that it gets to see why not.
async fn admit(authorizer: &Authorizer, request: Request, need: Need<'_>) -> Result<(Caller, Parts, Body), Problem> {
    let (head, body) = request.into_parts();
    match authorizer.authorize(&head, need) {
        Ok(caller) => Ok((caller, head, body)),
        Err(refusal) => {
            body::discard(&head.headers, body).await;
            Err(refusal.into())
        }
    }
}

/// A JSON body that must be all that the endpoint knows.
async fn read<T: DeserializeOwned>(head: &Parts, body: Body) -> Result<T, Problem> {
    if let Err(problem) = expect_json(&head.headers) {
        body::discard(&head.headers, body).await;
        return Err(problem);
    }
    let unread = |reply::Refusal { status, text }| Problem::new(status, "json-invalid", text);
    let bytes: Bytes = body::read(&head.headers, body, BODY_LIMIT).await.map_err(unread)?;
    // As in all of our API: 400 for what is no JSON, 422 for what is none of ours, with the field.
    body::object(&bytes).map_err(unread)
}

fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let wrong = |code, text: &str| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, text);
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return Err(wrong("content-type-missing", "a body comes with `Content-Type: application/json`"));
    };
    let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(wrong("content-type-invalid", "the body has to be `Content-Type: application/json`"))
}
