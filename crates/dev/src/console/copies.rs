//! An event to take along: as a curl command, for `sam local invoke`, as a test.

use std::fmt::Write;

use bytes::Bytes;
use http::Request;
use standin::function_url::{self, BodyEncoding};
use strum::EnumString;

/// The form of a copy.
#[derive(Clone, Copy, EnumString)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Form {
    /// A command that delivers it to the function of `cargo dev`.
    Curl,
    /// An event for `sam local invoke`.
    Sam,
    /// A test beside those in `tests/front_door`.
    Fixture,
}

/// Writes a signed delivery in this form. `url` is that of the function.
pub(super) fn write(form: Form, request: &Request<Bytes>, url: &str) -> String {
    let body = String::from_utf8_lossy(request.body());
    match form {
        Form::Curl => {
            let mut command = format!("curl -sS {}", quoted(url));
            for (name, value) in request.headers() {
                let value = String::from_utf8_lossy(value.as_bytes());
                let _infallible = write!(command, " -H {}", quoted(&format!("{name}: {value}")));
            }
            command + " --data-binary " + &quoted(&body) + "\n"
        }
        Form::Sam => format!("{:#}\n", function_url::event(request, BodyEncoding::Text)),
        Form::Fixture => {
            let longest = body.split('"').skip(1).map(|it| it.bytes().take_while(|it| *it == b'#'));
            let hashes = "#".repeat(longest.map(Iterator::count).max().unwrap_or(0) + 1);
            format!(
                "#[tokio::test(start_paused = true)]\n\
                 async fn the_delivery_that_was_copied_from_the_console_is_answered() {{\n    \
                     let body = r{hashes}\"{body}\"{hashes};\n    \
                     let app = TestApp::new();\n    \
                     let response = app.deliver(body).await;\n    \
                     assert_eq!(response.status(), 200);\n\
                 }}\n"
            )
        }
    }
}

/// A word of a shell's command, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(form: Form, body: &'static str) -> String {
        let request = Request::post("/webhooks/clerk").header("a", "it's").body(body.into());
        request.map(|it| write(form, &it, "http://127.0.0.1:9000/")).unwrap_or_default()
    }

    #[test]
    fn nothing_in_an_event_ends_the_quotes_of_the_command() {
        let command = copy(Form::Curl, "{\"name\":\"it's $(id) `id`\"}");
        let expected = r#"curl -sS 'http://127.0.0.1:9000/' -H 'a: it'\''s' --data-binary '{"name":"it'\''s $(id) `id`"}'"#;
        assert_eq!(command.trim_end(), expected);
    }

    #[test]
    fn nothing_in_an_event_ends_the_text_of_the_test() {
        assert!(copy(Form::Fixture, r#"{"a":"b"}"#).contains(r##"r#"{"a":"b"}"#;"##));
        assert!(copy(Form::Fixture, "\"##").contains("r###\"\"##\"###;"));
    }
}
