//! A place where an exchange deviates from the document.

use std::fmt;

/// A half of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request.
    Request,
    /// The response.
    Response,
}

/// One place where an exchange deviates from the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The document's name of the operation; method and path where it has none.
    pub operation: String,
    /// Request or response.
    pub side: Side,
    /// The status of a response.
    pub status: Option<u16>,
    /// JSON pointer into the body; for what is not in a body, what it is, such as `query region`.
    pub pointer: String,
    /// The keyword of the schema that is violated.
    pub keyword: String,
    /// What is wrong, in words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, side, status, pointer, keyword, what } = self;
        let side = match (side, status) {
            (Side::Request, _) => "request".to_owned(),
            (Side::Response, Some(status)) => format!("response {status}"),
            (Side::Response, None) => "response".to_owned(),
        };
        write!(f, "{operation} {side}, {pointer:?} breaks `{keyword}`: {what}")
    }
}
