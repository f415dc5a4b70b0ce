//! Exchanges held against the vendors' own OpenAPI documents.
//!
//! The documents are third-party files that stay in `../shared/contracts/openapi` beside the repository,
//! or where `CONTRACTS_OPENAPI` says. Without them nothing is judged, and one line on standard error
//! says so; where the variable is set, their absence fails every test that asks.
//!
//! A [`Watch`] judges what a stand-in answers and what is asked of it, against a [`Specification`].
//! Two things are stricter than OpenAPI: a member, parameter or status that the document does not
//! name is a violation, since a misspelt optional member would pass unseen otherwise.
//! One is laxer: a status that is named without a schema may have any body.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `document` | from the file to its operations |
//! | `schema` | OpenAPI 3.0's schemas as JSON Schema |
//! | `judge` | an exchange against an operation |
//! | `deviation` | where the services are known to leave their documents |

mod deviation;
mod document;
mod judge;
mod schema;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};

pub use self::deviation::{CLERK_DEVIATIONS, DEVIATIONS, Deviation, HOOKDECK_DEVIATIONS};
pub use self::document::{Specification, absence};
use crate::clerk::backend::Backend;
use crate::hookdeck::admin::Admin;
use crate::interceptor::Observer;
use crate::xata::platform::Platform;

/// Whether it was asked or answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request.
    Request,
    /// The response.
    Response,
}

/// One place where an exchange leaves the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The document's name of the operation; method and path where it has none.
    pub operation: String,
    /// Which half of the exchange.
    pub side: Side,
    /// The status of a response.
    pub status: Option<u16>,
    /// JSON pointer into the body; for what is not in a body, what it is, such as `query region`.
    pub pointer: String,
    /// The keyword of the schema that is not kept.
    pub keyword: String,
    /// What is wrong, in words.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, side, status, pointer, keyword, what } = self;
        write!(f, "{operation} ")?;
        match (side, status) {
            (Side::Request, _) => write!(f, "request")?,
            (Side::Response, Some(status)) => write!(f, "response {status}")?,
            (Side::Response, None) => write!(f, "response")?,
        }
        write!(f, ", {pointer:?} breaks `{keyword}`: {what}")
    }
}

/// Which requests are held against the document.
#[derive(Clone, Copy, Debug)]
pub enum Requests {
    /// Every one: who asks is on trial.
    All,
    /// Those that were taken (2xx), as wrong ones are sent on purpose. Of these, the stand-in is
    /// known to take more than the document allows.
    Taken(&'static [Deviation]),
}

/// The judge of one stand-in's exchanges. Clones are the same one, and each of them that is dropped
/// panics while there is a violation, so no test passes with one.
#[derive(Clone, Debug)]
pub struct Watch(Option<Arc<Judge>>);

#[derive(Debug)]
struct Judge {
    /// The first that has the operation judges it.
    specifications: Vec<&'static Specification>,
    requests: Requests,
    known: &'static [Deviation],
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    n_judged: usize,
    violations: Vec<Violation>,
    met: Vec<&'static Deviation>,
}

impl Watch {
    /// Watches this platform from now on; does nothing without the documents.
    pub fn platform(platform: &Platform, requests: Requests) -> Self {
        let watch = Self::new(Specification::xata(), requests, &DEVIATIONS);
        if let Some(judge) = &watch.0 {
            platform.observe(judge.clone());
        }
        watch
    }

    /// Watches this instance of Clerk from now on; does nothing without the documents.
    pub fn clerk(backend: &Backend, requests: Requests) -> Self {
        let watch = Self::new(
            Specification::clerk_backend().into_iter().collect(),
            requests,
            &CLERK_DEVIATIONS,
        );
        if let Some(judge) = &watch.0 {
            backend.observe(judge.clone());
        }
        watch
    }

    /// Watches this project of Hookdeck's from now on; does nothing without the documents.
    pub fn hookdeck(admin: &Admin, requests: Requests) -> Self {
        let watch = Self::new(
            Specification::hookdeck_admin().into_iter().collect(),
            requests,
            &HOOKDECK_DEVIATIONS,
        );
        if let Some(judge) = &watch.0 {
            admin.observe(judge.clone());
        }
        watch
    }

    fn new(
        specifications: Vec<&'static Specification>,
        requests: Requests,
        known: &'static [Deviation],
    ) -> Self {
        let judge = Judge { specifications, requests, known, found: Mutex::default() };
        Self((!judge.specifications.is_empty()).then(|| Arc::new(judge)))
    }

    /// Fails while there is a violation.
    ///
    /// # Panics
    ///
    /// Then, naming every one.
    pub fn assert_clean(&self) {
        let Some(judge) = &self.0 else { return };
        let violations: Vec<String> =
            judge.found().violations.iter().map(ToString::to_string).collect();
        assert!(violations.is_empty(), "not as specified:\n{}", violations.join("\n"));
    }

    /// How many requests and answers have been judged; none without the documents.
    pub fn n_judged(&self) -> Option<usize> {
        self.0.as_ref().map(|judge| judge.found().n_judged)
    }

    /// The deviations met so far.
    pub fn met(&self) -> Vec<&'static Deviation> {
        self.0.as_ref().map(|judge| judge.found().met.clone()).unwrap_or_default()
    }

    /// Takes the violations away, for a test that has broken something on purpose.
    pub fn take_violations(&self) -> Vec<Violation> {
        let take = |judge: &Arc<Judge>| std::mem::take(&mut judge.found().violations);
        self.0.as_ref().map(take).unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_clean();
        }
    }
}

impl Judge {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn specification(&self, request: &Request<Bytes>) -> &'static Specification {
        let (method, path) = (request.method(), request.uri().path());
        let has_it = |it: &&&Specification| it.operation(method, path).is_some();
        self.specifications.iter().find(has_it).unwrap_or(&self.specifications[0])
    }

    fn note(&self, violations: Vec<Violation>) {
        let taken = match self.requests {
            Requests::All => &[],
            Requests::Taken(taken) => taken,
        };
        let mut found = self.found();
        found.n_judged += 1;
        for violation in violations {
            match self.known.iter().chain(taken).find(|known| known.excuses(&violation)) {
                Some(known) => found.met.push(known),
                None => found.violations.push(violation),
            }
        }
    }
}

impl Observer for Judge {
    fn on_request(&self, request: &Request<Bytes>) {
        if let Requests::All = self.requests {
            self.note(self.specification(request).judge_request(request));
        }
    }

    fn on_response(&self, request: &Request<Bytes>, response: &Response<Bytes>) {
        if let (Requests::Taken(_), true) = (self.requests, response.status().is_success()) {
            self.note(self.specification(request).judge_request(request));
        }
        self.note(self.specification(request).judge_response(request, response));
    }
}
