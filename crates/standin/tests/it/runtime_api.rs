//! The Runtime API as a client of AWS's crate sees it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use standin::runtime_api::RuntimeApi;
use tokio::net::TcpStream;

type Answer = (StatusCode, HeaderMap, Bytes);

/// Sends a request over a connection of its own.
async fn send(api: &RuntimeApi, path: &str, body: Option<&str>) -> hyper::Result<Answer> {
    let stream = TcpStream::connect(api.address()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(if body.is_some() { "POST" } else { "GET" })
        .uri(format!("/2018-06-01/runtime/{path}"))
        .body(Full::new(Bytes::from(body.unwrap_or_default().to_owned())))
        .unwrap();
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok((head.status, head.headers, body.collect().await?.to_bytes()))
}

async fn next(api: &RuntimeApi) -> hyper::Result<Answer> {
    send(api, "invocation/next", None).await
}

fn deadline() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_mins(1)
}

#[tokio::test]
async fn each_of_several_requests_that_wait_gets_an_invocation_of_its_own() {
    let api = RuntimeApi::start().unwrap();
    let invoke = |payload: &'static str| api.invoke(payload.into(), deadline());
    let invocations = async { tokio::join!(invoke("one"), invoke("two")) };
    let process = async {
        let (first, second) = tokio::join!(next(&api), next(&api));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_ne!(first.2, second.2);
        // The later one is answered first, and one with an error.
        for ((_, headers, body), answer) in [(second, "response"), (first, "error")] {
            assert_eq!(headers["lambda-runtime-deadline-ms"], "60000");
            assert!(headers["lambda-runtime-trace-id"].to_str().unwrap().starts_with("Root=1-"));
            let id = headers["lambda-runtime-aws-request-id"].to_str().unwrap();
            let path = format!("invocation/{id}/{answer}");
            let body = format!("{answer} to {}", str::from_utf8(&body).unwrap());
            assert_eq!(send(&api, &path, Some(&body)).await.unwrap().0, 202);
            assert_eq!(send(&api, &path, Some("again")).await.unwrap().0, 400);
        }
    };
    let ((one, two), ()) = tokio::join!(invocations, process);
    for (invoked, payload) in [(&one, "one"), (&two, "two")] {
        match &invoked.result {
            Ok(body) => assert_eq!(*body, format!("response to {payload}")),
            Err(body) => assert_eq!(*body, format!("error to {payload}")),
        }
        assert!(api.first_next().await <= invoked.handed_out_at);
        assert_eq!(invoked.duration(), invoked.answered_at - invoked.handed_out_at);
    }
    assert_ne!(one.result.is_ok(), two.result.is_ok());
    assert_ne!(one.request_id, two.request_id);
}

#[tokio::test]
async fn after_the_end_what_is_queued_is_handed_out_and_then_the_connection_is_closed() {
    let api = RuntimeApi::start().unwrap();
    let _invocation = api.invoke("last".into(), deadline());
    api.end();
    assert_eq!(next(&api).await.unwrap().2, "last");
    assert!(next(&api).await.unwrap_err().is_incomplete_message());
}

#[tokio::test]
async fn a_start_that_failed_is_reported() {
    let api = RuntimeApi::start().unwrap();
    assert_eq!(send(&api, "init/error", Some("why")).await.unwrap().0, 202);
    assert_eq!(api.init_error().await, "why");
}
