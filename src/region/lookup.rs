use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use maxminddb::{MaxMindDbError, Reader, path};
use reqwest::header::{HeaderValue, USER_AGENT};
use reqwest::{Method, Request};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use crate::http_client::{self, HttpClient};

/// How the country of an address is found.
#[derive(Debug)]
pub enum Lookup {
    /// In the registries' table, compiled in.
    Offline,
    /// In a database file of MaxMind's format, read at start.
    File(CountryFile),
    /// By asking ip-api for each sign-up, as the tutorial does.
    IpApi(IpApi),
    /// Not at all.
    Off,
}

impl Lookup {
    /// The two-letter code of the country, if it can be found. No trouble here is worth failing a
    /// sign-up for.
    pub(super) async fn country(
        &self,
        ip: IpAddr,
        client: &HttpClient,
        until: Instant,
    ) -> Option<Cow<'_, str>> {
        match self {
            Self::Offline => iptocc::country_code(ip).map(Cow::Borrowed),
            Self::File(file) => file.country(ip).map(Cow::Borrowed),
            Self::IpApi(ip_api) => ip_api.country(ip, client, until).await.map(Cow::Owned),
            Self::Off => None,
        }
    }
}

/// A database of MaxMind's format with countries in it, such as `GeoLite2-Country` or
/// `GeoIP2-City`.
pub struct CountryFile(Reader<Vec<u8>>);

impl CountryFile {
    /// Reads the bytes of such a file.
    ///
    /// # Errors
    /// When they are none, or a database of something else.
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

/// Bytes that cannot tell the country of an address.
#[derive(Debug, thiserror::Error)]
pub enum NotACountryFile {
    /// Not of MaxMind's format, or damaged.
    #[error("is not a MaxMind database")]
    Damaged(#[from] MaxMindDbError),
    /// A database of networks, domains or the like.
    #[error("is not a country or city database")]
    OtherKind,
}

/// ip-api, reached over TLS. It learns the address of every user who signs up.
#[derive(Debug)]
pub struct IpApi {
    /// Without a slash at its end.
    pub url: String,
    /// The paying customer's key: TLS is for them only.
    pub key: Option<SecretString>,
}

impl IpApi {
    /// A sign-up waits no longer for this.
    const TIME_LIMIT: Duration = Duration::from_secs(1);
    const ANSWER_LIMIT_BYTES: usize = 4096;

    async fn country(&self, ip: IpAddr, client: &HttpClient, until: Instant) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            country_code: String,
        }
        let until = until.min(Instant::now() + Self::TIME_LIMIT);
        // Made of the parsed address, never of what came in; `:` is all in it that a path may
        // not hold everywhere.
        let ip = ip.to_string().replace(':', "%3A");
        let key = self.key.as_ref().map(|key| format!("&key={}", key.expose_secret()));
        let url = format!("{}/json/{ip}?fields=countryCode{}", self.url, key.unwrap_or_default());
        let mut request = Request::new(Method::GET, url.parse().ok()?);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(http_client::USER_AGENT));
        let answer = http_client::send(client, request, until).await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        let body = http_client::read(answer, Self::ANSWER_LIMIT_BYTES, until).await.ok()?;
        Some(serde_json::from_slice::<Answer>(&body).ok()?.country_code)
    }
}
