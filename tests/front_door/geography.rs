//! The country of an address from a database file or from ip-api.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use per_user_db::region::CountryFile;
use standin::clerk::{SignUp, user_id};
use tokio::time::Instant;

use crate::mmdb;
use crate::test_app::{Api, TestApp};

/// A file that is removed at the end of the test.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("per-user-db-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn sign_up(client_ip: &str) -> Vec<u8> {
    SignUp { client_ip: Some(client_ip.into()), ..SignUp::new(&user_id(1)) }.user_created()
}

/// An IPv4 network in the notation of the databases.
fn v4(network: [u8; 4], prefix: u32, country: &str) -> (Ipv6Addr, u32, &str) {
    let [a, b, c, d] = network.map(u16::from);
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, a << 8 | b, c << 8 | d), 96 + prefix, country)
}

#[tokio::test(start_paused = true)]
async fn a_database_file_replaces_the_table_compiled_in() {
    // By the registries, 84.200/16 is in Germany and 8.8.8/24 in the United States.
    let networks = [
        v4([84, 200, 0, 0], 16, "AU"),
        v4([8, 8, 8, 0], 24, "FR"),
        ("2620:fe::".parse().unwrap(), 32, "NZ"),
    ];
    let file = TemporaryFile::new("country", &mmdb::database("Test-Country", &networks));
    let app = TestApp::with_settings(&[("GEOIP_DATABASE", file.path())]);
    for (client_ip, region, reason) in [
        ("84.200.69.80", "ap-southeast-2", "geo"),
        ("8.8.8.8", "eu-central-1", "geo"),
        ("2620:fe::fe", "ap-southeast-2", "geo"),
        ("9.9.9.9", "us-east-1", "default"),
        ("2001:4860:4860::8888", "us-east-1", "default"),
    ] {
        let line = app.deliver(sign_up(client_ip)).await.log_line;
        assert_eq!((&line["region"], &line["placement"]), (&region.into(), &reason.into()));
    }
}

#[test]
fn a_file_that_is_no_country_database_stops_the_start() {
    let networks = [v4([84, 200, 0, 0], 16, "AU")];
    let whole = mmdb::database("Test-Country", &networks);
    let other = TemporaryFile::new("asn", &mmdb::database("Test-ASN", &networks));
    let half = TemporaryFile::new("half", &whole[..whole.len() / 2]);
    let empty = TemporaryFile::new("empty", b"");
    for (path, problem) in [
        ("/no/such/file.mmdb", "cannot be read: entity not found"),
        (other.path(), "is not a country or city database"),
        (half.path(), "is not a MaxMind database"),
        (empty.path(), "is not a MaxMind database"),
    ] {
        let error = TestApp::settings_error(&[("GEOIP_DATABASE", path)]);
        assert_eq!(error, format!("GEOIP_DATABASE {problem}"));
    }
}

#[test]
fn a_damaged_file_causes_no_panic() {
    let whole = mmdb::database("Test-Country", &[v4([84, 200, 0, 0], 16, "AU")]);
    for position in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[position] ^= 0xff;
        // Reading can fail, but it must not panic.
        drop(CountryFile::read(damaged).map(|file| format!("{file:?}")));
    }
}

/// The source package of MaxMind's Python reader contains MaxMind's test data.
#[tokio::test(start_paused = true)]
async fn maxmind_s_test_files_are_read() {
    let Ok(directory) = std::env::var("MAXMIND_TEST_DATA") else {
        eprintln!(
            "skipped: MAXMIND_TEST_DATA does not name a directory with GeoIP2-Country-Test.mmdb"
        );
        return;
    };
    for name in ["GeoIP2-Country-Test.mmdb", "GeoIP2-City-Test.mmdb"] {
        let path = format!("{directory}/{name}");
        let app = TestApp::with_settings(&[
            ("GEOIP_DATABASE", &path),
            ("REGION_BY_COUNTRY", "SE=ap-southeast-2"),
        ]);
        let line = app.deliver(sign_up("89.160.20.112")).await.log_line;
        assert_eq!(
            (&line["region"], &line["placement"]),
            (&"ap-southeast-2".into(), &"geo".into())
        );
    }
}

/// A stand-in of ip-api.
#[derive(Clone)]
pub struct IpApi {
    respond: Arc<dyn Fn() -> Response + Send + Sync>,
    delay: Duration,
    requests: Arc<Mutex<Vec<String>>>,
}

impl IpApi {
    pub fn new(respond: impl Fn() -> Response + Send + Sync + 'static) -> Self {
        Self { respond: Arc::new(respond), delay: Duration::ZERO, requests: Arc::default() }
    }

    /// The response for an address in this country.
    pub fn country(code: &str) -> Response {
        json(format!(r#"{{"countryCode":"{code}"}}"#))
    }

    /// An app whose function asks this stand-in.
    pub fn app(&self, api: Api, settings: &[(&str, &str)]) -> TestApp {
        let ip_api = self.clone();
        let routes = Router::new().route(
            "/json/{ip}",
            axum::routing::get(move |uri: Uri| async move {
                ip_api.requests.lock().unwrap().push(uri.path_and_query().unwrap().to_string());
                tokio::time::sleep(ip_api.delay).await;
                (ip_api.respond)()
            }),
        );
        let common = [("GEO_LOOKUP", "ip-api"), ("IP_API_URL", "http://localhost")];
        TestApp::with_routes(api, &[&common[..], settings].concat(), routes)
    }

    /// The path and query of each request.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn json(body: impl Into<String>) -> Response {
    ([("content-type", "application/json")], body.into()).into_response()
}

#[tokio::test(start_paused = true)]
async fn ip_api_receives_the_parsed_public_address_only() {
    let ip_api = IpApi::new(|| IpApi::country("NZ"));
    let app = ip_api.app(Api::Platform, &[("IP_API_KEY", "fake0key")]);
    for (client_ip, placement) in [
        (" 84.200.69.80 ", "geo"),
        ("2620:FE::00fe", "geo"),
        ("::ffff:8.8.8.8", "geo"),
        ("10.0.0.1", "default"),
        ("x/../y", "default"),
        ("", "default"),
    ] {
        let line = app.deliver(sign_up(client_ip)).await.log_line;
        assert_eq!(line["placement"], placement, "{client_ip}");
    }
    let query = "?fields=countryCode&key=fake0key";
    let expected =
        ["84.200.69.80", "2620%3Afe%3A%3Afe", "8.8.8.8"].map(|ip| format!("/json/{ip}{query}"));
    assert_eq!(ip_api.requests(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_user_gets_a_database_in_the_default_region_when_ip_api_fails() {
    let slow = IpApi { delay: Duration::from_secs(30), ..IpApi::new(|| IpApi::country("NZ")) };
    let failures = [
        IpApi::new(|| StatusCode::TOO_MANY_REQUESTS.into_response()),
        IpApi::new(|| json("{}")),
        IpApi::new(|| IpApi::country("Neverland")),
        IpApi::new(|| json("<html>")),
        IpApi::new(|| "x".repeat(5000).into_response()),
        slow,
    ];
    for ip_api in failures {
        let app = ip_api.app(Api::Platform, &[]);
        let started_at = Instant::now();
        let response = app.deliver(sign_up("202.46.190.130")).await;
        assert_eq!(response.row(), (200, "created", None, None));
        assert_eq!(response.log_line["placement"], "default");
        assert!(started_at.elapsed() <= Duration::from_secs(1), "{:?}", started_at.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_region_preference_ip_api_receives_no_request() {
    let ip_api = IpApi::new(|| IpApi::country("NZ"));
    let app = ip_api.app(Api::Platform, &[]);
    let preference = serde_json::json!({ "db_region": "us-east-1" });
    let event = SignUp { private_metadata: preference, ..SignUp::new(&user_id(1)) };
    app.deliver(event.user_created()).await;
    assert_eq!(ip_api.requests(), [""; 0]);
}

#[test]
fn ip_api_needs_tls() {
    let chosen = ("GEO_LOOKUP", "ip-api");
    for (settings, problem) in [
        (&[chosen][..], "IP_API_KEY is missing; ip-api serves TLS to its customers only"),
        (
            &[chosen, ("IP_API_URL", "http://ip-api.com")],
            "IP_API_URL must be an https URL, or an http URL of a loopback address",
        ),
        (&[chosen, ("IP_API_KEY", "a&b")], "IP_API_KEY has a character that no key has"),
    ] {
        assert_eq!(TestApp::settings_error(settings), problem);
    }
}
