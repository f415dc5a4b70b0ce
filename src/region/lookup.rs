use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use maxminddb::{MaxMindDbError, Reader, path};
use reqwest::header::{HeaderValue, USER_AGENT};
use reqwest::{Method, Request, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use crate::http_client::{self, HttpClient};

/// How the country of an address is looked up.
#[derive(Debug)]
pub enum CountryLookup {
    /// In the table of the internet registries, which is compiled in.
    Offline,
    /// In a database file of MaxMind's format, which is read at start.
    File(CountryFile),
    /// By a request to ip-api for each sign-up, as in the tutorial.
    IpApi(IpApi),
    /// Not at all.
    Off,
}

impl CountryLookup {
    /// The two-letter code of the country. A failed look-up is none, because it must not fail the
    /// sign-up.
    ///
    /// # Errors
    /// When ip-api refuses the key.
    pub(super) async fn country(
        &self,
        ip: IpAddr,
        client: &HttpClient,
        deadline: Instant,
    ) -> Result<Option<Cow<'_, str>>, KeyRefused> {
        Ok(match self {
            Self::Offline => iptocc::country_code(ip).map(Cow::Borrowed),
            Self::File(file) => file.country(ip).map(Cow::Borrowed),
            Self::IpApi(ip_api) => ip_api.country(ip, client, deadline).await?.map(Cow::Owned),
            Self::Off => None,
        })
    }
}

/// ip-api refuses the key.
#[derive(Debug)]
pub(super) struct KeyRefused;

/// A database of MaxMind's format that has countries, such as `GeoLite2-Country` or `GeoIP2-City`.
pub struct CountryFile(Reader<Vec<u8>>);

impl CountryFile {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// When they are of another format, or a database without countries.
    pub fn read(bytes: Vec<u8>) -> Result<Self, NotACountryFile> {
        let reader = Reader::from_source(bytes)?;
        let kind = &reader.metadata().database_type;
        if !["Country", "City", "Enterprise"].iter().any(|known| kind.contains(known)) {
            return Err(NotACountryFile::OtherKind);
        }
        Ok(Self(reader))
    }

    fn country(&self, ip: IpAddr) -> Option<&str> {
        self.0.lookup(ip).ok()?.decode_path(&path!["country", "iso_code"]).ok()?
    }
}

impl fmt::Debug for CountryFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("CountryFile").field(&self.0.metadata().database_type).finish()
    }
}

/// Bytes that are no country database.
#[derive(Debug, thiserror::Error)]
pub enum NotACountryFile {
    /// They are not of MaxMind's format, or damaged.
    #[error("is not a MaxMind database")]
    Damaged(#[from] MaxMindDbError),
    /// The database is of networks, domains or the like.
    #[error("is not a country or city database")]
    OtherKind,
}

/// ip-api over TLS. It learns the address of every user who signs up.
#[derive(Debug)]
pub struct IpApi {
    /// Without a slash at its end.
    pub url: String,
    /// The key of a paid plan; only these have TLS.
    pub key: Option<SecretString>,
}

impl IpApi {
    /// A sign-up waits no longer.
    const TIME_LIMIT: Duration = Duration::from_secs(1);
    const RESPONSE_LIMIT_BYTES: usize = 4096;

    /// ip-api does not document its response to a key that it refuses; 401 and 403 count.
    async fn country(
        &self,
        ip: IpAddr,
        client: &HttpClient,
        deadline: Instant,
    ) -> Result<Option<String>, KeyRefused> {
        let deadline = deadline.min(Instant::now() + Self::TIME_LIMIT);
        // Formatted from the parsed address, never from the text of the event. `:` is the only
        // character in it that needs an escape in a path.
        let ip = ip.to_string().replace(':', "%3A");
        let key = self.key.as_ref().map(|key| format!("&key={}", key.expose_secret()));
        let url = format!("{}/json/{ip}?fields=countryCode{}", self.url, key.unwrap_or_default());
        let Ok(url) = url.parse() else { return Ok(None) };
        let mut request = Request::new(Method::GET, url);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(http_client::USER_AGENT));
        let Ok(response) = http_client::send(client, request, deadline).await else {
            return Ok(None);
        };
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(KeyRefused),
            status if status.is_success() => Ok(Self::read(response, deadline).await),
            _ => Ok(None),
        }
    }

    async fn read(response: Response, deadline: Instant) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Body {
            country_code: String,
        }
        let body = http_client::read(response, Self::RESPONSE_LIMIT_BYTES, deadline).await.ok()?;
        Some(serde_json::from_slice::<Body>(&body).ok()?.country_code)
    }
}
