//! Who may use the console: pages of its own origin only. A page of another site can send requests to
//! this machine, and, with a name that it lets point here, read the answers.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::api::Refusal;

/// The headers of every response. Nothing is loaded from another origin, and no script or style stands in
/// the page itself, so text of an event cannot become one.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// Refuses what does not come from the console's own page. `port` is the console's.
pub(super) async fn guard(State(port): State<u16>, request: Request, next: Next) -> Response {
    let mut response = match check(port, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn check(port: u16, request: &Request<Body>) -> Result<(), Refusal> {
    let headers = request.headers();
    let host = one(headers, &HOST).unwrap_or_default();
    let own = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}"));
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    if !own.iter().any(|it| it == host) || authority.is_some_and(|it| it != host) {
        let text = format!("The console answers only at http://127.0.0.1:{port}/.");
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, text));
    }
    if *request.method() != Method::POST {
        return Ok(());
    }
    if one(headers, &ORIGIN) != Some(&format!("http://{host}")) {
        let text = "Only the console's own page may do that: the header Origin is another one.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, text));
    }
    let content_type = one(headers, &CONTENT_TYPE).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let text = "The body must be JSON, with the header Content-Type: application/json.";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    Ok(())
}

/// The text of a header that stands there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok();
    value.filter(|_| values.next().is_none())
}
