//! Hostile requests. Each has its documented status, sends no request to Xata, and leaves none of
//! its text in the response or in the log.

use bytes::Bytes;
use serde_json::{Value, json};
use standin::function_url::{self, BodyEncoding};
use standin::hookdeck;

use crate::test_app::{SECRET, TestApp, delivery, user_created};

/// Part of the hostile texts. It must not be in the response or in the log.
const PLANTED: &str = "pl4nted";

/// A name, a payload, and the status of the response.
type Case = (String, String, u16);

/// The Function URL event of a delivery with a valid signature.
fn event_of(body: impl Into<Bytes>) -> Value {
    function_url::event(&delivery(body), BodyEncoding::Text)
}

/// The Function URL event of a sign-up, with a change.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut event = event_of(user_created(1));
    change(&mut event);
    event.to_string()
}

/// The same with another header.
fn with_event_header(name: &str, value: impl Into<Value>) -> String {
    changed(|event| event["headers"][name] = value.into())
}

fn methods() -> Vec<Case> {
    let methods = [
        "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "PL4NTED",
        "",
    ];
    // A method with characters that HTTP does not allow makes no HTTP request.
    let invalid = ["POST ", "P\u{d6}ST", "POST\r\nx: y"];
    let case = |(method, status): (&str, u16)| {
        let payload = changed(|event| event["requestContext"]["http"]["method"] = method.into());
        (format!("method {method:?}"), payload, status)
    };
    let all = methods.map(|it| (it, 405)).into_iter().chain(invalid.map(|it| (it, 401)));
    all.map(case).collect()
}

fn paths() -> Vec<Case> {
    let long = "/a".repeat(100_000);
    let paths = [
        "",
        "//",
        "/.",
        "/..",
        "/./",
        "/%2e",
        "/%2F",
        "/webhooks",
        "/webhooks/",
        "/webhooks/clerk/",
        "/webhooks//clerk",
        "/Webhooks/clerk",
        "/webhooks/clerk%00",
        "/webhooks/clerk\0",
        "/webhooks/clerk;x",
        "/webhooks/clerk?x",
        "/webhooks/clerk#x",
        "/webhooks/../webhooks/clerk",
        "/../../etc/passwd",
        "webhooks/clerk",
        "http://pl4nted/webhooks/clerk",
        "/webhooks/clerk/pl4nted",
        "/\u{202e}",
        "/ ",
        "/\n",
        "/\0",
        "/\u{1}\u{7f}",
        "/%00%0a",
        "/\r\nx: y",
        "/cgi-bin/\u{85}",
    ];
    let case = |(path, status): (&str, u16)| {
        let name: String = path.chars().take(30).collect();
        (format!("path {name:?}"), changed(|event| event["rawPath"] = path.into()), status)
    };
    // A path that is too long for a URL makes no HTTP request.
    paths.map(|it| (it, 404)).into_iter().chain([(&*long, 401)]).map(case).collect()
}

fn signatures() -> Vec<Case> {
    let body = user_created(1);
    let good = hookdeck::signature(SECRET, &body);
    let others = [
        String::new(),
        " ".into(),
        PLANTED.into(),
        format!(" {good}"),
        format!("{good} "),
        format!("{good},{good}"),
        format!("{good} {good}"),
        format!("sha256={good}"),
        format!("v1,{good}"),
        format!("{good}="),
        good.trim_end_matches('=').to_owned(),
        good.to_lowercase(),
        good[..22].to_owned(),
        good.repeat(10_000),
        "=".repeat(44),
        "\u{ff21}".repeat(44),
        hookdeck::signature("another", &body),
        hookdeck::signature(SECRET, b""),
        hookdeck::signature(SECRET, &[&body[..], b"\n"].concat()),
        hookdeck::signature(&format!("{SECRET}\n"), &body),
    ];
    let case = |(index, signature): (usize, String)| {
        assert_ne!(signature, good, "the case is not hostile");
        (format!("signature {index}"), with_event_header("x-hookdeck-signature", signature), 401)
    };
    let mut cases: Vec<_> = others.into_iter().enumerate().map(case).collect();
    let missing = changed(|event| {
        event["headers"].as_object_mut().unwrap().remove("x-hookdeck-signature");
    });
    let only_second = changed(|event| {
        let headers = event["headers"].as_object_mut().unwrap();
        let good = headers.remove("x-hookdeck-signature").unwrap();
        headers.insert("x-hookdeck-signature-2".into(), good);
    });
    let no_body = changed(|event| {
        event.as_object_mut().unwrap().remove("body");
    });
    for (name, payload) in [
        ("no signature", missing),
        ("only the second signature", only_second),
        ("no body", no_body),
    ] {
        cases.push((name.into(), payload, 401));
    }
    cases
}

fn bodies() -> Vec<Case> {
    let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
    let bodies: Vec<(&str, Vec<u8>, u16)> = vec![
        ("empty", vec![], 400),
        ("blanks", b" \n\t ".to_vec(), 400),
        ("half an object", b"{".to_vec(), 400),
        ("two objects", b"{}{}".to_vec(), 400),
        ("text", b"pl4nted".to_vec(), 400),
        ("a number", b"7".to_vec(), 400),
        ("a huge number", b"1e999999".to_vec(), 400),
        ("null", b"null".to_vec(), 400),
        ("a string", b"\"pl4nted\"".to_vec(), 400),
        ("an array", b"[]".to_vec(), 400),
        ("an array like an event", br#"["user.created",{"id":"user_abcdefghij"}]"#.to_vec(), 400),
        ("deep arrays", deep("[", "]").into_bytes(), 400),
        ("deep objects", deep("{\"a\":", "}").replace("}}", "1}}").into_bytes(), 400),
        ("half-open deep arrays", "[".repeat(500_000).into_bytes(), 400),
        ("a byte order mark", "\u{feff}{\"type\":\"x\"}".as_bytes().to_vec(), 400),
        ("UTF-16", "{\"type\":\"x\"}".encode_utf16().flat_map(u16::to_le_bytes).collect(), 400),
        ("not UTF-8", b"{\"type\":\"x\",\"y\":\"\xc3\x28\"}".to_vec(), 400),
        ("an overlong encoding", b"{\"type\":\"x\",\"y\":\"\xc0\xaf\"}".to_vec(), 400),
        ("a lone surrogate as type", br#"{"type":"\ud800"}"#.to_vec(), 400),
        ("a control character in a string", b"{\"type\":\"user.created\n\"}".to_vec(), 400),
        ("comments", b"{/* pl4nted */\"type\":\"x\"}".to_vec(), 400),
        ("a trailing comma", b"{\"type\":\"x\",}".to_vec(), 400),
        ("single quotes", b"{'type':'x'}".to_vec(), 400),
        ("no type", b"{\"data\":{\"id\":\"user_abcdefghij\"}}".to_vec(), 400),
        ("a type that is a number", b"{\"type\":1}".to_vec(), 400),
        ("a type that is null", b"{\"type\":null}".to_vec(), 400),
        ("a type that is an array", b"{\"type\":[\"user.created\"]}".to_vec(), 400),
        ("a type in another case", b"{\"type\":\"USER.CREATED\",\"data\":{}}".to_vec(), 200),
        ("a type with a blank", b"{\"type\":\"user.created \"}".to_vec(), 200),
        ("an unknown type", b"{\"type\":\"pl4nted\"}".to_vec(), 200),
        ("a huge type", format!("{{\"type\":\"{}\"}}", "x".repeat(900_000)).into_bytes(), 200),
        (
            "the last of two types counts",
            b"{\"type\":\"user.created\",\"type\":\"x\"}".to_vec(),
            200,
        ),
        ("a name with escapes", br#"{"\u0074ype":"x"}"#.to_vec(), 200),
        (
            "depth in an ignored event",
            format!("{{\"type\":\"x\",\"y\":{}}}", deep("[", "]")).into_bytes(),
            200,
        ),
        ("a body over the limit", vec![b' '; 1024 * 1024 + 1], 413),
        ("six megabytes", vec![b'a'; 6 * 1024 * 1024], 413),
    ];
    let case = |(name, body, status): (&str, Vec<u8>, u16)| {
        (format!("body: {name}"), event_of(body).to_string(), status)
    };
    bodies.into_iter().map(case).collect()
}

fn ids() -> Vec<Case> {
    let good = "user_abcdefghij";
    let ids = [
        json!(null),
        json!(7),
        json!(-1.5),
        json!(true),
        json!([good]),
        json!({ "id": good }),
        json!(""),
        json!(" "),
        json!("user_"),
        json!("user_short"),
        json!("abcdefghij"),
        json!("User_abcdefghij"),
        json!("USER_abcdefghij"),
        json!("org_abcdefghij"),
        json!("user-abcdefghij"),
        json!("user_abcdefghij "),
        json!(" user_abcdefghij"),
        json!("user_abcdefghij\n"),
        json!("user_abcdefghij\u{0}"),
        json!("user_abcd/fghij"),
        json!("user_../../../dbs"),
        json!("user_..%2f..%2fdbs"),
        json!("user_%2e%2e%2fdbs"),
        json!("user_abcdefghij?x=1"),
        json!("user_abcdefghij#x"),
        json!("user_abcdefghij;x"),
        json!("user_abcdefghij:main"),
        json!("user_abc defghij"),
        json!("user_abcdefghij\u{e9}"),
        json!("user_\u{ff41}bcdefghij"),
        json!("user_abcdefgh\u{202e}ij"),
        json!("user_abcdefghij'--"),
        json!("user_${jndi:x}"),
        json!("user_{{7*7}}aaaaaa"),
        json!("user_\u{1f600}\u{1f600}\u{1f600}"),
        json!(format!("user_{}", "a".repeat(65))),
        json!(format!("user_{}", "a".repeat(900_000))),
        json!("../users/user_abcdefghij"),
        json!("user_abcdefghij,user_abcdefghik"),
    ];
    let mut cases = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        for kind in ["user.created", "user.deleted"] {
            let body = json!({ "type": kind, "data": { "id": id, "x": PLANTED } }).to_string();
            cases.push((format!("{kind} of id {index}"), event_of(body).to_string(), 400));
        }
    }
    cases
}

/// Payloads that are no Function URL event.
fn payloads() -> Vec<Case> {
    let payloads = [
        "null",
        "true",
        "7",
        "\"pl4nted\"",
        "[]",
        "{}",
        "[[[[]]]]",
        r#"{"version":"1.0","httpMethod":"POST","path":"/"}"#,
        r#"{"Records":[{"eventSource":"aws:s3","s3":{"object":{"key":"pl4nted"}}}]}"#,
        r#"{"Records":[{"eventSource":"aws:sqs","body":"pl4nted"}]}"#,
        r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#,
        r#"{"requestContext":{"elb":{}},"httpMethod":"POST","path":"/"}"#,
        r#"{"rawPath":7}"#,
        r#"{"rawPath":"/","headers":7}"#,
        r#"{"rawPath":"/","headers":{"x":["y"]}}"#,
        r#"{"rawPath":"/","requestContext":"pl4nted"}"#,
        r#"{"rawPath":"/","body":{}}"#,
        r#"{"rawPath":"/","isBase64Encoded":"yes"}"#,
        r#"{"rawPath":"/","rawPath":"/"}"#,
    ];
    let case = |payload: &str| (format!("payload {payload}"), payload.to_owned(), 401);
    payloads.into_iter().map(case).collect()
}

/// Function URL events that `lambda_http` cannot adapt to an HTTP request, by its errors and by its
/// panics.
fn unadaptable() -> Vec<Case> {
    let long_path = "/pl4nted".repeat(10_000);
    let mut cases = vec![
        ("a body that is not base64", changed(|event| event["isBase64Encoded"] = true.into())),
        ("a long path", changed(|event| event["rawPath"] = long_path.into())),
        ("a cookie that is a number", changed(|event| event["cookies"] = json!([7]))),
    ];
    for host in ["a b", "[", "[::1", "pl4nted:99999", "pl4nted:port", "user@", "%zz", "<pl4nted>"] {
        cases.push(("host", with_event_header("host", host)));
    }
    for proto in ["", "pl4nted proto", "1http", ":"] {
        cases.push(("x-forwarded-proto", with_event_header("x-forwarded-proto", proto)));
    }
    for query in ["a b", " ", "\t", "\r\nx: y", "\0", "a=\u{7f}"] {
        cases.push(("query", changed(|event| event["rawQueryString"] = query.into())));
    }
    for value in ["\0", "\n", "pl4nted\r\nx: y", "\u{7f}", "\u{1b}[31mpl4nted"] {
        cases.push(("header", with_event_header("x-hookdeck-attempt-trigger", value)));
        cases.push(("header name", with_event_header(&format!("x{value}"), "1")));
    }
    let case = |(name, payload): (&str, String)| (name.to_owned(), payload, 401);
    cases.into_iter().map(case).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hostile_request_sends_no_request_and_its_text_is_not_shown() {
    let app = TestApp::new();
    let cases =
        [methods(), paths(), signatures(), bodies(), ids(), payloads(), unadaptable()].concat();
    println!("{} hostile requests", cases.len());
    assert!(cases.len() >= 120);
    for (name, payload, status) in cases {
        let response = app.invoke(&payload).await;
        assert_eq!(response.status, status, "{name}: {}", response.body);
        let output = response.output();
        let forbidden =
            [PLANTED, "PL4NTED", SECRET, "mara.lindqvist", "Lindqvist", "84.200.69.80", "panic"];
        for text in forbidden {
            assert!(!output.contains(text), "{name}: {text} in {output}");
        }
        assert!(output.len() < 2000, "{name}: {} bytes", output.len());
    }
    assert_eq!(app.requests(), []);
    // The function still handles a valid delivery.
    let response = app.deliver(user_created(1)).await;
    assert_eq!(response.row(), (200, "created", None, None));
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_lambda_http_cannot_adapt_is_no_http_request() {
    let app = TestApp::new();
    for (name, payload, _) in [payloads(), unadaptable()].concat() {
        let response = app.invoke(&payload).await;
        assert_eq!(response.row(), (401, "unauthorized", None, None), "{name}: {payload:.300}");
        assert_eq!(response.log_line["detail"], "no_http_request", "{name}: {payload:.300}");
    }
}

#[tokio::test(start_paused = true)]
async fn headers_of_any_content_do_not_fail_a_delivery() {
    for (name, value) in [
        ("x-hookdeck-attempt-count", "99999999999999999999"),
        ("x-hookdeck-attempt-count", "-1"),
        ("x-hookdeck-attempt-count", "\u{664}\u{662}"),
        ("x-hookdeck-eventid", "evt_pl4nted\"} {\"level\":\"ERROR\""),
        ("x-hookdeck-verified", "\u{1f600}"),
        ("x-hookdeck-signature-2", "\u{ff21}"),
        ("x-hookdeck-connection-name", "Zo\u{eb}"),
        ("content-length", "-7"),
        ("content-type", "multipart/form-data"),
        ("cookie", "pl4nted"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-proto", "ht\u{e9}tp"),
        ("host", "pl4nted"),
    ] {
        let app = TestApp::new();
        let response = app.invoke(&with_event_header(name, value)).await;
        assert_eq!(response.row(), (200, "created", None, None), "{name}: {value:?}");
        assert!(!response.log_line.to_string().contains(PLANTED), "{}", response.log_line);
    }
}
