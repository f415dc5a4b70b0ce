//! One delivery in, one answer out: the order of work and nothing else.

use std::time::{Duration, SystemTime};

use http::Method;
use lambda_http::RequestExt;

use crate::Clock;
use crate::answer::{Answer, RetryAfter};
use crate::clerk::{
    Backend, Entry, Event, Ignored, Instances, Intent, Presence, SignUp, UserId, svix,
};
use crate::hookdeck::Verifier;
use crate::http_client::HttpClient;
use crate::provision::{self, Budget, Outcome, Parting, Upstream};
use crate::region::{self, Hints, Policy};
use crate::request::{self, BODY_LIMIT_BYTES};
use crate::settings::{OnUserDeleted, Settings};
use crate::telemetry::{Line, WRITTEN};
use crate::trouble::{self, Again, Trouble};
use crate::xata::{Database, DatabaseId, DatabaseName, Databases, Projects, Removal};

/// The paths that take deliveries.
const PATHS: [&str; 2] = ["/", "/webhooks/clerk"];

/// An event older than this may concern a user who was served under older settings, or who left.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// This long after a sign-up no fresh delivery of it is under way any more, nor anything that one
/// asked of Xata: a delivery has a minute.
const SETTLED: Duration = Duration::from_secs(10 * 60);

/// Up to this attempt our `Retry-After` decides when Hookdeck returns. Each such deferral uses up
/// one of its retries, and only its own growing schedule outlasts a long outage.
const LAST_DEFERRED_ATTEMPT: u32 = 3;

/// Everything that the settings decide.
pub struct Function {
    verifier: Verifier,
    svix: svix::Check,
    instances: Instances,
    policy: Policy,
    projects: Projects,
    on_user_deleted: OnUserDeleted,
    databases: Box<dyn Databases>,
    clerk: Option<Backend>,
    client: HttpClient,
    clock: Clock,
}

impl Function {
    /// The function as the settings describe it, asking upstream through `client`.
    pub fn new(settings: Settings, client: HttpClient, clock: Clock) -> Self {
        Self {
            verifier: settings.verifier,
            svix: settings.svix,
            instances: settings.instances,
            policy: settings.policy,
            projects: settings.projects,
            on_user_deleted: settings.on_user_deleted,
            databases: settings.xata.databases(client.clone(), clock.clone()),
            clerk: settings.clerk.map(|it| Backend::new(it, client.clone(), clock.clone())),
            client,
            clock,
        }
    }

    /// Answers the Function URL's event in `payload`, within the time that is left.
    pub async fn answer(&self, payload: &str, left: Duration, line: &mut Line) -> Answer {
        let budget = Budget::new(left);
        let request = request::read(payload);
        if !PATHS.contains(&request.raw_http_path()) {
            return Answer::NotFound;
        }
        if request.method() != Method::POST {
            return Answer::MethodNotAllowed;
        }
        let (headers, body) = (request.headers(), request.body());
        if body.len() > BODY_LIMIT_BYTES {
            return Answer::TooLarge;
        }
        if let Err(refusal) = self.verifier.verify(headers, body) {
            line.detail = Some(refusal.into());
            return Answer::Unauthorized;
        }
        let delivery = self.verifier.delivery(headers);
        let (attempt, first) = (delivery.attempt, delivery.is_first());
        line.delivery = Some(delivery);
        if let svix::Check::Report(secrets) | svix::Check::Enforce(secrets) = &self.svix {
            line.svix = secrets.verify(headers, body).err().map(Into::into);
            if line.svix.is_some() && matches!(self.svix, svix::Check::Enforce(_)) {
                return Answer::Unauthorized;
            }
        }
        let event = match Event::read(body, &self.instances) {
            Ok(event) => event,
            Err(invalid) => return Answer::Invalid(invalid.into()),
        };
        line.event_age = event
            .happened
            .map(|happened| (self.clock)().duration_since(happened).unwrap_or_default());
        let upstream = Upstream {
            databases: self.databases.as_ref(),
            projects: &self.projects,
            clerk: self.clerk.as_ref(),
            instance: event.instance.as_deref(),
        };
        let answer = match &event.intent {
            Intent::Ignore(ignored) => Ok(Answer::Ignored(ignored.into())),
            Intent::Remove(user_id) => {
                line.user_id = Some(user_id.clone());
                self.remove(user_id, upstream, budget, line).await
            }
            Intent::Provision(sign_up) => {
                line.user_id = Some(sign_up.user_id.clone());
                let fresh = first && line.event_age.is_some_and(|age| age <= FRESH);
                self.provision(sign_up, fresh, upstream, budget, line).await
            }
        };
        answer.unwrap_or_else(|trouble| refuse(&trouble, attempt, line))
    }

    async fn provision(
        &self,
        sign_up: &SignUp,
        fresh: bool,
        upstream: Upstream<'_>,
        budget: Budget,
        line: &mut Line,
    ) -> Result<Answer, Trouble> {
        let user_id = &sign_up.user_id;
        let decision = self.policy.place(&hints(sign_up), &self.client, budget.answer_by()).await;
        let placement = decision.placement.clone();
        line.decision = Some(decision);
        let region = &placement.region;
        let calls = &mut line.calls;
        Ok(match provision::ensure(upstream, user_id, region, fresh, budget, calls).await? {
            Outcome::UserGone => Answer::Ignored(Ignored::UserGone.into()),
            Outcome::Exists(database) => {
                if !fresh {
                    self.tell(user_id, database.as_ref(), budget, line).await;
                }
                Answer::Exists
            }
            Outcome::Created(database) => {
                self.tell(user_id, database.as_ref(), budget, line).await;
                let database = database.unwrap_or_else(|| {
                    let name = DatabaseName::from(user_id);
                    let project = self.projects.for_user(&name)[0].clone();
                    Database { project, name, region: region.clone(), id: None }
                });
                line.wrong_region = (database.region != *region).then(|| database.region.clone());
                Answer::Created { database, placement }
            }
        })
    }

    /// Writes down at Clerk's where the database is, for the application to read. As well as may be:
    /// what is certain is certain without it, and a later delivery repairs it.
    async fn tell(
        &self,
        user_id: &UserId,
        database: Option<&Database>,
        budget: Budget,
        line: &mut Line,
    ) {
        let Some(clerk) = &self.clerk else { return };
        let Some(database) = database else {
            line.directory = Some("unknown");
            return;
        };
        let entry = Entry {
            id: database.id.as_ref().map(DatabaseId::as_str),
            name: database.name.as_str(),
            project: database.project.as_str(),
            region: database.region.as_str(),
        };
        let told = clerk.write(user_id, &entry, budget.clerk_by()).await;
        line.directory = Some(match told {
            Ok(Presence::Here) => WRITTEN,
            Ok(Presence::Gone) => Ignored::UserGone.into(),
            Err(trouble) => trouble.reason.into(),
        });
    }

    async fn remove(
        &self,
        user_id: &UserId,
        upstream: Upstream<'_>,
        budget: Budget,
        line: &mut Line,
    ) -> Result<Answer, Trouble> {
        let (removal, done) = match self.on_user_deleted {
            OnUserDeleted::Retain => return Ok(Answer::Retained),
            OnUserDeleted::Park => (self.park(user_id), Answer::Parked),
            OnUserDeleted::Delete => (Removal::Delete, Answer::Removed),
        };
        if let Some(wait) = self.too_early(user_id, line.event_age) {
            let trouble = Trouble::silent(trouble::Reason::TooEarly);
            return Err(Trouble { retry_after: Some(wait), ..trouble });
        }
        let calls = &mut line.calls;
        Ok(match provision::remove(upstream, user_id, &removal, budget, calls).await? {
            Parting::Done => done,
            Parting::Gone => Answer::Gone,
            Parting::UserHere => Answer::Retained,
        })
    }

    /// How long a deletion has to wait, so that no fresh delivery of the sign-up, which asks nobody,
    /// can undo it. Without a key any delivery can, and waiting would be in vain.
    ///
    /// The sign-up is at least as old as the deletion, and as old as the user's id says.
    fn too_early(&self, user_id: &UserId, event_age: Option<Duration>) -> Option<Duration> {
        self.clerk.as_ref()?;
        let id_age = user_id.made().and_then(|made| (self.clock)().duration_since(made).ok());
        let wait = SETTLED.saturating_sub(id_age.max(event_age)?);
        (!wait.is_zero()).then_some(wait)
    }

    /// The name of a parked database says whose it was, and since when.
    fn park(&self, user_id: &UserId) -> Removal {
        let now = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Removal::Park { name: provision::parked_name(user_id, now.as_secs()) }
    }
}

fn hints(sign_up: &SignUp) -> Hints<'_> {
    let metadata = &sign_up.metadata;
    Hints {
        preferences: [
            (region::Reason::PrivateMetadata, metadata.private.as_deref()),
            (region::Reason::PublicMetadata, metadata.public.as_deref()),
            (region::Reason::UnsafeMetadata, metadata.r#unsafe.as_deref()),
        ],
        client_ip: sign_up.client_ip.as_deref(),
        user_agent: sign_up.user_agent.as_deref(),
    }
}

/// The answer to a delivery that something is in the way of.
fn refuse(trouble: &Trouble, attempt: u32, line: &mut Line) -> Answer {
    line.upstream_status = trouble.status;
    let reason = trouble.reason.into();
    if matches!(trouble.reason.again(), Again::Never | Again::NowOrNever) {
        return Answer::Misconfigured(reason);
    }
    let user_id = line.user_id.as_ref().map(UserId::as_str).unwrap_or_default();
    let wait = trouble
        .retry_after
        .or_else(|| (trouble.reason == trouble::Reason::Contention).then(|| spread(user_id)));
    let retry_after = wait.filter(|_| attempt <= LAST_DEFERRED_ATTEMPT).map(RetryAfter::from);
    Answer::Unavailable { reason, retry_after }
}

/// 5 to 30 seconds, other for other users, so that those who met do not meet again.
fn spread(user_id: &str) -> Duration {
    let sum: u64 = user_id.bytes().map(u64::from).sum();
    Duration::from_secs(5 + sum % 26)
}
