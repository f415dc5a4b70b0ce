//! In-memory stand-ins of the services that the function uses, as docs/vendors/ describes them.
//!
//! The tests validate the product against them, so they share no code with it.
//! Each is an axum router or an engine on tokio's clock. In memory, under a paused clock, hours take
//! no time; on a loopback socket, the same code serves real clients.
//!
//! | module | what it stands in for |
//! | --- | --- |
//! | [`xata`] | Xata: [`xata::platform`], projects, branches and their databases; [`xata::lite`], the retired API, databases by name |
//! | [`hookdeck`] | Hookdeck's delivery engine: signature, headers, retries, concurrency; [`hookdeck::admin`], its admin API |
//! | [`clerk`] | Clerk: the webhook events it sends; [`clerk::backend`], its Backend API |
//! | [`function_url`] | a Lambda Function URL: HTTP to payload format 2.0 and back |
//! | [`runtime_api`] | Lambda's Runtime API: hands invocations to a process of the function and takes its responses |
//! | [`fault`] | what can go wrong between a client and a service, as data |
//! | [`service`] | what the stand-ins of HTTP APIs share: routing, the record of requests, faults, error bodies |
//! | [`interceptor`] | what happens to every request: record, observer, faults |
//! | [`record`] | the requests that a stand-in has received |
//! | [`serve`] | a router as a client sees it, in memory or on a socket |
//! | [`clock`] | wall-clock time that starts at a fixed moment |
//! | `conformance` | validates exchanges against the vendors' OpenAPI documents (a feature, for tests) |

pub mod clerk;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod fault;
pub mod function_url;
pub mod hookdeck;
mod id;
pub mod interceptor;
pub mod record;
pub mod runtime_api;
pub mod serve;
pub mod service;
pub mod xata;
