//! One delivery in, one response out: the order of work and nothing else.

use std::time::Duration;

use http::Method;
use lambda_http::RequestExt;

use crate::Clock;
use crate::clerk::{BackendClient, Event, IgnoreReason, Intent, SignUp, UserId, svix};
use crate::error::{ErrorKind, Retryability, UpstreamError};
use crate::http_client::HttpClient;
use crate::provision::{self, EnsureOutcome, Provisioner, RemoveOutcome, TimeBudget, UserAtClerk};
use crate::region::{Decision, Hints, Placement, RegionNotAllowed};
use crate::request::{self, BODY_LIMIT_BYTES, NO_HTTP_REQUEST, Payload};
use crate::response::{Response, RetryAfter};
use crate::settings::{OnUserDeleted, Settings};
use crate::telemetry::DeliveryRecord;
use crate::xata::{Database, DatabaseName, Databases, Removal};

/// The paths that accept deliveries.
pub const PATHS: [&str; 2] = ["/", "/webhooks/clerk"];

/// The last attempt whose response may carry `Retry-After`. Each such deferral uses up one of
/// Hookdeck's retries, and only Hookdeck's own growing schedule outlasts a long outage.
const LAST_DEFERRED_ATTEMPT: u32 = 3;

/// A secret or a key of ours is refused, so another one is worth a try.
#[derive(Debug)]
pub struct SecretRefused {
    /// The response if there is no other one. None where the response does not depend on it: then the
    /// delivery was stopped before anything was done.
    pub response: Option<Response>,
}

/// What follows when a secret is refused that the response does not depend on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnRefusal {
    Continue,
    Stop,
}

/// Handles deliveries as the settings say. It keeps nothing between two deliveries.
pub struct Handler {
    settings: Settings,
    databases: Databases,
    clerk: Option<BackendClient>,
    client: HttpClient,
    clock: Clock,
}

impl Handler {
    /// A handler with these settings, which sends its requests through the client.
    pub fn new(settings: Settings, client: HttpClient, clock: Clock) -> Self {
        let clerk = settings.clerk.as_ref();
        Self {
            databases: settings.xata.databases(client.clone(), clock.clone()),
            clerk: clerk.map(|it| BackendClient::new(it, client.clone(), clock.clone())),
            settings,
            client,
            clock,
        }
    }

    /// Answers a Function URL event within the time that is left.
    ///
    /// # Panics
    /// Never: no refusal stops it.
    pub async fn handle(
        &self,
        payload: &Payload,
        time_left: Duration,
        record: &mut DeliveryRecord,
    ) -> Response {
        let response = self.answer(payload, time_left, record, OnRefusal::Continue).await;
        response.expect("it stops only where it is told to")
    }

    /// The same, while other secrets than these can be had.
    ///
    /// # Errors
    /// When one is refused.
    pub async fn try_handle(
        &self,
        payload: &Payload,
        time_left: Duration,
        record: &mut DeliveryRecord,
    ) -> Result<Response, SecretRefused> {
        let response = self.answer(payload, time_left, record, OnRefusal::Stop).await;
        match response {
            Some(response) if !is_secret_refused(&response, record) => Ok(response),
            response => Err(SecretRefused { response }),
        }
    }

    /// The response; none where a refusal stops the delivery.
    async fn answer(
        &self,
        payload: &Payload,
        time_left: Duration,
        record: &mut DeliveryRecord,
        on_refusal: OnRefusal,
    ) -> Option<Response> {
        let budget = TimeBudget::new(time_left);
        let Some(request) = &payload.0 else {
            record.detail = Some(NO_HTTP_REQUEST);
            return Some(Response::Unauthorized);
        };
        if !PATHS.contains(&request.raw_http_path()) {
            return Some(Response::NotFound);
        }
        if request.method() != Method::POST {
            return Some(Response::MethodNotAllowed);
        }
        let (headers, body) = (request.headers(), request.body());
        if body.len() > BODY_LIMIT_BYTES {
            return Some(Response::TooLarge);
        }
        record.is_doctor = request::is_doctor(headers);
        if let Err(error) = self.settings.verifier.verify(headers, body) {
            record.detail = Some(error.into());
            record.unverified = Some(self.settings.verifier.delivery(headers));
            return Some(Response::Unauthorized);
        }
        let delivery = self.settings.verifier.delivery(headers);
        let (attempt, is_first) = (delivery.attempt, delivery.is_first());
        record.delivery = Some(delivery);
        if let svix::Check::Report(secrets) | svix::Check::Enforce(secrets) = &self.settings.svix {
            record.svix = secrets.verify(headers, body).err().map(Into::into);
            if record.svix.is_some() && matches!(self.settings.svix, svix::Check::Enforce(_)) {
                return Some(Response::Unauthorized);
            }
            if record.svix.is_some() && on_refusal == OnRefusal::Stop {
                return None;
            }
        }
        let event = match Event::read(body, &self.settings.instances) {
            Ok(event) => event,
            Err(reason) => return Some(Response::Invalid { reason: reason.into() }),
        };
        let age = |occurred_at| (self.clock)().duration_since(occurred_at).unwrap_or_default();
        record.event_age = event.occurred_at.map(age);
        let instance = event.instance.as_deref();
        let result = match &event.intent {
            Intent::Ignore(IgnoreReason::ForeignInstance) => self.ignore_foreign(budget).await,
            Intent::Ignore(reason) => Ok(ignored(*reason)),
            Intent::Provision(sign_up) => {
                record.user_id = Some(sign_up.user_id.clone());
                match self.place(sign_up, instance, budget, record).await {
                    Ok(Some(decision)) => {
                        if decision.lookup_refused && on_refusal == OnRefusal::Stop {
                            return None;
                        }
                        let placement = decision.placement.clone();
                        record.decision = Some(decision);
                        let user_id = &sign_up.user_id;
                        self.provision(user_id, placement, instance, is_first, budget, record).await
                    }
                    Ok(None) => Ok(ignored(IgnoreReason::UserGone)),
                    Err(error) => Err(error),
                }
            }
            Intent::Remove(user_id) => self.remove(user_id, instance, budget, record).await,
        };
        Some(result.unwrap_or_else(|error| error_response(&error, attempt, record)))
    }

    /// The response to an event of an instance that is not listed. The settings are wrong, and not the
    /// event, if the key's own instance is not listed either.
    async fn ignore_foreign(&self, budget: TimeBudget) -> Result<Response, UpstreamError> {
        if let Some(clerk) = &self.clerk {
            let instance = clerk.instance(budget.answer_by()).await?;
            if !self.settings.instances.contains(Some(instance)) {
                return Err(UpstreamError::new(ErrorKind::InstanceNotListed));
            }
        }
        Ok(ignored(IgnoreReason::ForeignInstance))
    }

    /// The placement of a new user. If the event asks for a region that is not allowed, Clerk tells
    /// whether the metadata has been mended since; none if Clerk has deleted the user.
    async fn place(
        &self,
        sign_up: &SignUp,
        instance: Option<&str>,
        budget: TimeBudget,
        record: &mut DeliveryRecord,
    ) -> Result<Option<Decision>, UpstreamError> {
        let SignUp { user_id, hints } = sign_up;
        let (policy, deadline) = (&self.settings.policy, budget.answer_by());
        let mut result = policy.place(hints, &self.client, deadline).await;
        if let (Err(_), Some(clerk)) = (&result, &self.clerk) {
            let preferences = clerk.preferences(user_id, instance, deadline).await?;
            let Some(preferences) = preferences else { return Ok(None) };
            let hints = Hints { preferences, ..hints.clone() };
            result = policy.place(&hints, &self.client, deadline).await;
        }
        result.map(Some).map_err(|RegionNotAllowed(metadata)| {
            record.detail = Some(metadata.into());
            UpstreamError::new(ErrorKind::RegionNotAllowed)
        })
    }

    async fn provision(
        &self,
        user_id: &UserId,
        placement: Placement,
        instance: Option<&str>,
        is_first: bool,
        budget: TimeBudget,
        record: &mut DeliveryRecord,
    ) -> Result<Response, UpstreamError> {
        let region = &placement.region;
        let is_fresh = provision::is_fresh(is_first, record.event_age);
        let budget = if self.clerk.is_some() { budget.with_entry() } else { budget };
        let created_before = record.progress.created.clone();
        let provisioner = self.provisioner(user_id, instance, budget, record);
        Ok(match provisioner.ensure(region, is_fresh).await? {
            EnsureOutcome::UserGone => ignored(IgnoreReason::UserGone),
            EnsureOutcome::Exists(database) if database.is_none() || database != created_before => {
                Response::Exists
            }
            EnsureOutcome::Created(database) | EnsureOutcome::Exists(database) => {
                let database = database.unwrap_or_else(|| {
                    let name = DatabaseName::from(user_id);
                    let project = self.settings.projects.for_user(&name)[0].clone();
                    Database { project, name, region: region.clone(), id: None }
                });
                Response::Created { database, placement }
            }
        })
    }

    async fn remove(
        &self,
        user_id: &UserId,
        instance: Option<&str>,
        budget: TimeBudget,
        record: &mut DeliveryRecord,
    ) -> Result<Response, UpstreamError> {
        record.user_id = Some(user_id.clone());
        let now = (self.clock)();
        let (removal, done) = match self.settings.on_user_deleted {
            OnUserDeleted::Retain => return Ok(Response::Retained),
            OnUserDeleted::Park => {
                (Removal::Park { name: provision::parked_name(user_id, now) }, Response::Parked)
            }
            OnUserDeleted::Delete => (Removal::Delete, Response::Removed),
        };
        // Without a Clerk key, any late delivery of the sign-up can follow, and a wait prevents none.
        let wait = provision::deletion_wait(user_id, record.event_age, now);
        if let Some(wait) = wait.filter(|_| self.clerk.is_some()) {
            let error = UpstreamError::new(ErrorKind::TooEarly);
            return Err(UpstreamError { retry_after: Some(wait), ..error });
        }
        Ok(match self.provisioner(user_id, instance, budget, record).remove(&removal).await? {
            RemoveOutcome::Done => done,
            RemoveOutcome::Absent => Response::Gone,
            RemoveOutcome::UserExists => Response::Retained,
        })
    }

    fn provisioner<'a>(
        &'a self,
        user_id: &'a UserId,
        instance: Option<&'a str>,
        budget: TimeBudget,
        record: &'a mut DeliveryRecord,
    ) -> Provisioner<'a> {
        let clerk = self.clerk.as_ref();
        Provisioner {
            databases: &self.databases,
            projects: &self.settings.projects,
            name: user_id.into(),
            user: clerk.map(|clerk| UserAtClerk { clerk, user_id, instance }),
            budget,
            progress: &mut record.progress,
        }
    }
}

fn ignored(reason: IgnoreReason) -> Response {
    Response::Ignored { reason: reason.into() }
}

/// Whether a signing secret or a key of ours is refused. No secret changes what is no HTTP request.
fn is_secret_refused(response: &Response, record: &DeliveryRecord) -> bool {
    let refusals = [
        ErrorKind::KeyRefused,
        ErrorKind::AccessDenied,
        ErrorKind::ClerkKeyRefused,
        ErrorKind::ForeignKey,
        ErrorKind::InstanceNotListed,
    ];
    match response {
        Response::Unauthorized => record.detail != Some(NO_HTTP_REQUEST),
        Response::Misconfigured { reason } => refusals.map(<&str>::from).contains(reason),
        _ => false,
    }
}

/// The response to a delivery that Xata, Clerk or the time has prevented.
fn error_response(error: &UpstreamError, attempt: u32, record: &mut DeliveryRecord) -> Response {
    record.upstream_status = error.status;
    let reason = error.kind.into();
    if matches!(error.kind.retryability(), Retryability::Never | Retryability::NowOrNever) {
        return Response::Misconfigured { reason };
    }
    let user_id = record.user_id.as_ref().map(UserId::as_str).unwrap_or_default();
    let is_contention = error.kind == ErrorKind::Contention;
    let wait = error.retry_after.or_else(|| is_contention.then(|| retry_jitter(user_id)));
    let retry_after = wait.filter(|_| attempt <= LAST_DEFERRED_ATTEMPT).map(RetryAfter::from);
    Response::Unavailable { reason, retry_after }
}

/// 5 to 30 seconds, different for different users, so that deliveries which collided do not collide
/// again.
fn retry_jitter(user_id: &str) -> Duration {
    let sum: u64 = user_id.bytes().map(u64::from).sum();
    Duration::from_secs(5 + sum % 26)
}
