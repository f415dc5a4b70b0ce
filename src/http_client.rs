//! The outgoing HTTP call: one port for everything upstream, and the bounds of every exchange.
//!
//! The port is a [`tower`] service, so hyper's client is the live side and a stand-in's router,
//! called in memory, is the other. Neither follows redirects: an answer of 3xx is an answer.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};
use tower::{BoxError, Service, ServiceExt, util::BoxCloneSyncService};

/// The body of an upstream answer, not yet read.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Anything that can carry a request upstream and bring an answer back.
pub type HttpClient = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, BoxError>;

/// How we introduce ourselves upstream.
pub const USER_AGENT: &str = concat!("per-user-db/", env!("CARGO_PKG_VERSION"));

/// A host that does not complete a TCP handshake in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no answer, or no whole one. Whether the request took effect is unknown in each
/// case.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The time set aside for this call ran out.
    #[error("no answer in the time set aside")]
    TimeUp,
    /// The connection could not be made, or broke.
    #[error("the connection broke")]
    Broken(#[source] BoxError),
    /// The body is longer than we are willing to read.
    #[error("the body is too long")]
    TooLong,
}

/// The live client: TLS by rustls with root certificates compiled in, HTTP/1.1, connections kept
/// and reused.
pub fn live() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http() // settings let plain http through for loopback only
        .enable_http1()
        .wrap_connector(connector);
    boxed(
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector),
    )
}

/// Makes a client of any service that answers HTTP requests.
pub fn boxed<S, B>(service: S) -> HttpClient
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    BoxCloneSyncService::new(
        service
            .map_response(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()))
            .map_err(Into::into),
    )
}

/// Sends a request; the head of the answer must be there by `until`.
pub async fn send(
    client: &HttpClient,
    request: Request<Full<Bytes>>,
    until: Instant,
) -> Result<Response<Body>, CallError> {
    match timeout_at(until, client.clone().oneshot(request)).await {
        Ok(answer) => answer.map_err(CallError::Broken),
        Err(_) => Err(CallError::TimeUp),
    }
}

/// Reads a body of at most `limit_bytes`, all of it by `until`.
pub async fn read(
    mut body: Body,
    limit_bytes: usize,
    until: Instant,
) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(&mut body, until).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit_bytes {
            return Err(CallError::TooLong);
        }
    }
    Ok(bytes)
}

/// The next piece of a body, by `until`; none at its end.
pub async fn next_chunk(body: &mut Body, until: Instant) -> Result<Option<Bytes>, CallError> {
    loop {
        match timeout_at(until, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(CallError::Broken(error)),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                } // else trailers: nothing of ours
            }
            Err(_) => return Err(CallError::TimeUp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_live_client_speaks_tls_to_an_https_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url =
            format!("https://localhost:{}/", listener.local_addr().expect("its address").port());
        let request = Request::get(url).body(Full::default()).expect("a request");
        let client = live();
        let until = Instant::now() + Duration::from_secs(30);
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.read_u8().await.expect("a byte")
        };
        let (first_byte, answer) = tokio::join!(server, send(&client, request, until));
        assert_eq!(first_byte, 0x16, "a TLS handshake begins with this");
        assert!(matches!(answer, Err(CallError::Broken(_))));
    }
}
