//! One user, one database: the decisions of a sign-up.

use std::time::Duration;

use crate::clerk::Presence;
use crate::trouble::{Again, Trouble};
use crate::xata::{Created, Database, LookedUp};

/// Creates per delivery, the first included. More belongs to Hookdeck's schedule.
const MOST_CREATES: u8 = 3;

/// The same while other creates keep the project busy, each pause twice the one before: half a
/// minute in all, a few times what a create takes. With less patience, those who fail together come
/// back together, and most of them fail again (docs/reliability.md).
const MOST_CREATES_WHEN_BUSY: u8 = 6;

/// What a busy project or a refused key is given at first.
const PAUSE: Duration = Duration::from_secs(1);

/// If Xata asks for a longer pause, that belongs to Hookdeck.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What became of the user's database. Only certainties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Made by this delivery. What Xata tells of it, unless all it told is that the name is taken
    /// now.
    Created(Option<Database>),
    /// It was there already. What Xata tells of it, where it was looked up.
    Exists(Option<Database>),
    /// Clerk does not know the user any more, and nothing was done.
    UserGone,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask Clerk whether the user is there.
    Ask,
    /// Create in the home project.
    Create,
    /// Look up in the project of this rank, 0 being the home.
    LookUp(usize),
    /// Let some time pass, or none.
    Pause(Duration),
    /// Stop: this is what is certain, or what is in the way.
    Stop(Result<Outcome, Trouble>),
}

/// The decisions for one delivery. Pure: it knows no clock and no network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ensure {
    projects: usize,
    told: Told,
    creates: u8,
    /// A create of this delivery may have worked without our knowing.
    in_doubt: bool,
    looking: Looking,
}

/// What Clerk is told of, and so has to be known exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Told {
    /// Nothing.
    Nothing,
    /// A database that was made.
    Made,
    /// A database, made or found: what was told earlier may have been lost.
    Any,
}

/// Why a look-up is under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Looking {
    /// The user may have a database already, in the project of this rank or a later one.
    Before(usize),
    /// A create was refused; does that hide a database?
    AfterRefusal(Trouble),
    /// A create may have worked.
    AfterDoubt(Trouble),
    /// It is there, and Clerk is to be told where.
    ToTell,
}

impl Ensure {
    /// Begins. A fresh delivery, the first of an event that just happened, asks the home project at
    /// once. Any other may concern a user who left meanwhile, so Clerk is asked, where it can be; or
    /// one who was served when the list of projects was shorter, so with several projects it looks
    /// in each of them first.
    pub fn begin(projects: usize, fresh: bool, clerk: bool) -> (Self, Action) {
        let told = match (clerk, fresh) {
            (false, _) => Told::Nothing,
            (true, true) => Told::Made,
            (true, false) => Told::Any,
        };
        let (creates, in_doubt, looking) = (0, false, Looking::Before(0));
        let mut machine = Self { projects, told, creates, in_doubt, looking };
        let action = match (fresh, clerk) {
            (true, _) => machine.create(),
            (false, true) => Action::Ask,
            (false, false) => machine.start_late(),
        };
        (machine, action)
    }

    fn start_late(&mut self) -> Action {
        if self.projects == 1 { self.create() } else { Action::LookUp(0) }
    }

    /// Says what to do after Clerk was asked.
    pub fn after_asking(&mut self, presence: Result<Presence, Trouble>) -> Action {
        match presence {
            Ok(Presence::Here) => self.start_late(),
            Ok(Presence::Gone) => Action::Stop(Ok(Outcome::UserGone)),
            Err(trouble) => Action::Stop(Err(trouble)),
        }
    }

    /// Says what to do after a create.
    pub fn after_create(&mut self, created: Created) -> Action {
        match created {
            Created::Made(database) => Action::Stop(Ok(Outcome::Created(Some(database)))),
            Created::Taken => match (self.told, self.in_doubt) {
                (Told::Any, _) | (Told::Made, true) => self.look(Looking::ToTell),
                (Told::Nothing, _) | (Told::Made, false) => self.found(None),
            },
            Created::Refused(trouble) => {
                let again = match trouble.reason.again() {
                    Again::Now => {
                        let pause = PAUSE * 2_u32.pow(u32::from(self.creates - 1));
                        self.create_again(MOST_CREATES_WHEN_BUSY, trouble.retry_after, pause)
                    }
                    Again::NowOrNever => {
                        self.create_again(MOST_CREATES, trouble.retry_after, PAUSE)
                    }
                    Again::Later | Again::Never => None,
                };
                again.unwrap_or_else(|| self.look(Looking::AfterRefusal(trouble)))
            }
            Created::Unclear(trouble) => {
                self.in_doubt = true;
                self.look(Looking::AfterDoubt(trouble))
            }
        }
    }

    /// Says what to do after a pause.
    pub fn after_pause(&mut self) -> Action {
        self.create()
    }

    /// Says what to do after a look-up.
    pub fn after_look_up(&mut self, looked_up: LookedUp) -> Action {
        match (looked_up, self.looking.clone()) {
            (LookedUp::Found(database), _) => self.found(Some(database)),
            (_, Looking::ToTell) => self.found(None),
            (LookedUp::Absent, Looking::Before(rank)) if rank + 1 < self.projects => {
                self.looking = Looking::Before(rank + 1);
                Action::LookUp(rank + 1)
            }
            (LookedUp::Absent, Looking::Before(_)) => self.create(),
            // The list can miss a create that is still under way; asked again, Xata waits for it,
            // then says "taken".
            (LookedUp::Absent, Looking::AfterDoubt(trouble)) => {
                let again = self.create_again(MOST_CREATES, trouble.retry_after, Duration::ZERO);
                again.unwrap_or(Action::Stop(Err(trouble)))
            }
            (LookedUp::Absent, Looking::AfterRefusal(trouble))
            | (LookedUp::Unknown(trouble), _) => Action::Stop(Err(trouble)),
        }
    }

    fn found(&self, database: Option<Database>) -> Action {
        let outcome = if self.in_doubt { Outcome::Created } else { Outcome::Exists };
        Action::Stop(Ok(outcome(database)))
    }

    fn create(&mut self) -> Action {
        self.creates += 1;
        Action::Create
    }

    fn look(&mut self, why: Looking) -> Action {
        self.looking = why;
        Action::LookUp(0)
    }

    /// Another create, after the pause that Xata asks for and at least ours, unless that is
    /// Hookdeck's to arrange.
    fn create_again(&self, most: u8, asked: Option<Duration>, pause: Duration) -> Option<Action> {
        let asked = asked.unwrap_or_default();
        (self.creates < most && asked <= LONGEST_PAUSE).then_some(Action::Pause(asked.max(pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trouble::Reason;

    fn trouble(reason: Reason) -> Trouble {
        Trouble::silent(reason)
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

    fn stopped(result: Result<Outcome, Reason>) -> Action {
        Action::Stop(result.map_err(trouble))
    }

    #[test]
    fn a_fresh_sign_up_is_one_create() {
        let (mut machine, action) = Ensure::begin(3, true, false);
        assert_eq!(action, Action::Create);
        assert_eq!(
            machine.after_create(Created::Made(database())),
            stopped(Ok(Outcome::Created(Some(database()))))
        );
    }

    #[test]
    fn a_later_delivery_looks_in_every_project_before_it_creates() {
        let (mut machine, action) = Ensure::begin(3, false, false);
        assert_eq!(action, Action::LookUp(0));
        assert_eq!(machine.after_look_up(LookedUp::Absent), Action::LookUp(1));
        assert_eq!(
            machine.clone().after_look_up(LookedUp::Found(database())),
            stopped(Ok(Outcome::Exists(Some(database()))))
        );
        assert_eq!(machine.after_look_up(LookedUp::Absent), Action::LookUp(2));
        assert_eq!(machine.after_look_up(LookedUp::Absent), Action::Create);
    }

    #[test]
    fn with_one_project_the_create_itself_finds_out() {
        assert_eq!(Ensure::begin(1, false, false).1, Action::Create);
    }

    #[test]
    fn a_list_that_could_not_be_read_is_no_absence() {
        let unknown = || LookedUp::Unknown(trouble(Reason::ListTooLong));
        assert_eq!(
            Ensure::begin(2, false, false).0.after_look_up(unknown()),
            stopped(Err(Reason::ListTooLong))
        );
        let (mut machine, _) = Ensure::begin(1, true, false);
        machine.after_create(Created::Refused(trouble(Reason::StandingQuota)));
        assert_eq!(machine.after_look_up(unknown()), stopped(Err(Reason::ListTooLong)));
    }

    #[test]
    fn a_refusal_is_believed_only_after_a_look_up() {
        for reason in [
            Reason::StandingQuota,
            Reason::HourlyQuota,
            Reason::RequestRejected,
            Reason::AccessDenied,
        ] {
            let (mut machine, _) = Ensure::begin(2, true, false);
            assert_eq!(machine.after_create(Created::Refused(trouble(reason))), Action::LookUp(0));
            assert_eq!(
                machine.clone().after_look_up(LookedUp::Found(database())),
                stopped(Ok(Outcome::Exists(Some(database()))))
            );
            assert_eq!(machine.after_look_up(LookedUp::Absent), stopped(Err(reason)));
        }
    }

    #[test]
    fn an_unclear_create_that_worked_is_created_and_one_that_did_not_is_tried_again() {
        let (mut machine, _) = Ensure::begin(1, true, false);
        for _ in 0..MOST_CREATES {
            assert_eq!(
                machine.after_create(Created::Unclear(trouble(Reason::XataTimeout))),
                Action::LookUp(0)
            );
            let found = machine.clone().after_look_up(LookedUp::Found(database()));
            assert_eq!(found, stopped(Ok(Outcome::Created(Some(database())))));
            let taken = machine.clone().after_create(Created::Taken);
            assert_eq!(taken, stopped(Ok(Outcome::Created(None))));
            if machine.creates < MOST_CREATES {
                assert_eq!(machine.after_look_up(LookedUp::Absent), Action::Pause(Duration::ZERO));
                assert_eq!(machine.after_pause(), Action::Create);
            }
        }
        assert_eq!(machine.after_look_up(LookedUp::Absent), stopped(Err(Reason::XataTimeout)));
    }

    #[test]
    fn contention_is_waited_out_within_bounds_and_then_looked_up() {
        let busy = |seconds| {
            Created::Refused(Trouble { retry_after: seconds, ..trouble(Reason::Contention) })
        };
        let (mut machine, _) = Ensure::begin(1, true, false);
        for (asked, pause) in [(None, 1), (Some(1), 2), (Some(5), 5), (None, 8), (Some(2), 16)] {
            let pause = Duration::from_secs(pause);
            let asked = asked.map(Duration::from_secs);
            assert_eq!(machine.after_create(busy(asked)), Action::Pause(pause));
            assert_eq!(machine.after_pause(), Action::Create);
        }
        assert_eq!(machine.after_create(busy(None)), Action::LookUp(0));
        assert_eq!(machine.after_look_up(LookedUp::Absent), stopped(Err(Reason::Contention)));

        let (mut machine, _) = Ensure::begin(1, true, false);
        assert_eq!(machine.after_create(busy(Some(LONGEST_PAUSE + PAUSE))), Action::LookUp(0));
    }

    #[test]
    fn an_outage_that_names_its_end_is_left_to_hookdeck() {
        let half_a_minute = Some(Duration::from_secs(30));
        let outage = Trouble { retry_after: half_a_minute, ..trouble(Reason::XataError) };
        let (mut machine, _) = Ensure::begin(1, true, false);
        assert_eq!(machine.after_create(Created::Unclear(outage.clone())), Action::LookUp(0));
        assert_eq!(machine.after_look_up(LookedUp::Absent), Action::Stop(Err(outage)));
    }

    #[test]
    fn a_refused_key_gets_two_more_chances() {
        let refused = || Created::Refused(trouble(Reason::KeyRefused));
        let (mut machine, _) = Ensure::begin(1, true, false);
        for _ in 1..MOST_CREATES {
            assert_eq!(machine.after_create(refused()), Action::Pause(PAUSE));
            assert_eq!(machine.after_pause(), Action::Create);
        }
        assert_eq!(machine.after_create(refused()), Action::LookUp(0));
        assert_eq!(machine.after_look_up(LookedUp::Absent), stopped(Err(Reason::KeyRefused)));
    }
}
