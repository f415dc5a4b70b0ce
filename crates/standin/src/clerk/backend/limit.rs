//! So many requests within 10 seconds (section 11).

use std::collections::HashMap;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(10);

/// Counts from the first request on; where the service's 10 seconds begin is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    began: Duration,
    count: u32,
}

impl Window {
    /// Takes one request, or says in how many whole seconds it may come again. A refused one does not count.
    pub(super) fn take(&mut self, most: Option<u32>, now: Duration) -> Result<(), u64> {
        if self.count == 0 || now >= self.began + WINDOW {
            *self = Self { began: now, count: 0 };
        }
        if most.is_some_and(|most| self.count >= most) {
            let rest = (self.began + WINDOW).saturating_sub(now);
            return Err(rest.as_secs() + u64::from(rest.subsec_nanos() > 0));
        }
        self.count = self.count.saturating_add(1);
        Ok(())
    }
}

/// One window for the whole API, and one for each user.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) whole: Window,
    pub(super) users: HashMap<String, Window>,
}
