//! AWS Secrets Manager, where `SECRETS_ID` names a secret.
//!
//! The only request is `GetSecretValue`, signed by AWS's own signer (Signature Version 4) with the
//! credentials of the function's role. They expire, so they are not kept: each reading takes those
//! that Lambda has put into the environment, or asks the container's endpoint for them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use reqwest::Response;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::Clock;
use crate::http_client::{self, CallError, HttpClient};
use crate::settings::{self, SettingsError, Variables};

/// A secret has at most 64 KiB, and twice that as JSON text.
const RESPONSE_LIMIT_BYTES: usize = 256 * 1024;

/// The settings of Secrets Manager.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name or the ARN of the secret.
    pub id: String,
    /// Without a slash at its end.
    pub url: String,
    /// The region of the signature.
    pub region: String,
}

/// Where the credentials of the function's role are.
#[derive(Debug)]
pub enum CredentialsSource {
    /// In the environment.
    Given(Credentials),
    /// At the endpoint of the container, which returns them as JSON.
    Endpoint {
        /// Its address.
        url: String,
        /// What it wants as `Authorization`.
        token: Option<Token>,
    },
}

/// The token of the container's endpoint.
#[derive(Debug)]
pub enum Token {
    /// In the environment.
    Value(SecretString),
    /// In a file, whose content changes.
    File(PathBuf),
}

/// One secret of AWS Secrets Manager.
pub struct SecretsManager {
    settings: Settings,
    variables: Variables,
    client: HttpClient,
    clock: Clock,
}

/// Why the secret cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// The credentials of the function's role cannot be found.
    #[error("{0}")]
    NoCredentials(#[from] SettingsError),
    /// The endpoint of the credentials does not return them.
    #[error("AWS_CONTAINER_CREDENTIALS_FULL_URI does not return credentials: {0}")]
    Endpoint(String),
    /// There is no response.
    #[error("Secrets Manager does not answer: {0}")]
    Unanswered(#[from] CallError),
    /// The request is refused, with AWS's word for the reason.
    #[error("Secrets Manager refuses: {0}")]
    Refused(String),
    /// It is no object of texts. The error quotes nothing of it.
    #[error("the secret is no JSON object whose members are texts")]
    NotAnObject,
}

impl SecretsManager {
    /// A client with these settings.
    pub fn new(settings: Settings, variables: Variables, client: HttpClient, clock: Clock) -> Self {
        Self { settings, variables, client, clock }
    }

    /// Reads the members of the secret, before the deadline.
    pub async fn read(&self, deadline: Instant) -> Result<BTreeMap<String, String>, SecretsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            secret_string: Option<String>,
        }
        let credentials = match settings::credentials((self.variables)())? {
            CredentialsSource::Given(credentials) => credentials,
            CredentialsSource::Endpoint { url, token } => {
                self.ask_endpoint(&url, token, deadline).await?
            }
        };
        let request = self.request(credentials);
        let response = http_client::send(&self.client, request, deadline).await?;
        let is_success = response.status().is_success();
        if !is_success {
            return Err(SecretsError::Refused(refusal_reason(response, deadline).await));
        }
        let body = http_client::read(response, RESPONSE_LIMIT_BYTES, deadline).await?;
        let body: Body = serde_json::from_slice(&body).map_err(|_| CallError::Unreadable)?;
        let text = body.secret_string.ok_or(SecretsError::NotAnObject)?;
        serde_json::from_str(&text).map_err(|_| SecretsError::NotAnObject)
    }

    /// Asks the container's endpoint for the credentials.
    async fn ask_endpoint(
        &self,
        url: &str,
        token: Option<Token>,
        deadline: Instant,
    ) -> Result<Credentials, SecretsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            access_key_id: String,
            secret_access_key: String,
            token: Option<String>,
        }
        let unusable = |problem: &dyn Display| SecretsError::Endpoint(problem.to_string());
        let mut request = http::Request::get(url).header(USER_AGENT, http_client::USER_AGENT);
        if let Some(token) = token {
            let token = match token {
                Token::Value(token) => token,
                Token::File(path) => std::fs::read_to_string(path)
                    .map_err(|error| unusable(&format_args!("its token: {}", error.kind())))?
                    .trim_end()
                    .into(),
            };
            let mut token = HeaderValue::try_from(token.expose_secret())
                .map_err(|_| unusable(&"its token is no header value"))?;
            token.set_sensitive(true);
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.body("").expect("the URL and the header are checked");
        let request = request.try_into().expect("the URL was parsed");
        let response = http_client::send(&self.client, request, deadline).await;
        let response = response.map_err(|error| unusable(&error))?;
        if !response.status().is_success() {
            return Err(unusable(&response.status().as_u16()));
        }
        let body = http_client::read(response, RESPONSE_LIMIT_BYTES, deadline).await;
        let body = body.map_err(|error| unusable(&error))?;
        let Body { access_key_id, secret_access_key, token } =
            serde_json::from_slice(&body).map_err(|_| unusable(&CallError::Unreadable))?;
        Ok(Credentials::new(access_key_id, secret_access_key, token, None, "container"))
    }

    fn request(&self, credentials: Credentials) -> reqwest::Request {
        let Settings { id, url, region } = &self.settings;
        let body = json!({ "SecretId": id }).to_string();
        let url: http::Uri = format!("{url}/").parse().expect("the URL was parsed at start");
        let host = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let mut request = http::Request::post(&url)
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", "secretsmanager.GetSecretValue")
            .body(body.clone())
            .expect("the host is part of a URL");
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("secretsmanager")
            .time((self.clock)())
            .settings(SigningSettings::default())
            .build()
            .expect("every part is given")
            .into();
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let (instructions, _) = SignableRequest::new(
            "POST",
            url.to_string(),
            headers,
            SignableBody::Bytes(body.as_bytes()),
        )
        .and_then(|request| sign(request, &parameters))
        .expect("settings take only ids and keys that can be signed")
        .into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request.try_into().expect("the URL was parsed at start")
    }
}

/// AWS's word for the reason, such as `ResourceNotFoundException`; else the status.
async fn refusal_reason(response: Response, deadline: Instant) -> String {
    #[derive(Deserialize)]
    struct Error {
        #[serde(rename = "__type")]
        kind: String,
    }
    let status = response.status().as_u16().to_string();
    let Ok(body) = http_client::read(response, RESPONSE_LIMIT_BYTES, deadline).await else {
        return status;
    };
    let Ok(Error { kind }) = serde_json::from_slice(&body) else { return status };
    // Some services write a namespace before the word.
    let word = kind.rsplit('#').next().unwrap_or_default();
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word { word.to_owned() } else { status }
}
