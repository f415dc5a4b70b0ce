//! The calls, and what every request is checked for.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use bytes::Bytes;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Uri};
use serde_json::{Map, Value, json};

use super::options::Options;
use super::query::{self, Filter, Page};
use super::state::Instance;
use super::user::User;
use super::{Backend, Call, error};
use crate::clerk::event::SignUp;
use crate::clock::Clock;
use crate::id;
use crate::service::{
    Api, DELETE, ErrorResponse, GET, PATCH, PUT, Route, bearer_token, is_json, route,
};

const API_VERSION: &str = "clerk-api-version";

type Outcome = Result<Json<Value>, ErrorResponse>;
type Pairs = Query<Vec<(String, String)>>;

impl Api for Instance {
    type Call = Call;
    type Options = Options;

    const PREFIXES: &'static [&'static str] = &["/v1/"];

    fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    fn clock(&self) -> Clock {
        self.options.clock
    }

    fn routes() -> Vec<Route<Self>> {
        let metadata = "/v1/users/{user_id}/metadata";
        vec![
            route(GET, "/v1/instance", Call::GetInstance, instance),
            route(GET, "/v1/users", Call::GetUserList, list),
            route(GET, "/v1/users/count", Call::GetUsersCount, count),
            route(GET, "/v1/users/{user_id}", Call::GetUser, get),
            route(PATCH, "/v1/users/{user_id}", Call::UpdateUser, update),
            route(DELETE, "/v1/users/{user_id}", Call::DeleteUser, delete),
            route(PATCH, metadata, Call::UpdateUserMetadata, merge_metadata),
            route(PUT, metadata, Call::ReplaceUserMetadata, replace_metadata),
        ]
    }

    /// The key first, then the version, then the limit of the whole API; the service's order is unknown.
    fn authorize(
        &mut self,
        _: Call,
        request: &Parts,
        _: &HashMap<String, String>,
    ) -> Result<(), ErrorResponse> {
        check_key(&self.options, &request.headers)?;
        let version = requested_version(&request.headers, &request.uri)?;
        if version.is_some_and(|version| version != self.options.api_version) {
            return Err(error::bad_version());
        }
        self.count_request()
    }

    /// `clerk_trace_id`.
    fn request_id(n: u64, _: &HeaderMap) -> String {
        id::text(b"0123456789abcdef", 32, &format!("clerk request {n}"))
    }

    fn error_body(error: &ErrorResponse, request_id: &str, _: &HeaderMap) -> Value {
        let (code, message) = (error::default_code(error.status), &error.message);
        let mut body = json!({ "code": code, "message": message, "long_message": message });
        for (member, value) in &error.details {
            body[member] = value.clone();
        }
        json!({ "errors": [body], "clerk_trace_id": request_id })
    }
}

/// `authentication_invalid` is a code of the service whose meaning is unknown. That it stands for a
/// request without credentials is a guess.
fn check_key(options: &Options, headers: &HeaderMap) -> Result<(), ErrorResponse> {
    if !headers.contains_key(AUTHORIZATION) {
        let message = "the request has no Authorization header";
        return Err(error::unauthorized("authentication_invalid", message));
    }
    match bearer_token(headers).filter(|key| !key.is_empty()) {
        None => {
            let message = "the Authorization header must be of the form 'Bearer <secret key>'";
            Err(error::unauthorized("authorization_header_format_invalid", message))
        }
        Some(key) if key == options.secret_key => Ok(()),
        Some(_) => Err(error::unauthorized("clerk_key_invalid", "the secret key is invalid")),
    }
}

/// The version that is asked for, in the header or in the query but not in both.
fn requested_version(headers: &HeaderMap, uri: &Uri) -> Result<Option<String>, ErrorResponse> {
    let in_header = headers.get(API_VERSION).map(|it| it.to_str().unwrap_or_default().to_owned());
    let Query(pairs) = Pairs::try_from_uri(uri)
        .map_err(|rejection| ErrorResponse::bad_request(rejection.body_text()))?;
    let in_query = pairs.into_iter().find(|(name, _)| name == query::API_VERSION);
    match (in_header, in_query) {
        (Some(_), Some(_)) => Err(error::bad_version()),
        (header, query) => Ok(header.or(query.map(|(_, version)| version))),
    }
}

async fn instance(State(backend): State<Backend>) -> Json<Value> {
    let options = &backend.state().options;
    Json(json!({
        "object": "instance",
        "id": options.instance_id,
        "environment_type": options.environment,
        "allowed_origins": null,
        "workspace_id": null,
    }))
}

async fn list(State(backend): State<Backend>, Query(pairs): Pairs) -> Outcome {
    let page = Page::read(&pairs)?;
    Ok(Json(backend.state().page(&page)?.into_iter().map(User::object).collect()))
}

async fn count(State(backend): State<Backend>, Query(pairs): Pairs) -> Outcome {
    let count = backend.state().count(&Filter::read(&pairs)?);
    Ok(Json(json!({ "object": "total_count", "total_count": count })))
}

async fn get(State(backend): State<Backend>, Path(user_id): Path<String>) -> Outcome {
    Ok(Json(backend.state().user(&user_id)?.object()))
}

/// Of the attributes the stand-in knows only the names, and refuses the others. The service refuses metadata, too.
async fn update(
    State(backend): State<Backend>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Outcome {
    change(&backend, &user_id, &headers, &body, |user, name, value, _| {
        let member = match name {
            "first_name" => &mut user.first_name,
            "last_name" => &mut user.last_name,
            _ => return Err(error::unknown_parameter(name)),
        };
        let Value::String(value) = value else { return Err(error::wrong_type(name)) };
        *member = value;
        Ok(())
    })
}

async fn merge_metadata(
    State(backend): State<Backend>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Outcome {
    change(&backend, &user_id, &headers, &body, |user, name, given, most| {
        change_metadata(user, name, given, most, merge)
    })
}

/// Each kind that is given takes the place of the old one. That nulls in it are kept is a guess.
async fn replace_metadata(
    State(backend): State<Backend>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Outcome {
    change(&backend, &user_id, &headers, &body, |user, name, given, most| {
        change_metadata(user, name, given, most, |kind, given| *kind = given)
    })
}

/// Changes one kind of metadata, which may have `most` bytes afterwards.
fn change_metadata(
    user: &mut SignUp,
    name: &str,
    given: Value,
    most: usize,
    change: impl FnOnce(&mut Value, Value),
) -> Result<(), ErrorResponse> {
    let kind = match name {
        "public_metadata" => &mut user.public_metadata,
        "private_metadata" => &mut user.private_metadata,
        "unsafe_metadata" => &mut user.unsafe_metadata,
        _ => return Err(error::unknown_parameter(name)),
    };
    if !given.is_object() {
        return Err(error::wrong_type(name));
    }
    change(kind, given);
    if kind.to_string().len() > most {
        return Err(error::too_large(name));
    }
    Ok(())
}

/// Merges objects at every depth. A null removes its key; everything else, arrays too, replaces the old value.
fn merge(into: &mut Value, given: Value) {
    let Value::Object(given) = given else {
        *into = given;
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in given {
        match (value, into.as_object_mut()) {
            (Value::Null, Some(members)) => drop(members.remove(&name)),
            (value, _) => merge(&mut into[name], value),
        }
    }
}

/// Changes a user by each member of the body. `change` is given the member, and the limit of metadata.
fn change(
    backend: &Backend,
    user_id: &str,
    headers: &HeaderMap,
    body: &[u8],
    change: impl Fn(&mut SignUp, &str, Value, usize) -> Result<(), ErrorResponse>,
) -> Outcome {
    let body = members(headers, body)?;
    let changed = backend.state().change(user_id, user_agent(headers), |user, options| {
        let most = options.most_metadata;
        body.into_iter().try_for_each(|(name, value)| change(user, &name, value, most))
    });
    changed.map(Json)
}

async fn delete(
    State(backend): State<Backend>,
    Path(user_id): Path<String>,
    headers: HeaderMap,
) -> Outcome {
    backend.state().delete(&user_id, user_agent(&headers)).map(Json)
}

fn user_agent(headers: &HeaderMap) -> &str {
    headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The members of a body. An empty body has none: the vendor's document does not require one for metadata.
fn members(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, ErrorResponse> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    if is_json(headers) != Some(true) {
        return Err(error::bad_content_type());
    }
    serde_json::from_slice(body).map_err(|_| error::bad_body())
}
