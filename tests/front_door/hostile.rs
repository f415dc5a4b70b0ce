//! Requests that nobody sends by accident. Each gets the promised status and costs nothing: no
//! request to Xata, no 5xx, and not a word of it in the answer or in the log.

use bytes::Bytes;
use serde_json::{Value, json};
use standin::clerk::{SignUp, user_id};
use standin::function_url::{self, BodyEncoding};
use standin::hookdeck;

use crate::world::{SECRET, World, delivery};

/// Stands in everything hostile that is text, and must not come back.
const PLANTED: &str = "pl4nted";

/// A case by its name: a payload, and the status it is promised.
type Case = (String, String, u16);

/// The event of a genuine delivery of this body.
fn genuine(body: impl Into<Bytes>) -> Value {
    function_url::event(&delivery(body), BodyEncoding::Text)
}

/// The event of a genuine sign-up, changed.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut event = genuine(SignUp::new(&user_id(1)).user_created());
    change(&mut event);
    event.to_string()
}

fn methods() -> Vec<Case> {
    let methods = [
        "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "PL4NTED",
        "",
    ];
    // A method that HTTP does not allow is no HTTP request, and so has no signature.
    let nonsense = ["POST ", "P\u{d6}ST", "POST\r\nx: y"];
    let case = |(method, status): (&str, u16)| {
        let payload = changed(|event| event["requestContext"]["http"]["method"] = method.into());
        (format!("method {method:?}"), payload, status)
    };
    let all = methods.map(|it| (it, 405)).into_iter().chain(nonsense.map(|it| (it, 401)));
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
    // A path that is too long for a URL is no HTTP request.
    paths.map(|it| (it, 404)).into_iter().chain([(&*long, 401)]).map(case).collect()
}

fn signatures() -> Vec<Case> {
    let body = SignUp::new(&user_id(1)).user_created();
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
        // One that differs from the good one in nothing is not hostile.
        assert_ne!(signature, good);
        let payload = changed(|event| event["headers"]["x-hookdeck-signature"] = signature.into());
        (format!("signature {index}"), payload, 401)
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
        ("nothing", vec![], 400),
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
        let event = genuine(body);
        (format!("body: {name}"), event.to_string(), status)
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
            cases.push((format!("{kind} of id {index}"), genuine(body).to_string(), 400));
        }
    }
    cases
}

/// Invocations that no Function URL makes.
fn invocations() -> Vec<Case> {
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
    let case = |payload: &str| (format!("invocation {payload}"), payload.to_owned(), 401);
    let encoded = changed(|event| event["isBase64Encoded"] = true.into());
    let control = changed(|event| event["headers"]["x-hookdeck-attempt-trigger"] = "\0".into());
    let mut cases: Vec<_> = payloads.into_iter().map(case).collect();
    cases.push(("a body that is said to be base64".into(), encoded, 401));
    cases.push(("a header with a control character".into(), control, 401));
    cases
}

#[tokio::test(start_paused = true)]
async fn no_hostile_request_costs_anything_or_is_repeated_to_anybody() {
    let world = World::new();
    let cases = [methods(), paths(), signatures(), bodies(), ids(), invocations()].concat();
    println!("{} hostile requests", cases.len());
    assert!(cases.len() >= 120);
    for (name, payload, status) in cases {
        let answered = world.invoke(&payload).await;
        assert_eq!(answered.status, status, "{name}: {}", answered.body);
        let said = format!("{}{:?}{:?}", answered.body, answered.headers, answered.log);
        for secret in [PLANTED, "PL4NTED", SECRET, "mara.lindqvist", "Lindqvist", "84.200.69.80"] {
            assert!(!said.contains(secret), "{name}: {secret} in {said}");
        }
        assert!(said.len() < 2000, "{name}: {} bytes said", said.len());
    }
    assert_eq!(world.requests(), []);
    // After all of that it still works.
    let genuine = world.deliver(SignUp::new(&user_id(1)).user_created()).await;
    assert_eq!(genuine.row(), (200, "created", None, None));
}

#[tokio::test(start_paused = true)]
async fn headers_of_any_content_are_no_reason_to_fail() {
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
    ] {
        let world = World::new();
        let payload = changed(|event| event["headers"][name] = value.into());
        let answered = world.invoke(&payload).await;
        assert_eq!(answered.row(), (200, "created", None, None), "{name}: {value:?}");
        assert!(!answered.line.to_string().contains(PLANTED), "{}", answered.line);
    }
}
