//! The clock of the function and of Clerk, which can run fast.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

/// The time of day as Clerk and the function have it beside stand-ins. It passes as much faster as
/// Hookdeck's delays are shorter: ten minutes in which a deletion waits are half a minute.
pub(super) struct ScaledClock(Mutex<Moment>);

#[derive(Clone, Copy)]
struct Moment {
    showed: SystemTime,
    at: Instant,
    scale: f64,
}

impl Moment {
    fn now(&self) -> SystemTime {
        self.showed + self.at.elapsed().mul_f64(self.scale)
    }
}

impl ScaledClock {
    pub(super) fn new(scale: f64) -> Self {
        Self(Mutex::new(Moment { showed: SystemTime::now(), at: Instant::now(), scale }))
    }

    pub(super) fn now(&self) -> SystemTime {
        self.moment().now()
    }

    pub(super) fn set_scale(&self, scale: f64) {
        let mut moment = self.moment();
        *moment = Moment { showed: moment.now(), at: Instant::now(), scale };
    }

    fn moment(&self) -> MutexGuard<'_, Moment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
