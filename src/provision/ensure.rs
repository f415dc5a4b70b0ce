//! The decisions of a sign-up: one user, one database.

use std::time::Duration;

use crate::clerk::{DirectoryEntry, UserStatus};
use crate::error::{ErrorKind, Retryability, UpstreamError};
use crate::xata::{CreateResult, Created, Database, Failure, LookupResult};

/// Creates per delivery, the first included. Further ones are left to Hookdeck's schedule.
const MAX_CREATES: u8 = 3;

/// The same while other creates keep the project busy. The pauses double, half a minute in all,
/// which is a few times what a create takes. With fewer creates, deliveries that fail together
/// return together, and most of them fail again (docs/reliability.md).
const MAX_CREATES_IN_CONTENTION: u8 = 6;

/// The first pause for a busy project or a refused key.
const PAUSE: Duration = Duration::from_secs(1);

/// Where Xata asks for a longer pause, Hookdeck retries.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What is certain about the user's database. With a Clerk key, `Created` and `Exists` also mean that
/// the user's directory entry names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EnsureOutcome {
    /// This delivery created it. Without details where Xata only said that the name is taken.
    Created(Option<Database>),
    /// It existed before. With details where it was looked up.
    Exists(Option<Database>),
    /// Clerk has deleted the user.
    UserGone,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnsureAction {
    /// Ask Clerk for the user.
    CheckUser,
    /// Create in the home project.
    Create,
    /// Look up in the project of this rank; 0 is the home project.
    LookUp(usize),
    /// Wait; the time may be zero.
    Pause(Duration),
    /// Write at Clerk that the user's database is this one.
    WriteEntry(Database),
    /// Stop with this result.
    Stop(Result<EnsureOutcome, UpstreamError>),
}

/// The state of one delivery's decisions. It knows no clock and no network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ensure {
    n_projects: usize,
    n_creates: u8,
    /// A create of this delivery may have taken effect although its outcome is unknown.
    is_unclear: bool,
    lookup_reason: LookupReason,
    directory: Directory,
    /// The outcome, once the directory entry names the database.
    outcome: Option<EnsureOutcome>,
}

/// What is known of the user's directory entry at Clerk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Directory {
    /// There is no Clerk key, and no entry.
    None,
    /// Clerk was not asked.
    Unknown,
    /// Clerk named this entry.
    Read(Option<DirectoryEntry>),
}

/// Why a look-up is under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum LookupReason {
    /// The database may exist already, in the project of this rank or a later one.
    BeforeCreate(usize),
    /// A create was refused, which can hide a database that exists.
    AfterRefusal(UpstreamError),
    /// A create may have taken effect.
    AfterUnclear(UpstreamError),
    /// The name is taken, and the entry at Clerk needs the details.
    ForDirectory,
}

impl Ensure {
    /// The first action. A fresh delivery creates at once: it is the first attempt of an event that
    /// just happened. Any other delivery may concern a user who was deleted since, so it asks Clerk
    /// where there is a key. It may also concern a user who was served when the list of projects was
    /// shorter, so with several projects it looks in each of them before it creates.
    pub fn begin(n_projects: usize, is_fresh: bool, has_clerk: bool) -> (Self, EnsureAction) {
        let mut machine = Self {
            n_projects,
            n_creates: 0,
            is_unclear: false,
            lookup_reason: LookupReason::BeforeCreate(0),
            directory: if has_clerk { Directory::Unknown } else { Directory::None },
            outcome: None,
        };
        let action = match (is_fresh, has_clerk) {
            (true, _) => machine.create(),
            (false, true) => EnsureAction::CheckUser,
            (false, false) => machine.begin_late(),
        };
        (machine, action)
    }

    fn begin_late(&mut self) -> EnsureAction {
        if self.n_projects == 1 { self.create() } else { EnsureAction::LookUp(0) }
    }

    /// The action after Clerk was asked for the user.
    pub fn after_user_check(&mut self, status: Result<UserStatus, UpstreamError>) -> EnsureAction {
        match status {
            Ok(UserStatus::Exists(entry)) => {
                self.directory = Directory::Read(entry);
                match (self.outcome.take(), &self.lookup_reason) {
                    (Some(outcome), _) => self.finish(outcome),
                    // The create that took the name is still under way.
                    (None, LookupReason::ForDirectory) => {
                        EnsureAction::Stop(Err(UpstreamError::new(ErrorKind::Contention)))
                    }
                    (None, _) => self.begin_late(),
                }
            }
            Ok(UserStatus::Deleted) => EnsureAction::Stop(Ok(EnsureOutcome::UserGone)),
            Err(error) => EnsureAction::Stop(Err(error)),
        }
    }

    /// The action after a create.
    pub fn after_create(&mut self, result: CreateResult) -> EnsureAction {
        match result {
            Ok(Created::New(database)) => self.finish(EnsureOutcome::Created(Some(database))),
            Ok(Created::NameTaken) if self.directory == Directory::None => self.exists(None),
            Ok(Created::NameTaken) => self.look_up(LookupReason::ForDirectory),
            Err(Failure::Refused(error)) => {
                let retry = match error.kind.retryability() {
                    Retryability::Now => {
                        let pause = PAUSE * 2_u32.pow(u32::from(self.n_creates - 1));
                        self.retry(MAX_CREATES_IN_CONTENTION, error.retry_after, pause)
                    }
                    Retryability::NowOrNever => self.retry(MAX_CREATES, error.retry_after, PAUSE),
                    Retryability::Later | Retryability::Never => None,
                };
                let look_up = self.look_up(LookupReason::AfterRefusal(error));
                retry.unwrap_or(look_up)
            }
            Err(Failure::Unclear(error)) => {
                self.is_unclear = true;
                self.look_up(LookupReason::AfterUnclear(error))
            }
        }
    }

    /// The action after a pause.
    pub fn after_pause(&mut self) -> EnsureAction {
        self.create()
    }

    /// The action in place of a pause that is too long for the time that is left: a look-up, except
    /// right after one.
    pub fn without_pause(&self) -> EnsureAction {
        match &self.lookup_reason {
            LookupReason::AfterUnclear(error) => EnsureAction::Stop(Err(error.clone())),
            _ => EnsureAction::LookUp(0),
        }
    }

    /// The database of which Clerk is told, if this delivery created it.
    pub fn created(&self) -> Option<&Database> {
        match &self.outcome {
            Some(EnsureOutcome::Created(database)) => database.as_ref(),
            _ => None,
        }
    }

    /// The action after Clerk was told where the database is.
    pub fn after_write(&mut self, status: Result<UserStatus, UpstreamError>) -> EnsureAction {
        EnsureAction::Stop(match (status, self.outcome.take()) {
            (Ok(UserStatus::Exists(_)), Some(outcome)) => Ok(outcome),
            (Ok(_), _) => Ok(EnsureOutcome::UserGone),
            (Err(error), _) => Err(error),
        })
    }

    /// The action after a look-up.
    pub fn after_look_up(&mut self, result: LookupResult) -> EnsureAction {
        match (result, self.lookup_reason.clone()) {
            (Ok(Some(database)), _) => self.exists(Some(database)),
            // The database may have been removed meanwhile, with its user.
            (Ok(None), LookupReason::ForDirectory) => EnsureAction::CheckUser,
            (Ok(None), LookupReason::BeforeCreate(rank)) => {
                if rank + 1 == self.n_projects {
                    return self.create();
                }
                self.lookup_reason = LookupReason::BeforeCreate(rank + 1);
                EnsureAction::LookUp(rank + 1)
            }
            // The list can miss a create that is still under way. Another create waits for it at
            // Xata and is then told that the name is taken.
            (Ok(None), LookupReason::AfterUnclear(error)) => {
                let retry = self.retry(MAX_CREATES, error.retry_after, Duration::ZERO);
                retry.unwrap_or(EnsureAction::Stop(Err(error)))
            }
            (Ok(None), LookupReason::AfterRefusal(error)) | (Err(error), _) => {
                EnsureAction::Stop(Err(error))
            }
        }
    }

    fn exists(&mut self, database: Option<Database>) -> EnsureAction {
        let outcome = if self.is_unclear { EnsureOutcome::Created } else { EnsureOutcome::Exists };
        self.finish(outcome(database))
    }

    /// Stops once the entry at Clerk names the database. An entry that does already is not written
    /// again, because each write causes a `user.updated`; so the entry of a database that existed is
    /// read first.
    fn finish(&mut self, outcome: EnsureOutcome) -> EnsureAction {
        let (EnsureOutcome::Created(Some(database)) | EnsureOutcome::Exists(Some(database))) =
            &outcome
        else {
            return EnsureAction::Stop(Ok(outcome));
        };
        let is_new = matches!(outcome, EnsureOutcome::Created(_));
        let action = match &self.directory {
            Directory::None => return EnsureAction::Stop(Ok(outcome)),
            Directory::Read(Some(entry)) if *entry == database.into() => {
                return EnsureAction::Stop(Ok(outcome));
            }
            Directory::Unknown if !is_new => EnsureAction::CheckUser,
            Directory::Unknown | Directory::Read(_) => EnsureAction::WriteEntry(database.clone()),
        };
        self.outcome = Some(outcome);
        action
    }

    fn create(&mut self) -> EnsureAction {
        self.n_creates += 1;
        self.lookup_reason = LookupReason::BeforeCreate(0); // equal states are equal for the model
        EnsureAction::Create
    }

    fn look_up(&mut self, reason: LookupReason) -> EnsureAction {
        self.lookup_reason = reason;
        EnsureAction::LookUp(0)
    }

    /// Another create after the longer of Xata's pause and ours; none where Hookdeck retries.
    fn retry(&self, max: u8, asked: Option<Duration>, pause: Duration) -> Option<EnsureAction> {
        let asked = asked.unwrap_or_default();
        let is_ours = self.n_creates < max && asked <= MAX_PAUSE;
        is_ours.then_some(EnsureAction::Pause(asked.max(pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn error(kind: ErrorKind) -> UpstreamError {
        UpstreamError::new(kind)
    }

    fn database() -> Database {
        let (project, name) = ("prj_a".try_into(), "user_abcdefghij".try_into());
        let region = "us-east-1".try_into().expect("a region");
        Database {
            project: project.expect("a project"),
            name: name.expect("a name"),
            region,
            id: None,
        }
    }

    fn stopped(result: Result<EnsureOutcome, ErrorKind>) -> EnsureAction {
        EnsureAction::Stop(result.map_err(error))
    }

    #[test]
    fn a_fresh_sign_up_is_one_create() {
        let (mut machine, action) = Ensure::begin(3, true, false);
        assert_eq!(action, EnsureAction::Create);
        assert_eq!(
            machine.after_create(Ok(Created::New(database()))),
            stopped(Ok(EnsureOutcome::Created(Some(database()))))
        );
    }

    #[test]
    fn a_later_delivery_looks_up_every_project_before_a_create() {
        let (mut machine, action) = Ensure::begin(3, false, false);
        assert_eq!(action, EnsureAction::LookUp(0));
        assert_eq!(machine.after_look_up(Ok(None)), EnsureAction::LookUp(1));
        assert_eq!(
            machine.clone().after_look_up(Ok(Some(database()))),
            stopped(Ok(EnsureOutcome::Exists(Some(database()))))
        );
        assert_eq!(machine.after_look_up(Ok(None)), EnsureAction::LookUp(2));
        assert_eq!(machine.after_look_up(Ok(None)), EnsureAction::Create);
    }

    #[test]
    fn with_one_project_a_create_needs_no_look_up() {
        assert_eq!(Ensure::begin(1, false, false).1, EnsureAction::Create);
    }

    #[test]
    fn a_failed_look_up_is_not_an_absence() {
        let unknown = || Err(error(ErrorKind::ListTooLong));
        assert_eq!(
            Ensure::begin(2, false, false).0.after_look_up(unknown()),
            stopped(Err(ErrorKind::ListTooLong))
        );
        let (mut machine, _) = Ensure::begin(1, true, false);
        machine.after_create(Err(Failure::Refused(error(ErrorKind::StandingQuota))));
        assert_eq!(machine.after_look_up(unknown()), stopped(Err(ErrorKind::ListTooLong)));
    }

    #[test]
    fn a_refused_create_is_looked_up() {
        for kind in [
            ErrorKind::StandingQuota,
            ErrorKind::HourlyQuota,
            ErrorKind::RequestRejected,
            ErrorKind::AccessDenied,
        ] {
            let (mut machine, _) = Ensure::begin(2, true, false);
            assert_eq!(
                machine.after_create(Err(Failure::Refused(error(kind)))),
                EnsureAction::LookUp(0)
            );
            assert_eq!(
                machine.clone().after_look_up(Ok(Some(database()))),
                stopped(Ok(EnsureOutcome::Exists(Some(database()))))
            );
            assert_eq!(machine.after_look_up(Ok(None)), stopped(Err(kind)));
        }
    }

    #[test]
    fn an_unclear_create_is_looked_up_and_repeated_without_effect() {
        let (mut machine, _) = Ensure::begin(1, true, false);
        for _ in 0..MAX_CREATES {
            assert_eq!(
                machine.after_create(Err(Failure::Unclear(error(ErrorKind::XataTimeout)))),
                EnsureAction::LookUp(0)
            );
            let found = machine.clone().after_look_up(Ok(Some(database())));
            assert_eq!(found, stopped(Ok(EnsureOutcome::Created(Some(database())))));
            let taken = machine.clone().after_create(Ok(Created::NameTaken));
            assert_eq!(taken, stopped(Ok(EnsureOutcome::Created(None))));
            if machine.n_creates < MAX_CREATES {
                assert_eq!(machine.after_look_up(Ok(None)), EnsureAction::Pause(Duration::ZERO));
                assert_eq!(machine.after_pause(), EnsureAction::Create);
            }
        }
        assert_eq!(machine.after_look_up(Ok(None)), stopped(Err(ErrorKind::XataTimeout)));
    }

    #[test]
    fn contention_is_waited_out_within_limits_and_then_looked_up() {
        let busy = |seconds| {
            Err(Failure::Refused(UpstreamError {
                retry_after: seconds,
                ..error(ErrorKind::Contention)
            }))
        };
        let (mut machine, _) = Ensure::begin(1, true, false);
        for (asked, pause) in [(None, 1), (Some(1), 2), (Some(5), 5), (None, 8), (Some(2), 16)] {
            let pause = Duration::from_secs(pause);
            let asked = asked.map(Duration::from_secs);
            assert_eq!(machine.after_create(busy(asked)), EnsureAction::Pause(pause));
            assert_eq!(machine.after_pause(), EnsureAction::Create);
        }
        assert_eq!(machine.after_create(busy(None)), EnsureAction::LookUp(0));
        assert_eq!(machine.after_look_up(Ok(None)), stopped(Err(ErrorKind::Contention)));

        let (mut machine, _) = Ensure::begin(1, true, false);
        assert_eq!(machine.after_create(busy(Some(MAX_PAUSE + PAUSE))), EnsureAction::LookUp(0));
    }

    #[test]
    fn a_pause_without_time_is_a_look_up_except_right_after_one() {
        for kind in [ErrorKind::Contention, ErrorKind::KeyRefused] {
            let (mut machine, _) = Ensure::begin(1, true, false);
            let pause = machine.after_create(Err(Failure::Refused(error(kind))));
            assert!(matches!(pause, EnsureAction::Pause(_)));
            assert_eq!(machine.without_pause(), EnsureAction::LookUp(0));
            let found = machine.clone().after_look_up(Ok(Some(database())));
            assert_eq!(found, stopped(Ok(EnsureOutcome::Exists(Some(database())))));
            assert_eq!(machine.after_look_up(Ok(None)), stopped(Err(kind)));
        }
        let (mut machine, _) = Ensure::begin(1, true, false);
        machine.after_create(Err(Failure::Unclear(error(ErrorKind::XataTimeout))));
        assert_eq!(machine.after_look_up(Ok(None)), EnsureAction::Pause(Duration::ZERO));
        assert_eq!(machine.without_pause(), stopped(Err(ErrorKind::XataTimeout)));
    }

    #[test]
    fn with_a_key_each_outcome_waits_for_its_entry() {
        let exists = |entry| Ok(UserStatus::Exists(entry));
        let written = || exists(Some((&database()).into()));
        let created = || EnsureOutcome::Created(Some(database()));
        let (mut machine, _) = Ensure::begin(1, true, true);
        let write = machine.after_create(Ok(Created::New(database())));
        assert_eq!(write, EnsureAction::WriteEntry(database()));
        assert_eq!(machine.created(), Some(&database()));
        assert_eq!(machine.clone().after_write(written()), stopped(Ok(created())));
        let gone = machine.clone().after_write(Ok(UserStatus::Deleted));
        assert_eq!(gone, stopped(Ok(EnsureOutcome::UserGone)));
        let unavailable = machine.after_write(Err(error(ErrorKind::ClerkUnavailable)));
        assert_eq!(unavailable, stopped(Err(ErrorKind::ClerkUnavailable)));
    }

    #[test]
    fn the_entry_of_a_database_that_existed_is_written_unless_it_is_right() {
        let right: DirectoryEntry = (&database()).into();
        let other = DirectoryEntry { region: "eu-central-1".to_owned(), ..right.clone() };
        for is_fresh in [true, false] {
            for (entry, is_right) in
                [(Some(right.clone()), true), (Some(other.clone()), false), (None, false)]
            {
                let (mut machine, mut action) = Ensure::begin(1, is_fresh, true);
                if !is_fresh {
                    assert_eq!(action, EnsureAction::CheckUser);
                    action = machine.after_user_check(Ok(UserStatus::Exists(entry.clone())));
                }
                assert_eq!(action, EnsureAction::Create);
                let look_up = machine.after_create(Ok(Created::NameTaken));
                assert_eq!(look_up, EnsureAction::LookUp(0));
                action = machine.after_look_up(Ok(Some(database())));
                if is_fresh {
                    assert_eq!(action, EnsureAction::CheckUser);
                    action = machine.after_user_check(Ok(UserStatus::Exists(entry)));
                }
                assert_eq!(machine.created(), None);
                let done = || stopped(Ok(EnsureOutcome::Exists(Some(database()))));
                if !is_right {
                    assert_eq!(action, EnsureAction::WriteEntry(database()));
                    action = machine.after_write(Ok(UserStatus::Exists(Some(right.clone()))));
                }
                assert_eq!(action, done());
            }
        }
    }

    #[test]
    fn with_a_key_a_taken_name_that_no_list_has_is_contention_unless_the_user_is_gone() {
        let (mut machine, _) = Ensure::begin(1, true, true);
        machine.after_create(Ok(Created::NameTaken));
        let unknown = machine.clone().after_look_up(Err(error(ErrorKind::XataTimeout)));
        assert_eq!(unknown, stopped(Err(ErrorKind::XataTimeout)));
        assert_eq!(machine.after_look_up(Ok(None)), EnsureAction::CheckUser);
        let gone = machine.clone().after_user_check(Ok(UserStatus::Deleted));
        assert_eq!(gone, stopped(Ok(EnsureOutcome::UserGone)));
        let here = machine.after_user_check(Ok(UserStatus::Exists(None)));
        assert_eq!(here, stopped(Err(ErrorKind::Contention)));
    }

    #[test]
    fn an_error_with_a_retry_after_is_left_to_hookdeck() {
        let half_a_minute = Some(Duration::from_secs(30));
        let outage = UpstreamError { retry_after: half_a_minute, ..error(ErrorKind::XataError) };
        let (mut machine, _) = Ensure::begin(1, true, false);
        assert_eq!(
            machine.after_create(Err(Failure::Unclear(outage.clone()))),
            EnsureAction::LookUp(0)
        );
        assert_eq!(machine.after_look_up(Ok(None)), EnsureAction::Stop(Err(outage)));
    }

    #[test]
    fn a_create_with_a_refused_key_is_repeated_twice() {
        let refused = || Err(Failure::Refused(error(ErrorKind::KeyRefused)));
        let (mut machine, _) = Ensure::begin(1, true, false);
        for _ in 1..MAX_CREATES {
            assert_eq!(machine.after_create(refused()), EnsureAction::Pause(PAUSE));
            assert_eq!(machine.after_pause(), EnsureAction::Create);
        }
        assert_eq!(machine.after_create(refused()), EnsureAction::LookUp(0));
        assert_eq!(machine.after_look_up(Ok(None)), stopped(Err(ErrorKind::KeyRefused)));
    }
}
