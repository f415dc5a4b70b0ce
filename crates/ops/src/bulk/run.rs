use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use cli::output;
use futures_util::stream::{FuturesUnordered, StreamExt};
use indicatif::{HumanCount, HumanDuration, ProgressBar};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::{Ledger, Options, Outcome, Report, States, Target, Work};
use crate::bulk::ledger::Step;
use crate::failure::{Failure, FailureKind};

/// How long work that has begun may go on after an interrupt.
const GRACE: Duration = Duration::from_secs(8);

/// The first pause before a retry; each one after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How often one database may wait because a service asks for it.
const MAX_WAITS: u32 = 100;

/// How often a run without a terminal tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The work on many databases, a phase after the other.
pub(crate) struct Run<'a, W> {
    work: &'a W,
    options: &'a Options,
    ledger: Ledger,
    before: States,
    pace: Pace,
    signals: [Signal; 2],
    progress: Progress,
    pub(crate) report: Report,
}

/// The time before which no request is sent, where a service has asked for a pause.
#[derive(Default)]
struct Pace(Cell<Option<Instant>>);

impl Pace {
    fn hold(&self, wait: Duration) {
        let until = Instant::now() + wait;
        self.0.set(Some(self.0.get().map_or(until, |other| other.max(until))));
    }

    async fn wait(&self) {
        while let Some(until) = self.0.get().filter(|until| *until > Instant::now()) {
            sleep_until(until).await;
        }
    }
}

struct Progress {
    bar: ProgressBar,
    since: Instant,
    ticks: Interval,
    is_terminal: bool,
}

impl Progress {
    fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let every = if is_terminal { Duration::from_millis(200) } else { TELL_EVERY };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.reset(); // the first tick of an interval is at once
        Self { bar: output::bar_with_message(), since: Instant::now(), ticks, is_terminal }
    }

    /// Such as `412/9,800 · 2 failed · 31/s · ETA 5 min`.
    fn tell(&self, report: &Report, pace: &Pace) {
        let (n_ended, n_failed) = (report.count.ended(), report.count.bad());
        let n_done = n_ended + report.count.done_before;
        let seconds = self.since.elapsed().as_secs().max(1);
        let left = report.databases.saturating_sub(n_done) as u64;
        let rest = (left * seconds).checked_div(n_ended as u64).map(Duration::from_secs);
        let rest = rest.map(|rest| format!(" · ETA {}", HumanDuration(rest)));
        let until = pace.0.get().map(|until| until.saturating_duration_since(Instant::now()));
        let until = until.map(|wait| wait.as_secs()).filter(|seconds| *seconds > 0);
        let until = until.map(|seconds| format!(" · Xata or Clerk asks to wait, {seconds} s left"));
        let text = format!(
            "{}/{} · {n_failed} failed · {}/s{}{}",
            HumanCount(n_done as u64),
            HumanCount(report.databases as u64),
            n_ended as u64 / seconds,
            rest.unwrap_or_default(),
            until.unwrap_or_default(),
        );
        if self.is_terminal {
            self.bar.set_length(report.databases as u64);
            self.bar.set_position(n_done as u64);
            self.bar.set_message(text);
        } else {
            output::note(text);
        }
    }
}

impl<'a, W: Work> Run<'a, W> {
    /// Begins a run, whose ledger is open. `before` has what earlier parts of it did; `command` goes on
    /// with the run, where the option stands between its two parts.
    pub(crate) fn new(
        work: &'a W,
        options: &'a Options,
        ledger: Ledger,
        before: States,
        command: (&str, &str),
    ) -> Result<Self> {
        let resume = Some(format!("{} --resume {}{}", command.0, ledger.id, command.1));
        let report = Report { run: ledger.id.clone(), resume, ..Report::default() };
        let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        let (pace, progress) = (Pace::default(), Progress::new());
        Ok(Self { work, options, ledger, before, pace, signals, progress, report })
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.report.stopped.is_some()
    }

    /// Works on these targets, and leaves out those that an earlier part of the run has done. After
    /// `max_failures` failures in this phase the run stops; 0 is never. A run that has stopped does
    /// nothing.
    pub(crate) async fn phase(&mut self, name: &str, targets: Vec<Target>, max_failures: usize) {
        if self.is_stopped() {
            return;
        }
        self.report.databases += targets.len();
        let mut left = Vec::new();
        for target in targets {
            match self.before.get(target.key()).map(|state| state.step) {
                Some(step) if step.is_done() => self.report.count.done_before += 1,
                Some(Step::Started | Step::Unclear) if !self.work.is_repeatable() => {
                    let message = "an earlier part of the run was cut off here, so it is unknown what \
                                   was done: look at the database, then run this with --rerun-unclear";
                    let failure = Failure::permanent("cut_off", message).unclear();
                    self.report.add(&target, &Err(failure));
                }
                _ => left.push(target),
            }
        }
        let bad_before = self.report.count.bad();
        let shared = Shared {
            work: self.work,
            options: self.options,
            ledger: &self.ledger,
            pace: &self.pace,
        };
        let Self { signals: [interrupt, terminate], progress, report, .. } = self;
        let mut queue = left.into_iter();
        let mut running = FuturesUnordered::new();
        let (mut deadline, mut is_broken) = (None, false);
        loop {
            while report.stopped.is_none()
                && running.len() < self.options.parallel
                && let Some(target) = queue.next()
            {
                running.push(shared.perform(target));
            }
            let end = deadline.unwrap_or_else(|| Instant::now() + GRACE);
            tokio::select! {
                ended = running.next() => match ended {
                    None => break,
                    Some(Err(error)) => {
                        report.stopped = Some(format!("{error:#}; nothing is begun that is not recorded"));
                    }
                    Some(Ok((target, result))) => {
                        report.add(&target, &result);
                        let n_bad = report.count.bad() - bad_before;
                        let is_full = max_failures > 0 && n_bad >= max_failures;
                        if is_full && (report.stopped.is_none() || is_broken) {
                            is_broken = true;
                            // What had begun by then may fail, too.
                            report.stopped = Some(format!("{n_bad} failed among {name}"));
                        }
                    }
                },
                _ = progress.ticks.tick() => progress.tell(report, shared.pace),
                () = sleep_until(end), if deadline.is_some() => break,
                _ = async { tokio::select! { it = interrupt.recv() => it, it = terminate.recv() => it } } => {
                    if deadline.is_some() {
                        break;
                    }
                    output::note("stopping: what has begun may end; once more stops at once");
                    deadline = Some(Instant::now() + GRACE);
                    (report.stopped, report.is_interrupted) = (Some("interrupted".to_owned()), true);
                }
            }
        }
    }

    /// Stops the run, for a reason other than a target's.
    pub(crate) fn stop(&mut self, why: String) {
        self.report.stopped.get_or_insert(why);
    }

    /// Works on a few targets first, among which one failure stops the run, and then on the others.
    pub(crate) async fn canary_and_rest(&mut self, mut targets: Vec<Target>) {
        let rest = targets.split_off(self.options.canary.min(targets.len()));
        self.phase("the canaries", targets, 1).await;
        self.phase("the databases", rest, self.options.max_failures).await;
    }

    /// Ends a run that another run of the command makes up for, because it looks at everything.
    pub(crate) fn finish_without_resume(self) -> Report {
        Report { resume: None, ..self.finish() }
    }

    /// Ends the run.
    pub(crate) fn finish(self) -> Report {
        self.progress.bar.finish_and_clear();
        self.report
    }
}

/// What the work on each database needs.
struct Shared<'a, W> {
    work: &'a W,
    options: &'a Options,
    ledger: &'a Ledger,
    pace: &'a Pace,
}

impl<W: Work> Shared<'_, W> {
    /// Works on a target until it is done, or no retry can help. The error is the ledger's.
    async fn perform(&self, target: Target) -> Result<(Target, Result<Outcome, Failure>)> {
        let (mut attempt, mut n_waits) = (1, 0);
        loop {
            self.pace.wait().await;
            self.ledger.started(&target, attempt)?;
            let result = timeout(self.options.timeout, self.work.perform(&target)).await;
            let result = result.unwrap_or_else(|_| {
                let time = humantime::format_duration(self.options.timeout);
                Err(Failure::permanent("timeout", format!("it took longer than --timeout {time}")))
            });
            self.ledger.ended(&target, attempt, &result)?;
            match &result {
                Err(Failure { retry_after: Some(wait), .. }) if n_waits < MAX_WAITS => {
                    n_waits += 1;
                    self.pace.hold(*wait);
                }
                Err(Failure { kind: FailureKind::Transient, .. })
                    if attempt <= self.options.retries =>
                {
                    sleep(FIRST_PAUSE * 2_u32.saturating_pow(attempt - 1)).await;
                    attempt += 1;
                }
                _ => return Ok((target, result)),
            }
        }
    }
}
