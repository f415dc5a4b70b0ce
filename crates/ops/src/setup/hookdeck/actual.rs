//! The actual state: what Hookdeck has.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::client::Client;
use crate::service::ApiError;

pub(super) const MAX_NAME_LENGTH: usize = 155;

/// What Hookdeck has under the desired names.
pub(super) struct Actual {
    pub(super) source: Option<Model>,
    pub(super) destination: Option<Model>,
    /// The connection between the two.
    pub(super) connection: Option<Model>,
    /// Connections of the same name between others.
    pub(super) namesakes: Vec<Model>,
    /// Names of other connections of the same source.
    pub(super) others: Vec<String>,
    pub(super) secret: Secret,
}

/// A source, destination or connection, as Hookdeck describes it.
pub(super) struct Model {
    /// Safe in a path.
    pub(super) id: String,
    pub(super) value: Value,
}

/// The source's secret, compared with the one that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Secret {
    /// The source has none.
    Missing,
    /// The source has one, and none is given.
    Kept,
    Same,
    Different,
    /// Hookdeck does not show the one that the source has.
    #[serde(rename = "unseen")]
    Hidden,
}

impl Actual {
    pub(super) async fn read(
        client: &Client,
        source_name: &str,
        name: &str,
        given_secret: Option<&SecretString>,
    ) -> Result<Self, ApiError> {
        let source = list(client, "sources", &format!("name={source_name}")).await?;
        let source = source.into_iter().find(|it| it.name() == Some(source_name));
        let destination = list(client, "destinations", &format!("name={name}")).await?;
        let destination = destination.into_iter().find(|it| it.name() == Some(name));
        let named = list(client, "connections", &format!("name={name}")).await?;
        let named = named.into_iter().filter(|it| it.name() == Some(name));
        let leads = |it: &Model, end: &str, to: Option<&Model>| {
            to.is_some_and(|to| it.value[end]["id"] == *to.id)
        };
        let (mut connection, namesakes): (Vec<_>, Vec<_>) = named.partition(|it| {
            leads(it, "source", source.as_ref()) && leads(it, "destination", destination.as_ref())
        });
        let others = match &source {
            Some(source) => {
                list(client, "connections", &format!("source_id={}", source.id)).await?
            }
            None => Vec::new(),
        };
        // Hookdeck ignores a filter that it does not know.
        let others = others.iter().filter(|it| {
            leads(it, "source", source.as_ref()) && !connection.iter().any(|own| own.id == it.id)
        });
        let others = others.map(Model::shown_name).collect();
        let secret = match &source {
            Some(source) => secret(client, source, given_secret).await?,
            None => Secret::Missing,
        };
        Ok(Self { source, destination, connection: connection.pop(), namesakes, others, secret })
    }

    /// Where Clerk has to send its events, if the text is a URL.
    pub(super) fn url(&self) -> Option<&str> {
        let url = self.source.as_ref()?.value["url"].as_str()?;
        Url::parse(url).ok().filter(|it| it.scheme() == "https").map(|_| url)
    }

    pub(super) fn is_disabled(&self) -> bool {
        let all = [&self.source, &self.destination, &self.connection];
        all.into_iter().flatten().any(Model::is_disabled)
    }

    /// What exists, in words.
    pub(super) fn inventory(&self, source_name: &str, name: &str) -> String {
        let state = |it: &Option<Model>| if it.is_some() { "exists" } else { "does not exist" };
        format!(
            "the source {source_name} {}, the destination {name} {}, the connection between them {}",
            state(&self.source),
            state(&self.destination),
            state(&self.connection),
        )
    }
}

impl Model {
    fn new(value: Value) -> Option<Self> {
        let id = value["id"].as_str().map(str::to_owned)?;
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        (!id.is_empty() && id.bytes().all(is_safe)).then_some(Self { id, value })
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.value["name"].as_str()
    }

    /// The name if it is one, else the id.
    pub(super) fn shown_name(&self) -> String {
        self.name().filter(|name| is_name(name)).unwrap_or(&self.id).to_owned()
    }

    pub(super) fn config(&self, member: &str) -> &Value {
        &self.value["config"][member]
    }

    pub(super) fn is_disabled(&self) -> bool {
        !self.value["disabled_at"].is_null()
    }
}

/// Whether Hookdeck allows the text as a name.
pub(super) fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=MAX_NAME_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
}

async fn list(client: &Client, what: &str, filter: &str) -> Result<Vec<Model>, ApiError> {
    let mut page = client.get(&format!("/{what}?{filter}&disabled=true&limit=255")).await?;
    let Value::Array(models) = page["models"].take() else { return Err(client.0.unreadable()) };
    models.into_iter().map(|it| Model::new(it).ok_or_else(|| client.0.unreadable())).collect()
}

async fn secret(
    client: &Client,
    source: &Model,
    given: Option<&SecretString>,
) -> Result<Secret, ApiError> {
    if source.value["authenticated"] != true {
        return Ok(Secret::Missing);
    }
    let Some(given) = given else { return Ok(Secret::Kept) };
    let source = client.get(&format!("/sources/{}?include=config.auth", source.id)).await?;
    let Some(shown) = source["config"]["auth"]["webhook_secret_key"].as_str() else {
        return Ok(Secret::Hidden);
    };
    let bare = |text: &str| text.strip_prefix("whsec_").unwrap_or(text).to_owned();
    let is_same = bare(shown) == bare(given.expose_secret());
    // Some services show a secret as asterisks.
    let is_shown = shown.bytes().any(|byte| byte.is_ascii_alphanumeric());
    Ok(if is_same {
        Secret::Same
    } else if is_shown {
        Secret::Different
    } else {
        Secret::Hidden
    })
}
