//! The headers and the body of a request.

use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::Value;

use super::error::{bad_request, error};
use crate::service::ErrorResponse;

/// The end of the header's name.
const CONNECTION_STRING: &str = "connection-string";

const MOST_QUERIES: usize = 100;
const MOST_PARAMETERS: usize = 65_535;

/// The user, the password and the database.
pub(super) struct ConnectionString {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) database: String,
    host: String,
}

impl ConnectionString {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, ErrorResponse> {
        let name = headers.keys().find(|name| name.as_str().ends_with(CONNECTION_STRING));
        let text = name.and_then(|name| headers[name].to_str().ok());
        text.and_then(Self::parse).ok_or_else(|| {
            let message = "missing or invalid connection string";
            error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        ["postgresql", "postgres"].contains(&uri.scheme_str()?).then_some(())?;
        let (login, _) = uri.authority()?.as_str().rsplit_once('@')?;
        let (user, password) = login.split_once(':')?;
        Some(Self {
            user: user.to_owned(),
            password: password.to_owned(),
            database: uri.path().trim_start_matches('/').to_owned(),
            host: uri.host()?.to_owned(),
        })
    }

    /// The first label of the host, if that is a branch's.
    pub(super) fn branch_label(&self) -> Result<&str, ErrorResponse> {
        let label = self.host.split_once('.').filter(|(_, region)| region.contains('.'));
        label.map(|(label, _)| label).ok_or_else(|| {
            let message = format!("{} is not the host of a branch", self.host);
            error(StatusCode::BAD_REQUEST, "INVALID_HOST", message)
        })
    }
}

/// The form of the results, and the transaction of a batch.
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "there is nothing to run it on"))]
pub(super) struct Modes {
    pub(super) rows_as_arrays: bool,
    pub(super) raw_text: bool,
    /// `ISOLATION LEVEL …`, `READ ONLY`, `DEFERRABLE`, if the client asks for them.
    pub(super) transaction: String,
}

impl Modes {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, ErrorResponse> {
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let flag = |name: &str| match value(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(bad_request(format!("{name} must be true or false"))),
        };
        let mut transaction = match value("batch-isolation-level") {
            None => String::new(),
            Some("ReadCommitted") => " ISOLATION LEVEL READ COMMITTED".to_owned(),
            Some("ReadUncommitted") => " ISOLATION LEVEL READ UNCOMMITTED".to_owned(),
            Some("RepeatableRead") => " ISOLATION LEVEL REPEATABLE READ".to_owned(),
            Some("Serializable") => " ISOLATION LEVEL SERIALIZABLE".to_owned(),
            Some(_) => return Err(bad_request("unknown Batch-Isolation-Level")),
        };
        for (name, words) in
            [("batch-read-only", " READ ONLY"), ("batch-deferrable", " DEFERRABLE")]
        {
            if flag(name)? {
                transaction.push_str(words);
            }
        }
        let (rows_as_arrays, raw_text) = (flag("array-mode")?, flag("raw-text-output")?);
        Ok(Self { rows_as_arrays, raw_text, transaction })
    }
}

/// The body.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Request {
    /// One transaction.
    Batch { queries: Vec<Query> },
    /// The same.
    Bare(Vec<Query>),
    /// One query by itself.
    Single(Query),
}

/// One statement.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "there is nothing to run it on"))]
pub(super) struct Query {
    #[serde(rename = "query")]
    pub(super) text: String,
    #[serde(default)]
    pub(super) params: Vec<Value>,
    pub(super) array_mode: Option<bool>,
}

impl Request {
    pub(super) fn read(body: &[u8]) -> Result<Self, ErrorResponse> {
        let request: Self =
            serde_json::from_slice(body).map_err(|_| bad_request("invalid request body"))?;
        let queries = match &request {
            Self::Single(query) => std::slice::from_ref(query),
            Self::Batch { queries } | Self::Bare(queries) => queries,
        };
        if queries.len() > MOST_QUERIES {
            let message = format!("a batch has at most {MOST_QUERIES} queries");
            return Err(bad_request(message));
        }
        if queries.iter().any(|query| query.params.len() > MOST_PARAMETERS) {
            let message = format!("a query has at most {MOST_PARAMETERS} parameters");
            return Err(bad_request(message));
        }
        Ok(request)
    }
}
