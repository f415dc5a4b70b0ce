//! The calls.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use bytes::Bytes;
use serde_json::{Value, json};

use super::Admin;
use super::refusal::Refusal;

type Parameters = Path<HashMap<String, String>>;
type Pairs = Query<Vec<(String, String)>>;
type Outcome = Result<Json<Value>, Refusal>;

/// What a list asks for. Filters that nobody knows are ignored silently (section 9).
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

    /// A page with those that are admitted; disabled ones only if they are asked for.
    fn page(
        &self,
        models: Vec<Value>,
        is_admitted: impl Fn(&Value) -> bool,
    ) -> Result<Json<Value>, Refusal> {
        let limit = self.all("limit").first().map_or(Ok(100), |limit| limit.parse::<usize>());
        let limit = limit.ok().filter(|limit| *limit <= 255);
        let limit = limit.ok_or_else(|| Refusal::unprocessable("limit must be 0 to 255"))?;
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

pub(super) async fn connections(State(admin): State<Admin>, Query(query): Pairs) -> Outcome {
    let filters = Filters(query);
    let models = admin.state().connections();
    filters.page(models, |it| {
        filters.admits("name", &it["name"])
            && filters.admits("source_id", &it["source"]["id"])
            && filters.admits("destination_id", &it["destination"]["id"])
    })
}

pub(super) async fn sources(State(admin): State<Admin>, Query(query): Pairs) -> Outcome {
    let filters = Filters(query);
    let models = admin.state().sources();
    filters.page(models, |it| filters.admits("name", &it["name"]))
}

pub(super) async fn destinations(State(admin): State<Admin>, Query(query): Pairs) -> Outcome {
    let filters = Filters(query);
    let models = admin.state().destinations();
    filters.page(models, |it| filters.admits("name", &it["name"]))
}

pub(super) async fn connection(State(admin): State<Admin>, Path(path): Parameters) -> Outcome {
    admin.state().connection(&path["id"]).map(Json)
}

pub(super) async fn source(
    State(admin): State<Admin>,
    Path(path): Parameters,
    Query(query): Pairs,
) -> Outcome {
    admin.state().source(&path["id"], includes_auth(query)).map(Json)
}

pub(super) async fn destination(
    State(admin): State<Admin>,
    Path(path): Parameters,
    Query(query): Pairs,
) -> Outcome {
    admin.state().destination(&path["id"], includes_auth(query)).map(Json)
}

fn includes_auth(query: Vec<(String, String)>) -> bool {
    Filters(query).all("include").contains(&"config.auth")
}

pub(super) async fn enable(State(admin): State<Admin>, Path(path): Parameters) -> Outcome {
    admin.state().enable(&path["id"]).map(Json)
}

pub(super) async fn upsert_connection(
    State(admin): State<Admin>,
    Path(path): Parameters,
    body: Bytes,
) -> Outcome {
    admin.state().upsert_connection(&parsed(&body)?, &path["version"]).map(Json)
}

pub(super) async fn upsert_source(State(admin): State<Admin>, body: Bytes) -> Outcome {
    admin.state().upsert_source(&parsed(&body)?).map(Json)
}

pub(super) async fn upsert_destination(
    State(admin): State<Admin>,
    Path(path): Parameters,
    body: Bytes,
) -> Outcome {
    admin.state().upsert_destination(&parsed(&body)?, &path["version"]).map(Json)
}

fn parsed(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::bad_request("the body is not JSON"))
}
