//! The outgoing HTTP call: one port for everything upstream, and the bounds of every exchange.
//!
//! The port is a [`tower`] service, so [`reqwest::Client`] is the live side and a stand-in's router,
//! called in memory, is the other. Neither follows redirects: an answer of 3xx is an answer.

pub mod api;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Request, Response, redirect};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service, ServiceExt, util::BoxCloneSyncService};

/// Anything that can carry a request upstream and bring an answer back.
pub type HttpClient = BoxCloneSyncService<Request, Response, BoxError>;

/// How we introduce ourselves upstream.
pub const USER_AGENT: &str = concat!("per-user-db/", env!("CARGO_PKG_VERSION"));

/// A host that does not complete a TCP handshake in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What was sent on an open connection and is not acknowledged in this time will not be: the path
/// is gone without a word. The peer's kernel acknowledges, however long its application thinks.
#[cfg(target_os = "linux")] // no other system can be told; there, the time set aside runs out
const ACKNOWLEDGE_TIMEOUT: Duration = CONNECT_TIMEOUT;

/// A connection that was idle for longer is not used again.
///
/// Lambda freezes the process between deliveries, and what ends an idle connection meanwhile may do
/// so unheard: the request would go nowhere and hang. 10 s is more than most pauses within a
/// delivery, so that its requests share a connection, and far less than any idle limit usual in
/// front of an API (60 s and more). A new connection costs two round trips and 4 million
/// instructions, nothing beside a create; docs/reliability.md has what was measured.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no answer, or none that can be read. Whether the request took effect is unknown in
/// each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The time set aside for this call ran out.
    #[error("no answer in the time set aside")]
    TimeUp,
    /// There is no connection.
    #[error("no connection")]
    Unreachable,
    /// There was a connection, and it broke.
    #[error("the connection broke")]
    Broken,
    /// The body is longer than we are willing to read.
    #[error("the body is too long")]
    TooLong,
    /// The body is not what is documented.
    #[error("the body cannot be read")]
    Unreadable,
}

/// The live client: TLS by rustls with root certificates compiled in, HTTP/1.1, connections kept
/// and reused.
///
/// # Panics
/// If reqwest is built on another version of rustls than we are, which a test would show.
pub fn live() -> HttpClient {
    let client = Client::builder()
        .tls_backend_preconfigured(tls())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_LIMIT)
        // It would probe while we are frozen.
        .tcp_keepalive(None)
        .tcp_keepalive_interval(None)
        .tcp_keepalive_retries(None)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy();
    #[cfg(target_os = "linux")]
    let client = client.tcp_user_timeout(ACKNOWLEDGE_TIMEOUT);
    boxed(client.build().expect("a client of nothing but constants"))
}

/// Without it reqwest would read the system's certificates at each start.
fn tls() -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has what both versions of TLS need")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Makes a client of any service that answers requests.
pub fn boxed<S>(service: S) -> HttpClient
where
    S: Service<Request, Response = Response> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    BoxCloneSyncService::new(service.map_err(Into::into))
}

/// Sends a request; the head of the answer must be there by `until`.
///
/// A request that only reads is sent once more when its connection breaks, since that connection
/// may have been dead already. No other is: whether it took effect is for the caller to find out.
/// Requests that provably were not begun, hyper's pool moves to another connection by itself.
pub async fn send(
    client: &HttpClient,
    request: Request,
    until: Instant,
) -> Result<Response, CallError> {
    let again = if request.method().is_safe() { request.try_clone() } else { None };
    match (send_once(client, request, until).await, again) {
        (Err(CallError::Broken), Some(again)) => send_once(client, again, until).await,
        (answer, _) => answer,
    }
}

async fn send_once(
    client: &HttpClient,
    request: Request,
    until: Instant,
) -> Result<Response, CallError> {
    match timeout_at(until, client.clone().oneshot(request)).await {
        Ok(answer) => answer.map_err(|error| {
            let error = error.downcast_ref::<reqwest::Error>();
            let was_connected = error.is_some_and(|error| !error.is_connect());
            if was_connected { CallError::Broken } else { CallError::Unreachable }
        }),
        Err(_) => Err(CallError::TimeUp),
    }
}

/// Reads a body of at most `limit_bytes`, all of it by `until`.
pub async fn read(
    mut response: Response,
    limit_bytes: usize,
    until: Instant,
) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(&mut response, until).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit_bytes {
            return Err(CallError::TooLong);
        }
    }
    Ok(bytes)
}

/// The next piece of a body, by `until`; none at its end.
pub async fn next_chunk(
    response: &mut Response,
    until: Instant,
) -> Result<Option<Bytes>, CallError> {
    let chunk = timeout_at(until, response.chunk()).await.map_err(|_| CallError::TimeUp)?;
    chunk.map_err(|_| CallError::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::Method;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Any port here, and the URL that leads to it.
    async fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("its address"));
        (listener, url)
    }

    /// Takes a request, unless there is none to come, and answers with this digit.
    async fn answer(stream: &mut TcpStream, digit: u8) -> bool {
        let read = stream.read(&mut [0; 1024]).await.expect("a request or its absence");
        let answer = [b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", &[digit][..]].concat();
        read > 0 && stream.write_all(&answer).await.is_ok()
    }

    /// Asks and reads the answer.
    async fn ask(client: &HttpClient, method: Method, url: &str) -> Result<Vec<u8>, CallError> {
        let request = Request::new(method, url.parse().expect("a URL"));
        let until = Instant::now() + Duration::from_secs(30);
        read(send(client, request, until).await?, 1, until).await
    }

    #[tokio::test]
    async fn a_connection_that_was_idle_for_too_long_is_not_used_again() {
        let (listener, url) = listener().await;
        let numbers_its_connections = async {
            for digit in b'1'.. {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(async move { while answer(&mut stream, digit).await {} });
            }
        };
        let client = live();
        let asks = async {
            let mut answers = Vec::new();
            for idle in [Duration::ZERO, IDLE_LIMIT / 2, IDLE_LIMIT] {
                // Paused for no longer than this: a paused clock runs ahead of real sockets.
                tokio::time::pause();
                tokio::time::advance(idle).await;
                tokio::time::resume();
                answers.extend(ask(&client, Method::POST, &url).await.expect("an answer"));
            }
            answers
        };
        tokio::select! {
            answers = asks => assert_eq!(answers, b"112"),
            () = numbers_its_connections => {}
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_is_not_used_again() {
        let (listener, url) = listener().await;
        let client = live();
        for digit in *b"12" {
            let server = async {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                answer(&mut stream, digit).await;
                stream.shutdown().await.expect("a close");
                stream.read(&mut [0]).await.expect("the client's close")
            };
            let (answer, _) = tokio::join!(ask(&client, Method::POST, &url), server);
            assert_eq!(answer.expect("an answer"), [digit]);
        }
    }

    #[tokio::test]
    async fn a_broken_connection_is_replaced_once_for_a_request_that_only_reads() {
        for (method, expected) in [(Method::GET, 2), (Method::POST, 1), (Method::PUT, 1)] {
            let (listener, url) = listener().await;
            let client = live();
            let mut requests = 0;
            let breaks_off = async {
                loop {
                    let (mut stream, _) = listener.accept().await.expect("a connection");
                    requests += stream.read(&mut [0; 1024]).await.expect("a request").min(1);
                }
            };
            tokio::select! {
                answer = ask(&client, method, &url) => {
                    assert!(matches!(answer, Err(CallError::Broken)));
                }
                () = breaks_off => {}
            }
            assert_eq!(requests, expected);
        }
    }

    #[tokio::test]
    async fn the_live_client_speaks_tls_to_an_https_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url =
            format!("https://localhost:{}/", listener.local_addr().expect("its address").port());
        let request = Request::new(Method::GET, url.parse().expect("a URL"));
        let client = live();
        let until = Instant::now() + Duration::from_secs(30);
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.read_u8().await.expect("a byte")
        };
        let (first_byte, answer) = tokio::join!(server, send(&client, request, until));
        assert_eq!(first_byte, 0x16, "a TLS handshake begins with this");
        assert!(matches!(answer, Err(CallError::Unreachable)));
    }
}
