//! AWS Lambda's Runtime API on a loopback port: what the function's process asks for invocations.
//!
//! Unlike the other stand-ins, it runs on a thread of its own and on real time, so that a busy test
//! delays no invocation and a benchmark can time one. Any number of requests for an invocation may
//! wait at once.
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>)

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::sync::{mpsc, oneshot, watch};

use crate::fault::Reset;
use crate::serve;

/// The function's ARN in every invocation.
const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:per-user-db";

/// A Runtime API for one process. It stops when it is dropped.
#[derive(Debug)]
pub struct RuntimeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// None once no invocation can be added.
    queue: Mutex<Option<mpsc::UnboundedSender<Queued>>>,
    n_invocations: AtomicU64,
    /// The server's thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    /// A request for an invocation waits while it holds this.
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<Queued>>,
    /// What was handed out and is not answered, by request id.
    in_progress: Mutex<HashMap<String, (Instant, oneshot::Sender<Invoked>)>>,
    first_next: watch::Sender<Option<Instant>>,
    init_error: watch::Sender<Option<Bytes>>,
}

#[derive(Debug)]
struct Queued {
    payload: Bytes,
    deadline: SystemTime,
    request_id: String,
    trace_id: String,
    invoked: oneshot::Sender<Invoked>,
}

/// An invocation that the function has answered.
#[derive(Clone, Debug)]
pub struct Invoked {
    /// Lambda's id of the invocation.
    pub request_id: String,
    /// When the process got it.
    pub handed_out_at: Instant,
    /// When its response, or its error, had arrived.
    pub answered_at: Instant,
    /// The response; or what the process reported as an error.
    pub result: Result<Bytes, Bytes>,
}

impl Invoked {
    /// The time that the process took.
    pub fn duration(&self) -> Duration {
        self.answered_at - self.handed_out_at
    }
}

impl RuntimeApi {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// Where no loopback port or no thread can be had.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (queue, receiver) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(Shared {
            queue: receiver.into(),
            in_progress: Mutex::default(),
            first_next: watch::Sender::default(),
            init_error: watch::Sender::default(),
        });
        let router = router(shared.clone());
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::select! {
                served = serve::serve(listener, router) => served,
                _ = stopped => Ok(()),
            }
        };
        std::thread::Builder::new()
            .name("runtime API".to_owned())
            .spawn(move || runtime.block_on(serve))?;
        Ok(Self {
            address,
            shared,
            queue: Some(queue).into(),
            n_invocations: 0.into(),
            _stop: stop,
        })
    }

    /// The address, as `AWS_LAMBDA_RUNTIME_API` has it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The variables that Lambda sets for every process.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_LAMBDA_RUNTIME_API", self.address()),
            ("AWS_LAMBDA_FUNCTION_NAME", "per-user-db".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ]
    }

    /// Queues an invocation, even where the result is not awaited. It never comes where the process
    /// ends before it answers.
    ///
    /// # Panics
    ///
    /// After [`RuntimeApi::end`], and where the Runtime API is dropped while the result is awaited.
    pub fn invoke(
        &self,
        payload: Bytes,
        deadline: SystemTime,
    ) -> impl Future<Output = Invoked> + Send + use<> {
        let n = self.n_invocations.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, invoked) = oneshot::channel();
        let queued = Queued {
            payload,
            deadline,
            request_id: format!("00000000-0000-4000-8000-{n:012x}"),
            trace_id: format!("Root=1-695e3e68-{n:024x};Parent={n:016x};Sampled=0"),
            invoked: sender,
        };
        let queue = lock(&self.queue);
        queue.as_ref().expect("the end has not come").send(queued).expect("the server runs");
        async { invoked.await.expect("the Runtime API is not dropped meanwhile") }
    }

    /// When the process first asked for an invocation, which is when its start was over.
    pub async fn first_next(&self) -> Instant {
        some(&self.shared.first_next).await
    }

    /// What the process reported about a start that failed.
    pub async fn init_error(&self) -> Bytes {
        some(&self.shared.init_error).await
    }

    /// Closes the connection of each request for an invocation once the queue is empty. A process
    /// that handles one invocation at a time ends then.
    pub fn end(&self) {
        lock(&self.queue).take();
    }
}

/// The value, once there is one.
async fn some<T: Clone>(value: &watch::Sender<Option<T>>) -> T {
    let mut receiver = value.subscribe();
    let value = receiver.wait_for(Option::is_some).await.expect("the sender lives");
    value.clone().expect("the condition says so")
}

/// A guard that is never held over an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn router(shared: Arc<Shared>) -> Router {
    let response = async |State(shared): State<Arc<Shared>>, Path(id): Path<String>, body| {
        shared.answer(id, Ok(body))
    };
    let error = async |State(shared): State<Arc<Shared>>, Path(id): Path<String>, body| {
        shared.answer(id, Err(body))
    };
    let init_error = async |State(shared): State<Arc<Shared>>, body: Bytes| {
        shared.init_error.send_replace(Some(body));
        StatusCode::ACCEPTED
    };
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(shared)
}

async fn next(State(shared): State<Arc<Shared>>) -> Response<Body> {
    shared.first_next.send_if_modified(|first| {
        let is_first = first.is_none();
        first.get_or_insert_with(Instant::now);
        is_first
    });
    let Some(queued) = shared.queue.lock().await.recv().await else {
        let mut end = Response::new(Body::empty());
        end.extensions_mut().insert(Reset);
        return end;
    };
    let Queued { payload, deadline, request_id, trace_id, invoked } = queued;
    let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", &request_id)
        .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
        .header("lambda-runtime-invoked-function-arn", ARN)
        .header("lambda-runtime-trace-id", trace_id)
        .body(payload.into())
        .expect("ids and numbers are valid headers");
    lock(&shared.in_progress).insert(request_id, (Instant::now(), invoked));
    response
}

impl Shared {
    /// Lambda refuses an id that it does not know, or that is answered already.
    fn answer(&self, request_id: String, result: Result<Bytes, Bytes>) -> StatusCode {
        let answered_at = Instant::now();
        let Some((handed_out_at, invoked)) = lock(&self.in_progress).remove(&request_id) else {
            return StatusCode::BAD_REQUEST;
        };
        let _nobody_waits =
            invoked.send(Invoked { request_id, handed_out_at, answered_at, result });
        StatusCode::ACCEPTED
    }
}
