//! The calls, and what every request is checked for.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde_json::{Value, json};

use super::options::{OLD_VERSION, Options, VERSION};
use super::state::{Project, Role, Secrets};
use super::{Admin, Call};
use crate::clock::Clock;
use crate::service::{Api, ErrorResponse, GET, PUT, Route, bearer_token, route};

type Parameters = Path<HashMap<String, String>>;
type Pairs = Query<Vec<(String, String)>>;
type Outcome = Result<Json<Value>, ErrorResponse>;

impl Api for Project {
    type Call = Call;
    type Options = Options;

    const PREFIXES: &'static [&'static str] = &["/2026-09-01/", "/2025-07-01/"];

    fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    fn clock(&self) -> Clock {
        self.options.clock
    }

    fn routes() -> Vec<Route<Self>> {
        let connections_path = "/{version}/connections";
        let connection_path = "/{version}/connections/{id}";
        let enable_path = "/{version}/connections/{id}/enable";
        let (sources, source) = ("/{version}/sources", "/{version}/sources/{id}");
        let (destinations, destination) =
            ("/{version}/destinations", "/{version}/destinations/{id}");
        vec![
            route(GET, connections_path, Call::GetConnections, connections),
            route(PUT, connections_path, Call::UpsertConnection, upsert_connection),
            route(GET, connection_path, Call::GetConnection, connection),
            route(PUT, enable_path, Call::EnableConnection, enable),
            route(GET, sources, Call::GetSources, endpoints::<true>),
            route(PUT, sources, Call::UpsertSource, upsert_endpoint::<true>),
            route(GET, source, Call::GetSource, endpoint::<true>),
            route(GET, destinations, Call::GetDestinations, endpoints::<false>),
            route(PUT, destinations, Call::UpsertDestination, upsert_endpoint::<false>),
            route(GET, destination, Call::GetDestination, endpoint::<false>),
        ]
    }

    /// The version first, which is part of the path, then the key; the service's order is unknown.
    fn authorize(
        &mut self,
        _: Call,
        request: &Parts,
        parameters: &HashMap<String, String>,
    ) -> Result<(), ErrorResponse> {
        if ![VERSION, OLD_VERSION].contains(&&*parameters["version"]) {
            return Err(ErrorResponse::not_found("there is no such version"));
        }
        if key(&request.headers).is_none_or(|key| key != self.options.api_key) {
            return Err(ErrorResponse::unauthorized("the API key is missing or invalid"));
        }
        Ok(())
    }

    /// The texts are ours: clients read status and code, which is the name of the status.
    fn error_body(error: &ErrorResponse, _: &str, _: &HeaderMap) -> Value {
        let name = error.status.canonical_reason().unwrap_or_default();
        json!({
            "code": name.to_ascii_uppercase().replace(' ', "_"),
            "status": error.status.as_u16(),
            "message": error.message,
            "data": null,
        })
    }
}

/// The key as a bearer token, or as the user name of Basic with an empty password.
fn key(headers: &HeaderMap) -> Option<String> {
    if let Some(token) = bearer_token(headers) {
        return Some(token.to_owned());
    }
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then_some(())?;
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    pair.strip_suffix(':').map(str::to_owned)
}

/// The filters of a list. The service ignores those that it does not know.
struct Filters(Vec<(String, String)>);

impl Filters {
    /// The values of a filter, which may be given as `name`, `name[]` or `name[0]`.
    fn all(&self, name: &str) -> Vec<&str> {
        let is_it = |given: &str| given.split('[').next() == Some(name);
        self.0.iter().filter(|(given, _)| is_it(given)).map(|(_, value)| value.as_str()).collect()
    }

    fn admits(&self, name: &str, value: &Value) -> bool {
        let wanted = self.all(name);
        wanted.is_empty() || wanted.iter().any(|it| value == it)
    }

    /// A page with those that are admitted; disabled ones only if the client asks for them.
    fn page(&self, models: Vec<Value>, is_admitted: impl Fn(&Value) -> bool) -> Outcome {
        let limit = self.all("limit").first().map_or(Ok(100), |limit| limit.parse::<usize>());
        let limit = limit.ok().filter(|limit| *limit <= 255);
        let limit = limit.ok_or_else(|| ErrorResponse::unprocessable("limit must be 0 to 255"))?;
        let with_disabled = self.all("disabled") == ["true"];
        let models: Vec<_> = models
            .into_iter()
            .filter(|it| (with_disabled || it["disabled_at"].is_null()) && is_admitted(it))
            .take(limit)
            .collect();
        let pagination = json!({ "order_by": "created_at", "dir": "desc", "limit": limit });
        Ok(Json(json!({ "pagination": pagination, "count": models.len(), "models": models })))
    }
}

async fn connections(State(admin): State<Admin>, Query(query): Pairs) -> Outcome {
    let filters = Filters(query);
    let state = admin.state();
    let connections = state.connections.iter();
    let models = connections.map(|it| state.show_connection(it, Secrets::Masked)).collect();
    filters.page(models, |it| {
        filters.admits("name", &it["name"])
            && filters.admits("source_id", &it["source"]["id"])
            && filters.admits("destination_id", &it["destination"]["id"])
    })
}

async fn connection(State(admin): State<Admin>, Path(path): Parameters) -> Outcome {
    let state = admin.state();
    let connection = state.connection(&path["id"])?;
    Ok(Json(state.show_connection(connection, Secrets::Masked)))
}

async fn enable(State(admin): State<Admin>, Path(path): Parameters) -> Outcome {
    admin.state().enable(&path["id"]).map(Json)
}

async fn upsert_connection(
    State(admin): State<Admin>,
    Path(path): Parameters,
    body: Bytes,
) -> Outcome {
    admin.state().upsert_connection(&parsed(&body)?, &path["version"]).map(Json)
}

async fn endpoints<const IS_SOURCE: bool>(
    State(admin): State<Admin>,
    Query(query): Pairs,
) -> Outcome {
    let filters = Filters(query);
    let state = admin.state();
    let endpoints = state.endpoints(role(IS_SOURCE));
    let models = endpoints.map(|it| state.show_endpoint(it, Secrets::Masked)).collect();
    filters.page(models, |it| filters.admits("name", &it["name"]))
}

async fn endpoint<const IS_SOURCE: bool>(
    State(admin): State<Admin>,
    Path(path): Parameters,
    Query(query): Pairs,
) -> Outcome {
    let state = admin.state();
    let endpoint = state.endpoint(role(IS_SOURCE), &path["id"])?;
    let asks_for_auth = Filters(query).all("include").contains(&"config.auth");
    let is_shown = asks_for_auth && state.options.reveals_auth;
    let secrets = if is_shown { Secrets::Shown } else { Secrets::Masked };
    Ok(Json(state.show_endpoint(endpoint, secrets)))
}

async fn upsert_endpoint<const IS_SOURCE: bool>(
    State(admin): State<Admin>,
    Path(path): Parameters,
    body: Bytes,
) -> Outcome {
    let body = parsed(&body)?;
    admin.state().upsert_endpoint(role(IS_SOURCE), &body, &path["version"]).map(Json)
}

const fn role(is_source: bool) -> Role {
    if is_source { Role::Source } else { Role::Destination }
}

fn parsed(body: &[u8]) -> Result<Value, ErrorResponse> {
    serde_json::from_slice(body).map_err(|_| ErrorResponse::bad_request("the body is not JSON"))
}
