//! The outgoing HTTP call. Every request to another service goes through it, with limits on time and
//! size.
//!
//! [`HttpClient`] is a [`tower`] service: [`reqwest::Client`] in production, a stand-in's router in
//! memory in tests. Neither follows redirects.

pub mod json_api;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method, Request, Response, Version, redirect};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service, ServiceExt, util::BoxCloneSyncService};
use tracing::{Instrument, debug_span, field};

/// Sends a request and returns the response.
pub type HttpClient = BoxCloneSyncService<Request, Response, BoxError>;

/// The `User-Agent` of every request.
pub const USER_AGENT: &str = concat!("per-user-db/", env!("CARGO_PKG_VERSION"));

/// A host that does not complete a TCP handshake in this time is unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The peer's kernel acknowledges data on an open connection at once, however slow its application
/// is. Without an acknowledgement in this time the path is broken.
#[cfg(target_os = "linux")] // other systems have no such option; there the deadline of the call serves
const ACKNOWLEDGE_TIMEOUT: Duration = CONNECT_TIMEOUT;

/// A connection that was idle for longer is not used again.
///
/// Lambda freezes the process between deliveries. A peer or a router can close an idle connection
/// meanwhile without the process noticing, and a request on it hangs. 10 s is longer than most pauses
/// within a delivery, so its requests share a connection, and far below the idle limits that are
/// usual in front of an API (60 s and more). A new connection costs two round trips and 4 million
/// instructions, little beside a create; docs/reliability.md has the measurements.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no response, or none that can be read. The request may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The deadline of the call passed.
    #[error("no answer in the time set aside")]
    TimeUp,
    /// No connection was made.
    #[error("no connection")]
    Unreachable,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// The body is longer than the limit.
    #[error("the body is too long")]
    TooLong,
    /// The body is not what the service documents.
    #[error("the body cannot be read")]
    Unreadable,
}

/// The client for production: HTTP/1.1, connections kept alive, TLS by rustls with compiled-in roots.
pub fn live() -> HttpClient {
    live_with(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
}

/// The same with other roots, for a server whose certificate is made at run time.
///
/// # Panics
/// When reqwest links another version of rustls than this crate. A test builds the client.
pub fn live_with(roots: RootCertStore) -> HttpClient {
    let client = Client::builder()
        .tls_backend_preconfigured(tls(roots))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_LIMIT)
        // reqwest sends probes every 15 s by default, which count time in which Lambda freezes us.
        .tcp_keepalive(None)
        .tcp_keepalive_interval(None)
        .tcp_keepalive_retries(None)
        .redirect(redirect::Policy::none())
        // A hidden retry would blur whether a create has taken effect.
        .retry(reqwest::retry::never())
        // A proxy from the environment would see every key.
        .no_proxy();
    #[cfg(target_os = "linux")]
    let client = client.tcp_user_timeout(ACKNOWLEDGE_TIMEOUT);
    boxed(client.build().expect("every option is a constant"))
}

/// TLS with these roots. reqwest's own ways read the system's certificates at each start.
fn tls(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports both versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Opens a connection that the next request to this address uses, and sends no request. Where none
/// can be opened, the next request finds out why.
pub async fn connect(client: HttpClient, url: String) {
    let Ok(url) = url.parse() else { return };
    let mut request = Request::new(Method::GET, url);
    // reqwest opens a connection only for a request. Once connected, it refuses this one, because the
    // connection speaks HTTP/1.1, and keeps the connection.
    *request.version_mut() = Version::HTTP_2;
    let _refused = client.oneshot(request).await;
}

/// Makes a client of a service.
pub fn boxed<S>(service: S) -> HttpClient
where
    S: Service<Request, Response = Response> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    BoxCloneSyncService::new(service.map_err(Into::into))
}

/// Sends a request and reads the head of the response, before the deadline.
///
/// A request that only reads is sent once more when its connection breaks, because a kept connection
/// may have been closed already. Any other request may have taken effect, and its caller has to find
/// out.
///
/// # Errors
/// When no response arrives in time.
pub async fn send(
    client: &HttpClient,
    request: Request,
    deadline: Instant,
) -> Result<Response, CallError> {
    let retry = if request.method().is_safe() { request.try_clone() } else { None };
    match (send_once(client, request, deadline).await, retry) {
        (Err(CallError::Broken), Some(retry)) => send_once(client, retry, deadline).await,
        (result, _) => result,
    }
}

async fn send_once(
    client: &HttpClient,
    request: Request,
    deadline: Instant,
) -> Result<Response, CallError> {
    // Host and method only: a query may hold a key, and a path may hold an address.
    let span = debug_span!(
        "request",
        host = request.url().host_str(),
        method = request.method().as_str(),
        status = field::Empty
    );
    let call = timeout_at(deadline, client.clone().oneshot(request)).instrument(span.clone());
    let response = call.await.map_err(|_| CallError::TimeUp)?.map_err(|error| {
        let error = error.downcast_ref::<reqwest::Error>();
        let was_connected = error.is_some_and(|error| !error.is_connect());
        if was_connected { CallError::Broken } else { CallError::Unreachable }
    })?;
    span.record("status", response.status().as_u16());
    Ok(response)
}

/// Reads a body up to a limit, before the deadline.
///
/// # Errors
/// When the body is longer, breaks off, or does not arrive in time.
pub async fn read(
    mut response: Response,
    limit_bytes: usize,
    deadline: Instant,
) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(&mut response, deadline).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit_bytes {
            return Err(CallError::TooLong);
        }
    }
    Ok(bytes)
}

/// Reads the next part of a body, before the deadline; none at its end.
///
/// # Errors
/// When it breaks off or does not arrive in time.
pub async fn next_chunk(
    response: &mut Response,
    deadline: Instant,
) -> Result<Option<Bytes>, CallError> {
    let chunk = timeout_at(deadline, response.chunk()).await.map_err(|_| CallError::TimeUp)?;
    chunk.map_err(|_| CallError::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// A listener on a free port, and its URL.
    async fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("its address"));
        (listener, url)
    }

    /// Responds to the next request with this digit. False where the client has closed the connection.
    async fn respond(stream: &mut TcpStream, digit: u8) -> bool {
        let read = stream.read(&mut [0; 1024]).await.expect("a request or the end of the stream");
        let response = [b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", &[digit][..]].concat();
        read > 0 && stream.write_all(&response).await.is_ok()
    }

    /// Sends a request and reads the response.
    async fn call(client: &HttpClient, method: Method, url: &str) -> Result<Vec<u8>, CallError> {
        let request = Request::new(method, url.parse().expect("a URL"));
        let deadline = Instant::now() + Duration::from_secs(30);
        read(send(client, request, deadline).await?, 1, deadline).await
    }

    #[tokio::test]
    async fn a_connection_idle_beyond_the_limit_is_not_reused() {
        let (listener, url) = listener().await;
        let number_connections = async {
            for digit in b'1'.. {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(async move { while respond(&mut stream, digit).await {} });
            }
        };
        let client = live();
        let requests = async {
            let mut bodies = Vec::new();
            for idle in [Duration::ZERO, IDLE_LIMIT / 2, IDLE_LIMIT] {
                // The clock is paused only here, because a paused clock runs ahead of real sockets.
                tokio::time::pause();
                tokio::time::advance(idle).await;
                tokio::time::resume();
                bodies.extend(call(&client, Method::POST, &url).await.expect("a response"));
            }
            bodies
        };
        tokio::select! {
            bodies = requests => assert_eq!(bodies, b"112"),
            () = number_connections => {}
        }
    }

    #[tokio::test]
    async fn a_closed_connection_is_not_reused() {
        let (listener, url) = listener().await;
        let client = live();
        for digit in *b"12" {
            let server = async {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                respond(&mut stream, digit).await;
                stream.shutdown().await.expect("a close");
                stream.read(&mut [0]).await.expect("the client's close")
            };
            let (response, _) = tokio::join!(call(&client, Method::POST, &url), server);
            assert_eq!(response.expect("a response"), [digit]);
        }
    }

    #[tokio::test]
    async fn a_request_that_only_reads_is_repeated_once_when_its_connection_breaks() {
        for (method, expected) in [(Method::GET, 2), (Method::POST, 1), (Method::PUT, 1)] {
            let (listener, url) = listener().await;
            let client = live();
            let mut n_requests = 0;
            let break_connections = async {
                loop {
                    let (mut stream, _) = listener.accept().await.expect("a connection");
                    n_requests += stream.read(&mut [0; 1024]).await.expect("a request").min(1);
                }
            };
            tokio::select! {
                response = call(&client, method, &url) => {
                    assert!(matches!(response, Err(CallError::Broken)));
                }
                () = break_connections => {}
            }
            assert_eq!(n_requests, expected);
        }
    }

    #[tokio::test]
    async fn the_live_client_speaks_tls_to_an_https_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url =
            format!("https://localhost:{}/", listener.local_addr().expect("its address").port());
        let request = Request::new(Method::GET, url.parse().expect("a URL"));
        let client = live();
        let deadline = Instant::now() + Duration::from_secs(30);
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.read_u8().await.expect("a byte")
        };
        let (first_byte, response) = tokio::join!(server, send(&client, request, deadline));
        assert_eq!(first_byte, 0x16, "a TLS handshake begins with this");
        assert!(matches!(response, Err(CallError::Unreachable)));
    }
}
