//! What is there.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::client::Client;
use super::wish::Wish;
use crate::service::Problem;
use per_user_db::http_client::CallError;

/// What Hookdeck has under the names that are wanted.
pub(super) struct There {
    pub(super) source: Option<Model>,
    pub(super) destination: Option<Model>,
    /// The one between the two.
    pub(super) connection: Option<Model>,
    /// Those of the same name between others.
    pub(super) namesakes: Vec<Model>,
    /// Names of others of the same source.
    pub(super) others: Vec<String>,
    pub(super) secret: Secret,
}

/// Something as Hookdeck describes it.
pub(super) struct Model {
    /// Safe in a path.
    pub(super) id: String,
    pub(super) value: Value,
}

/// How the source's secret is, beside the one that is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Secret {
    /// It has none, whatever is given.
    Missing,
    /// It has one; none is given.
    Kept,
    Same,
    Different,
    /// It has one that Hookdeck does not show.
    Unseen,
}

impl There {
    pub(super) async fn read(client: &Client, wish: &Wish) -> Result<Self, Problem> {
        let Wish { source, name, .. } = wish;
        let source = list(client, "sources", &format!("name={source}")).await?;
        let source = source.into_iter().find(|it| it.name() == Some(&wish.source));
        let destination = list(client, "destinations", &format!("name={name}")).await?;
        let destination = destination.into_iter().find(|it| it.name() == Some(name));
        let named = list(client, "connections", &format!("name={name}")).await?;
        let named = named.into_iter().filter(|it| it.name() == Some(name));
        let leads = |it: &Model, end: &str, to: Option<&Model>| {
            to.is_some_and(|to| it.value[end]["id"] == *to.id)
        };
        let (mut here, namesakes): (Vec<_>, Vec<_>) = named.partition(|it| {
            leads(it, "source", source.as_ref()) && leads(it, "destination", destination.as_ref())
        });
        let others = match &source {
            Some(source) => {
                list(client, "connections", &format!("source_id={}", source.id)).await?
            }
            None => Vec::new(),
        };
        // A filter that Hookdeck does not know is none (section 9).
        let others = others.iter().filter(|it| {
            leads(it, "source", source.as_ref()) && !here.iter().any(|own| own.id == it.id)
        });
        let others = others.map(Model::shown_name).collect();
        let secret = match &source {
            Some(source) => secret(client, source, wish.secret.as_ref()).await?,
            None => Secret::Missing,
        };
        Ok(Self { source, destination, connection: here.pop(), namesakes, others, secret })
    }

    /// Where Clerk is to send its events, if the text is a URL.
    pub(super) fn url(&self) -> Option<&str> {
        let url = self.source.as_ref()?.value["url"].as_str()?;
        url.parse::<http::Uri>().ok().filter(|it| it.scheme_str() == Some("https")).map(|_| url)
    }

    pub(super) fn is_disabled(&self) -> bool {
        let all = [&self.source, &self.destination, &self.connection];
        all.into_iter().flatten().any(Model::is_disabled)
    }

    /// What is there, in words.
    pub(super) fn inventory(&self, wish: &Wish) -> String {
        let state = |it: &Option<Model>| if it.is_some() { "is there" } else { "is not" };
        format!(
            "the source {} {}, the destination {} {}, the connection between them {}",
            wish.source,
            state(&self.source),
            wish.name,
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
        let is_name = |name: &&str| super::settings::name(name).is_ok();
        self.name().filter(is_name).unwrap_or(&self.id).to_owned()
    }

    pub(super) fn config(&self, member: &str) -> &Value {
        &self.value["config"][member]
    }

    pub(super) fn is_disabled(&self) -> bool {
        !self.value["disabled_at"].is_null()
    }
}

async fn list(client: &Client, what: &str, filter: &str) -> Result<Vec<Model>, Problem> {
    let mut page = client.get(&format!("/{what}?{filter}&disabled=true&limit=255")).await?;
    let unreadable = || Problem::from(client.0.silent(CallError::Unreadable));
    let Value::Array(models) = page["models"].take() else { return Err(unreadable()) };
    models.into_iter().map(|it| Model::new(it).ok_or_else(unreadable)).collect()
}

async fn secret(
    client: &Client,
    source: &Model,
    wanted: Option<&SecretString>,
) -> Result<Secret, Problem> {
    if source.value["authenticated"] != true {
        return Ok(Secret::Missing);
    }
    let Some(wanted) = wanted else { return Ok(Secret::Kept) };
    let source = client.get(&format!("/sources/{}?include=config.auth", source.id)).await?;
    let Some(shown) = source["config"]["auth"]["webhook_secret_key"].as_str() else {
        return Ok(Secret::Unseen);
    };
    let bare = |text: &str| text.strip_prefix("whsec_").unwrap_or(text).to_owned();
    let is_same = bare(shown) == bare(wanted.expose_secret());
    // Some services show a secret as asterisks.
    let is_shown = shown.bytes().any(|byte| byte.is_ascii_alphanumeric());
    Ok(if is_same {
        Secret::Same
    } else if is_shown {
        Secret::Different
    } else {
        Secret::Unseen
    })
}
