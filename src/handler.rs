//! One delivery in, one response out: the order of work and nothing else.

use std::time::Duration;

use http::Method;
use lambda_http::RequestExt;

use crate::Clock;
use crate::clerk::{
    BackendClient, DirectoryEntry, Event, IgnoreReason, Intent, SignUp, UserId, UserStatus, svix,
};
use crate::error::{ErrorKind, Retryability, UpstreamError};
use crate::http_client::HttpClient;
use crate::provision::{self, EnsureOutcome, Provisioner, RemoveOutcome, TimeBudget, UserCheck};
use crate::request::{self, BODY_LIMIT_BYTES, NO_HTTP_REQUEST};
use crate::response::{Response, RetryAfter};
use crate::settings::{OnUserDeleted, Settings};
use crate::telemetry::{DeliveryRecord, WRITTEN};
use crate::xata::{Database, DatabaseId, DatabaseName, Databases, Removal};

/// The paths that accept deliveries.
const PATHS: [&str; 2] = ["/", "/webhooks/clerk"];

/// The last attempt whose response may carry `Retry-After`. Each such deferral uses up one of
/// Hookdeck's retries, and only Hookdeck's own growing schedule outlasts a long outage.
const LAST_DEFERRED_ATTEMPT: u32 = 3;

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

    /// Answers the Function URL event in a payload within the time that is left.
    pub async fn handle(
        &self,
        payload: &str,
        time_left: Duration,
        record: &mut DeliveryRecord,
    ) -> Response {
        let budget = TimeBudget::new(time_left);
        let Some(request) = request::read(payload) else {
            record.detail = Some(NO_HTTP_REQUEST);
            return Response::Unauthorized;
        };
        if !PATHS.contains(&request.raw_http_path()) {
            return Response::NotFound;
        }
        if request.method() != Method::POST {
            return Response::MethodNotAllowed;
        }
        let (headers, body) = (request.headers(), request.body());
        if body.len() > BODY_LIMIT_BYTES {
            return Response::TooLarge;
        }
        if let Err(error) = self.settings.verifier.verify(headers, body) {
            record.detail = Some(error.into());
            return Response::Unauthorized;
        }
        let delivery = self.settings.verifier.delivery(headers);
        let (attempt, is_first) = (delivery.attempt, delivery.is_first());
        record.delivery = Some(delivery);
        if let svix::Check::Report(secrets) | svix::Check::Enforce(secrets) = &self.settings.svix {
            record.svix = secrets.verify(headers, body).err().map(Into::into);
            if record.svix.is_some() && matches!(self.settings.svix, svix::Check::Enforce(_)) {
                return Response::Unauthorized;
            }
        }
        let event = match Event::read(body, &self.settings.instances) {
            Ok(event) => event,
            Err(reason) => return Response::Invalid { reason: reason.into() },
        };
        let age = |occurred_at| (self.clock)().duration_since(occurred_at).unwrap_or_default();
        record.event_age = event.occurred_at.map(age);
        let instance = event.instance.as_deref();
        let result = match &event.intent {
            Intent::Ignore(reason) => Ok(Response::Ignored { reason: reason.into() }),
            Intent::Provision(sign_up) => {
                self.provision(sign_up, instance, is_first, budget, record).await
            }
            Intent::Remove(user_id) => self.remove(user_id, instance, budget, record).await,
        };
        result.unwrap_or_else(|error| error_response(&error, attempt, record))
    }

    async fn provision(
        &self,
        sign_up: &SignUp,
        instance: Option<&str>,
        is_first: bool,
        budget: TimeBudget,
        record: &mut DeliveryRecord,
    ) -> Result<Response, UpstreamError> {
        let user_id = &sign_up.user_id;
        record.user_id = Some(user_id.clone());
        let decision =
            self.settings.policy.place(&sign_up.hints, &self.client, budget.answer_by()).await;
        let placement = decision.placement.clone();
        record.decision = Some(decision);
        let region = &placement.region;
        let is_fresh = provision::is_fresh(is_first, record.event_age);
        let provisioner = self.provisioner(user_id, instance, budget, record);
        Ok(match provisioner.ensure(region, is_fresh).await? {
            EnsureOutcome::UserGone => Response::Ignored { reason: IgnoreReason::UserGone.into() },
            EnsureOutcome::Exists(database) => {
                if !is_fresh {
                    self.write_directory_entry(user_id, database.as_ref(), budget, record).await;
                }
                Response::Exists
            }
            EnsureOutcome::Created(database) => {
                self.write_directory_entry(user_id, database.as_ref(), budget, record).await;
                let database = database.unwrap_or_else(|| {
                    let name = DatabaseName::from(user_id);
                    let project = self.settings.projects.for_user(&name)[0].clone();
                    Database { project, name, region: region.clone(), id: None }
                });
                record.wrong_region = (database.region != *region).then(|| database.region.clone());
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
            user_check: clerk.map(|clerk| UserCheck { clerk, user_id, instance }),
            budget,
            calls: &mut record.calls,
        }
    }

    /// Tells the application at Clerk where the database is. A failure changes no response: a later
    /// delivery writes the entry.
    async fn write_directory_entry(
        &self,
        user_id: &UserId,
        database: Option<&Database>,
        budget: TimeBudget,
        record: &mut DeliveryRecord,
    ) {
        let Some(clerk) = &self.clerk else { return };
        let Some(database) = database else {
            record.directory = Some("unknown");
            return;
        };
        let entry = DirectoryEntry {
            id: database.id.as_ref().map(DatabaseId::as_str),
            name: database.name.as_str(),
            project: database.project.as_str(),
            region: database.region.as_str(),
        };
        record.directory =
            Some(match clerk.write_entry(user_id, &entry, budget.clerk_by()).await {
                Ok(UserStatus::Exists) => WRITTEN,
                Ok(UserStatus::Deleted) => IgnoreReason::UserGone.into(),
                Err(error) => error.kind.into(),
            });
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
