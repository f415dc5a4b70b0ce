//! Validates what is sent and answered against the vendors' own OpenAPI documents.
//!
//! The documents are third-party files in `../shared/contracts/openapi` beside the repository, or where
//! `CONTRACTS_OPENAPI` says. Without them nothing is validated, and one line on standard error says so;
//! if the variable names a directory that does not exist, every test that needs it fails.
//!
//! A [`Checker`] validates all requests and responses of a stand-in against a [`Specification`].
//! It is stricter than OpenAPI in one way: a member, parameter or status that the document does not
//! name is a violation, because a misspelt optional member would be accepted otherwise.
//! It is laxer in one way: a status that is named without a schema may have any body.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `document` | reads a document, and finds the operation of a request |
//! | `schema` | OpenAPI 3.0's schemas as JSON Schema |
//! | `validate` | compares a request or a response with an operation |
//! | `violation` | a place where an exchange deviates from the document |
//! | `deviation` | where the services are known to deviate from their documents |

mod deviation;
mod document;
mod schema;
mod validate;
mod violation;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response};

pub use self::deviation::{CLERK_DEVIATIONS, DEVIATIONS, Deviation, HOOKDECK_DEVIATIONS};
pub use self::document::{Specification, unavailable};
pub use self::violation::{Side, Violation};
use crate::clerk::backend::Backend;
use crate::hookdeck::admin::Admin;
use crate::interceptor::Observer;
use crate::service::{Api, Service};
use crate::xata::platform::Platform;

/// Which requests are validated.
#[derive(Clone, Copy, Debug)]
pub enum Requests {
    /// All: the test is about the client.
    All,
    /// Those that the stand-in accepts (2xx): the test sends wrong requests on purpose. The stand-in is known to accept
    /// these deviations.
    Accepted(&'static [Deviation]),
}

/// Validates the exchanges of one stand-in. Clones share everything, and each that is dropped panics
/// if there was a violation, so no test passes with one.
#[derive(Clone, Debug)]
pub struct Checker(Option<Arc<Check>>);

#[derive(Debug)]
struct Check {
    /// The first that has the operation is used.
    specifications: Vec<&'static Specification>,
    requests: Requests,
    known: &'static [Deviation],
    results: Mutex<Results>,
}

#[derive(Debug, Default)]
struct Results {
    n_validated: usize,
    violations: Vec<Violation>,
    observed: Vec<&'static Deviation>,
}

impl Checker {
    /// Validates the exchanges of this platform from now on; without the documents it does nothing.
    pub fn platform(platform: &Platform, requests: Requests) -> Self {
        Self::new(platform, Specification::xata(), requests, &DEVIATIONS)
    }

    /// Validates the exchanges of this instance of Clerk, likewise.
    pub fn clerk(backend: &Backend, requests: Requests) -> Self {
        let specification = Specification::clerk_backend().into_iter().collect();
        Self::new(backend, specification, requests, &CLERK_DEVIATIONS)
    }

    /// Validates the exchanges of this project of Hookdeck, likewise.
    pub fn hookdeck(admin: &Admin, requests: Requests) -> Self {
        let specification = Specification::hookdeck_admin().into_iter().collect();
        Self::new(admin, specification, requests, &HOOKDECK_DEVIATIONS)
    }

    fn new<A: Api>(
        service: &Service<A>,
        specifications: Vec<&'static Specification>,
        requests: Requests,
        known: &'static [Deviation],
    ) -> Self {
        if specifications.is_empty() {
            return Self(None);
        }
        let check = Arc::new(Check { specifications, requests, known, results: Mutex::default() });
        service.observe(check.clone());
        Self(Some(check))
    }

    /// Fails if there was a violation.
    ///
    /// # Panics
    ///
    /// In that case, with all violations.
    pub fn assert_clean(&self) {
        let Some(check) = &self.0 else { return };
        let violations: Vec<String> =
            check.results().violations.iter().map(ToString::to_string).collect();
        assert!(violations.is_empty(), "not as specified:\n{}", violations.join("\n"));
    }

    /// How many requests and responses were validated; none without the documents.
    pub fn n_validated(&self) -> Option<usize> {
        self.0.as_ref().map(|check| check.results().n_validated)
    }

    /// The known deviations that occurred.
    pub fn observed_deviations(&self) -> Vec<&'static Deviation> {
        self.0.as_ref().map(|check| check.results().observed.clone()).unwrap_or_default()
    }

    /// Removes and returns the violations, for a test that causes one on purpose.
    pub fn take_violations(&self) -> Vec<Violation> {
        let take = |check: &Arc<Check>| std::mem::take(&mut check.results().violations);
        self.0.as_ref().map(take).unwrap_or_default()
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_clean();
        }
    }
}

impl Check {
    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn specification(&self, request: &Request<Bytes>) -> &'static Specification {
        let (method, path) = (request.method(), request.uri().path());
        let has_it = |it: &&&Specification| it.operation(method, path).is_some();
        self.specifications.iter().find(has_it).unwrap_or(&self.specifications[0])
    }

    fn add(&self, violations: Vec<Violation>) {
        let accepted = match self.requests {
            Requests::All => &[],
            Requests::Accepted(accepted) => accepted,
        };
        let mut results = self.results();
        results.n_validated += 1;
        for violation in violations {
            match self.known.iter().chain(accepted).find(|known| known.allows(&violation)) {
                Some(known) => results.observed.push(known),
                None => results.violations.push(violation),
            }
        }
    }
}

impl Observer for Check {
    fn on_request(&self, request: &Request<Bytes>) {
        if let Requests::All = self.requests {
            self.add(self.specification(request).validate_request(request));
        }
    }

    fn on_response(&self, request: &Request<Bytes>, response: &Response<Bytes>) {
        if let (Requests::Accepted(_), true) = (self.requests, response.status().is_success()) {
            self.add(self.specification(request).validate_request(request));
        }
        self.add(self.specification(request).validate_response(request, response));
    }
}
