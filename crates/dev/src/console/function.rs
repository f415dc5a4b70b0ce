//! The function, whose processes can be killed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response};
use per_user_db::worker::Worker;
use standin::function_url;
use tokio::task::AbortHandle;
use tower::BoxError;

use super::trace::{DELIVERY, Delivery};
use crate::server;

/// Starts the function: the settings are read, and nothing is remembered.
type Start = Box<dyn Fn() -> anyhow::Result<Worker> + Send + Sync>;

/// The function behind its URL. Each delivery is a task of its own, as each is a process of its own on
/// Lambda.
pub(crate) struct Function {
    start: Start,
    running: Mutex<Running>,
}

struct Running {
    worker: Arc<Worker>,
    tasks: HashMap<u64, AbortHandle>,
    n_begun: u64,
}

impl Function {
    pub(super) fn new(start: Start) -> anyhow::Result<Self> {
        let worker = Arc::new(start()?);
        let running = Running { worker, tasks: HashMap::new(), n_begun: 0 };
        Ok(Self { start, running: Mutex::new(running) })
    }

    /// Delivers a request. What the function does is recorded in `delivery`. A caller that hangs up does
    /// not end the work, as on Lambda.
    pub(crate) async fn invoke(
        &self,
        request: Request<Bytes>,
        delivery: Option<Arc<Delivery>>,
    ) -> Result<Response<Bytes>, BoxError> {
        let (task, _ended) = {
            let mut running = self.running();
            let worker = running.worker.clone();
            let work = async move { server::invoke(&worker, &request, SystemTime::now()).await };
            let task = match delivery {
                Some(delivery) => tokio::spawn(DELIVERY.scope(delivery, work)),
                None => tokio::spawn(work),
            };
            running.n_begun += 1;
            let number = running.n_begun;
            running.tasks.insert(number, task.abort_handle());
            (task, Ended { function: self, number })
        };
        let response = task.await.map_err(|_| "the function's process has ended")?;
        Ok(function_url::response(&response.to_lambda())?)
    }

    /// Ends every delivery at once, wherever it is, and starts the function anew. It stands for a process
    /// that runs out of memory, that Lambda ends, or whose machine fails: no answer, no log line, nothing
    /// remembered, and what Xata or Clerk has done stays done. Returns how many deliveries it ended.
    pub(super) fn kill(&self) -> anyhow::Result<usize> {
        let worker = Arc::new((self.start)()?);
        let mut running = self.running();
        running.worker = worker;
        let tasks = std::mem::take(&mut running.tasks);
        tasks.values().for_each(AbortHandle::abort);
        Ok(tasks.len())
    }

    /// Never held over an await.
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a delivery, however it ends.
struct Ended<'a> {
    function: &'a Function,
    number: u64,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.function.running().tasks.remove(&self.number);
    }
}
