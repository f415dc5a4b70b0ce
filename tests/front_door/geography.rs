//! The country of an address, found in another way than by the table compiled in.

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
use crate::world::World;

/// A file that is gone when the test is over.
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

/// An IPv4 network as the databases write it.
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
    let world = World::with(&[("GEOIP_DATABASE", file.path())]);
    for (client_ip, region, reason) in [
        ("84.200.69.80", "ap-southeast-2", "geo"),
        ("8.8.8.8", "eu-central-1", "geo"),
        ("2620:fe::fe", "ap-southeast-2", "geo"),
        ("9.9.9.9", "us-east-1", "default"),
        ("2001:4860:4860::8888", "us-east-1", "default"),
    ] {
        let placement = world.deliver(sign_up(client_ip)).await.line;
        assert_eq!(
            (&placement["region"], &placement["placement"]),
            (&region.into(), &reason.into())
        );
    }
}

#[test]
fn a_file_that_cannot_tell_countries_stops_the_start() {
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
        let refused = World::refused(&[("GEOIP_DATABASE", path)]);
        assert_eq!(refused, format!("GEOIP_DATABASE {problem}"));
    }
}

#[test]
fn a_damaged_file_finds_nothing_and_breaks_nothing() {
    let whole = mmdb::database("Test-Country", &[v4([84, 200, 0, 0], 16, "AU")]);
    for position in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[position] ^= 0xff;
        // Reading may fail, and so may looking up; neither may panic.
        drop(CountryFile::read(damaged).map(|file| format!("{file:?}")));
    }
}

/// MaxMind's own test data, as the source package of its Python reader ships it.
#[tokio::test(start_paused = true)]
async fn maxmind_s_own_test_file_is_read() {
    let Ok(directory) = std::env::var("MAXMIND_TEST_DATA") else {
        eprintln!(
            "skipped: MAXMIND_TEST_DATA does not name a directory with GeoIP2-Country-Test.mmdb"
        );
        return;
    };
    for name in ["GeoIP2-Country-Test.mmdb", "GeoIP2-City-Test.mmdb"] {
        let path = format!("{directory}/{name}");
        let world =
            World::with(&[("GEOIP_DATABASE", &path), ("REGION_BY_COUNTRY", "SE=ap-southeast-2")]);
        let line = world.deliver(sign_up("89.160.20.112")).await.line;
        assert_eq!(
            (&line["region"], &line["placement"]),
            (&"ap-southeast-2".into(), &"geo".into())
        );
    }
}

/// ip-api, and the requests it has seen.
#[derive(Clone)]
struct IpApi {
    answer: Arc<dyn Fn() -> Response + Send + Sync>,
    delay: Duration,
    seen: Arc<Mutex<Vec<String>>>,
}

impl IpApi {
    fn new(answer: impl Fn() -> Response + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), delay: Duration::ZERO, seen: Arc::default() }
    }

    /// A world that has it, beside Xata, under the same address.
    fn world(&self, settings: &[(&str, &str)]) -> World {
        let ip_api = self.clone();
        let routes = Router::new().route(
            "/json/{ip}",
            axum::routing::get(move |uri: Uri| async move {
                ip_api.seen.lock().unwrap().push(uri.path_and_query().unwrap().to_string());
                tokio::time::sleep(ip_api.delay).await;
                (ip_api.answer)()
            }),
        );
        let common = [("GEO_LOOKUP", "ip-api"), ("IP_API_URL", "http://localhost")];
        World::beside(&[&common[..], settings].concat(), routes)
    }
}

fn json(body: &'static str) -> Response {
    ([("content-type", "application/json")], body).into_response()
}

#[tokio::test(start_paused = true)]
async fn ip_api_is_asked_for_the_parsed_address_alone() {
    let ip_api = IpApi::new(|| json(r#"{"countryCode":"NZ"}"#));
    let world = ip_api.world(&[("IP_API_KEY", "fake0key")]);
    for (client_ip, placement) in [
        (" 84.200.69.80 ", "geo"),
        ("2620:FE::00fe", "geo"),
        ("::ffff:8.8.8.8", "geo"),
        ("10.0.0.1", "default"),
        ("x/../y", "default"),
        ("", "default"),
    ] {
        let line = world.deliver(sign_up(client_ip)).await.line;
        assert_eq!(line["placement"], placement, "{client_ip}");
    }
    let query = "?fields=countryCode&key=fake0key";
    let expected =
        ["84.200.69.80", "2620%3Afe%3A%3Afe", "8.8.8.8"].map(|ip| format!("/json/{ip}{query}"));
    assert_eq!(*ip_api.seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn whatever_ip_api_does_the_user_gets_a_database_in_the_default_region() {
    let slow =
        IpApi { delay: Duration::from_secs(30), ..IpApi::new(|| json(r#"{"countryCode":"NZ"}"#)) };
    let answers = [
        IpApi::new(|| StatusCode::TOO_MANY_REQUESTS.into_response()),
        IpApi::new(|| json("{}")),
        IpApi::new(|| json(r#"{"countryCode":"Neverland"}"#)),
        IpApi::new(|| json("<html>")),
        IpApi::new(|| "x".repeat(5000).into_response()),
        slow,
    ];
    for ip_api in answers {
        let world = ip_api.world(&[]);
        let begun = Instant::now();
        let answered = world.deliver(sign_up("202.46.190.130")).await;
        assert_eq!(answered.row(), (200, "created", None, None));
        assert_eq!(answered.line["placement"], "default");
        assert!(begun.elapsed() <= Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_preference_spares_the_question() {
    let ip_api = IpApi::new(|| json(r#"{"countryCode":"NZ"}"#));
    let world = ip_api.world(&[]);
    let preference = serde_json::json!({ "db_region": "us-east-1" });
    let event = SignUp { private_metadata: preference, ..SignUp::new(&user_id(1)) };
    world.deliver(event.user_created()).await;
    assert_eq!(*ip_api.seen.lock().unwrap(), [""; 0]);
}

#[test]
fn ip_api_is_reached_over_tls_or_not_at_all() {
    let chosen = ("GEO_LOOKUP", "ip-api");
    for (settings, problem) in [
        (&[chosen][..], "IP_API_KEY is missing; ip-api serves TLS to its customers only"),
        (
            &[chosen, ("IP_API_URL", "http://ip-api.com")],
            "IP_API_URL must be an https URL, or an http URL of a loopback address",
        ),
        (&[chosen, ("IP_API_KEY", "a&b")], "IP_API_KEY has a character that no key has"),
    ] {
        assert_eq!(World::refused(settings), problem);
    }
}
