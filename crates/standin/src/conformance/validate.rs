//! Compares a request or a response with an operation.

use axum::extract::Query;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::document::{Operation, Specification, escaped};
use super::violation::{Side, Violation};

/// The length of a schema's own message, which quotes the value.
const LONGEST_QUOTE: usize = 300;

/// Where it is, which keyword it violates, and what is wrong in words.
type Problem = (String, String, String);

impl Specification {
    /// What is wrong with a request.
    pub fn validate_request(&self, request: &Request<Bytes>) -> Vec<Violation> {
        let (method, uri) = (request.method(), request.uri());
        let (operation, problems) = match self.operation(method, uri.path()) {
            Some(operation) => {
                let mut problems = self.parameters(&operation, request);
                problems.extend(self.request_problems(&operation, request));
                (operation.name.to_owned(), problems)
            }
            None => (unnamed(method, uri), vec![unknown("paths", "operation")]),
        };
        violations(&operation, Side::Request, None, problems)
    }

    /// What is wrong with the answer to a request.
    pub fn validate_response(
        &self,
        request: &Request<Bytes>,
        response: &Response<Bytes>,
    ) -> Vec<Violation> {
        let (method, uri, status) = (request.method(), request.uri(), response.status());
        let (operation, problems) = match self.operation(method, uri.path()) {
            Some(operation) => {
                (operation.name.to_owned(), self.response_problems(&operation, response))
            }
            // A 404 or 405 for what the document does not have agrees with it.
            None if [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status) => {
                return Vec::new();
            }
            None => (unnamed(method, uri), vec![unknown("paths", "operation")]),
        };
        violations(&operation, Side::Response, Some(status.as_u16()), problems)
    }

    /// What is wrong with a value, according to a named schema of the document.
    ///
    /// # Panics
    ///
    /// If the document has no such schema.
    pub fn validate_value(&self, schema: &str, value: &Value) -> Vec<String> {
        let problems = self.problems(&format!("/components/closed/{schema}"), value);
        problems.into_iter().map(|(at, keyword, what)| format!("{at} {keyword}: {what}")).collect()
    }

    fn response_problems(&self, operation: &Operation, response: &Response<Bytes>) -> Vec<Problem> {
        let status = response.status().as_u16();
        let names = [status.to_string(), format!("{}XX", status / 100), "default".into()];
        let described = names
            .iter()
            .find_map(|name| self.resolved(format!("{}/responses/{name}", operation.pointer)));
        let Some((pointer, node)) = described else {
            return vec![unknown("responses", "status")];
        };
        if node.get("content").is_some() {
            return self.body(&pointer, response.headers(), None, response.body());
        }
        if status == 204 && !response.body().is_empty() {
            return vec![problem("", "content", "there is a body")];
        }
        Vec::new()
    }

    fn request_problems(&self, operation: &Operation, request: &Request<Bytes>) -> Vec<Problem> {
        let described = self.resolved(format!("{}/requestBody", operation.pointer));
        match (described, request.body().is_empty()) {
            (None, true) => Vec::new(),
            (None, false) => vec![problem("", "requestBody", "there is a body")],
            (Some((_, node)), true) if node["required"] != true => Vec::new(),
            (Some(_), true) => vec![problem("", "requestBody", "there is no body")],
            // Xata reads a request without a content type as JSON.
            (Some((pointer, _)), false) => {
                self.body(&pointer, request.headers(), Some("application/json"), request.body())
            }
        }
    }

    fn body(
        &self,
        described_at: &str,
        headers: &HeaderMap,
        otherwise: Option<&str>,
        body: &[u8],
    ) -> Vec<Problem> {
        let given = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let essence = given.or(otherwise).and_then(|it| it.split(';').next()).unwrap_or_default();
        let essence = escaped(&essence.trim().to_ascii_lowercase());
        let Some((pointer, media_type)) =
            self.resolved(format!("{described_at}/content/{essence}"))
        else {
            return vec![problem("", "content", format!("the content type is {given:?}"))];
        };
        match (media_type.get("schema"), serde_json::from_slice(body)) {
            (None, _) => Vec::new(),
            (_, Err(error)) => vec![problem("", "content", format!("is not JSON: {error}"))],
            (_, Ok(body)) => self.problems(&format!("{pointer}/schema"), &body),
        }
    }

    fn parameters(&self, operation: &Operation, request: &Request<Bytes>) -> Vec<Problem> {
        let Ok(Query(query)) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()) else {
            return vec![problem("query", "parameters", "cannot be read")];
        };
        let (path_item, _) = operation.pointer.rsplit_once('/').unwrap_or_default();
        let described: Vec<_> = [&operation.pointer, path_item]
            .into_iter()
            .flat_map(|owner| {
                let at = move |n| self.resolved(format!("{owner}/parameters/{n}"));
                (0..).map_while(at)
            })
            .collect();
        let mut problems = Vec::new();
        for (name, _) in &query {
            let is_known = |it: &Value| it["in"] == "query" && it["name"] == name.as_str();
            if !described.iter().any(|(_, it)| is_known(it)) {
                problems.push(problem(
                    &format!("query {name}"),
                    "parameters",
                    "is not in the document",
                ));
            }
        }
        for (pointer, parameter) in described {
            let name = parameter["name"].as_str().unwrap_or_default();
            let place = parameter["in"].as_str().unwrap_or_default();
            let value = match place {
                "path" => operation.parameters.iter().find(|it| it.0 == name).map(|it| it.1),
                "query" => query.iter().find(|it| it.0 == name).map(|it| it.1.as_str()),
                _ => request.headers().get(name).and_then(|value| value.to_str().ok()),
            };
            let at = format!("{place} {name}");
            if parameter["schema"]["type"] == "array" && place == "query" {
                // Each value is an element; the name may be repeated.
                let values = query.iter().filter(|it| it.0 == name).map(|it| it.1.as_str());
                let found = self.problems(&format!("{pointer}/schema"), &values.collect());
                problems.extend(found.into_iter().map(|it| (at.clone(), it.1, it.2)));
                continue;
            }
            match value {
                None if parameter["required"] == true => {
                    problems.push(problem(&at, "required", "is missing"));
                }
                None => {}
                Some(value) => {
                    let text = parameter["schema"]["type"] == "string";
                    let parsed = serde_json::from_str(value).ok().filter(|_| !text);
                    let value = parsed.unwrap_or_else(|| value.into());
                    let found = self.problems(&format!("{pointer}/schema"), &value);
                    problems.extend(found.into_iter().map(|it| (at.clone(), it.1, it.2)));
                }
            }
        }
        problems
    }

    fn problems(&self, schema: &str, instance: &Value) -> Vec<Problem> {
        let validator = self.validator(schema);
        let mut problems: Vec<Problem> =
            validator.iter_errors(instance).flat_map(|error| explained(&error)).collect();
        // Where a part of a composition is violated, the members that it would have named are unknown.
        let is_certain = |fault: &Problem| fault.1 != "unevaluatedProperties";
        if problems.iter().any(is_certain) {
            problems.retain(is_certain);
        }
        problems
    }
}

fn explained(error: &ValidationError) -> Vec<Problem> {
    let at = error.instance_path().to_string();
    let keyword = error.kind().keyword();
    let member = |name: &str| format!("{at}/{}", escaped(name));
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            vec![problem(&member(property.as_str().unwrap_or_default()), keyword, "is missing")]
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => unexpected
            .iter()
            .map(|name| problem(&member(name), keyword, "is not in the document"))
            .collect(),
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            let parts = context.iter().map(|errors| {
                let errors = errors.iter().map(|it| format!("{}: {it}", it.instance_path()));
                errors.collect::<Vec<_>>().join(", ")
            });
            vec![problem(&at, keyword, quote(&parts.collect::<Vec<_>>().join("; or ")))]
        }
        _ => vec![problem(&at, keyword, quote(&error.to_string()))],
    }
}

fn quote(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

fn problem(at: &str, keyword: &str, what: impl Into<String>) -> Problem {
    (at.into(), keyword.into(), what.into())
}

fn unknown(keyword: &str, what: &str) -> Problem {
    problem("", keyword, format!("the document has no such {what}"))
}

fn unnamed(method: &Method, uri: &Uri) -> String {
    format!("{method} {}", uri.path())
}

fn violations(
    operation: &str,
    side: Side,
    status: Option<u16>,
    problems: Vec<Problem>,
) -> Vec<Violation> {
    let violation = |(pointer, keyword, what)| Violation {
        operation: operation.into(),
        side,
        status,
        pointer,
        keyword,
        what,
    };
    problems.into_iter().map(violation).collect()
}
