//! Measures requests whose connection ends while the process is frozen, as Lambda freezes it between
//! deliveries: `cargo bench --workspace --profile dev --bench frozen_sockets`, on Linux.
//!
//! The program starts itself as a function, made of `lambda_runtime` and the client under test, and
//! acts as Lambda and as the upstream. In each trial, the upstream responds to one request, its
//! connection ends during a freeze, and another request follows. An upstream that sends no response
//! still acknowledges data. A test without acknowledgements needs a packet filter.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{convert::Infallible, env, fs, thread};

use lambda_runtime::{LambdaEvent, service_fn};
use per_user_db::http_client::{self, CallError};
use tokio::time::Instant;

/// The function prints this just before a request, without reading its sockets in between.
const READY: &str = "ready to be frozen";

const BUDGET: Duration = Duration::from_millis(500);

/// How a connection ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The process can read the close when it wakes.
    Closed,
    /// The process reads the close only after it has sent its request.
    ClosedUnread,
    /// There is no close.
    Silent,
}

const CASES: [(&str, End, u64, u32); 4] = [
    ("closed, frozen for 5 ms", End::Closed, 5, 300),
    ("closed unheard, frozen for 5 ms", End::ClosedUnread, 5, 300),
    ("silent, frozen for 9 s", End::Silent, 9_000, 1),
    ("silent, frozen for 11 s", End::Silent, 11_000, 1),
];

fn main() {
    if let Ok(client) = env::var("FROZEN_SOCKETS_CLIENT") {
        function(&client);
    } else if env::args().any(|argument| argument == "--bench") {
        let pairs = [("default", "POST"), ("default", "GET"), ("live", "POST"), ("live", "GET")];
        let reports = pairs.map(|(client, method)| thread::spawn(|| measure(client, method)));
        for report in reports {
            println!("{}", report.join().expect("a report"));
        }
    }
}

/// The function. An event is a method, a URL, and whether to wait for a freeze before the request.
fn function(client: &str) {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let plain = reqwest::Client::builder().tls_certs_only([]).build().expect("a client");
    let client = if client == "live" { http_client::live() } else { http_client::boxed(plain) };
    let client = &client;
    let handler = |event: LambdaEvent<(String, String, bool)>| async move {
        let (method, url, freeze) = event.payload;
        if freeze {
            println!("{READY}");
            stdin().read_line(&mut String::new()).expect("a line");
        }
        let method = method.parse().expect("a method");
        let mut request = reqwest::Request::new(method, url.parse().expect("a URL"));
        *request.body_mut() = Some("{}".into());
        let until = Instant::now() + BUDGET;
        let sent = http_client::send(client, request, until).await;
        Ok::<_, Infallible>(match sent {
            Ok(response) => {
                http_client::read(response, 2, until).await.expect("a body");
                "answered"
            }
            Err(CallError::TimeUp) => "hung until its time was up",
            Err(_) => "broken",
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let run = lambda_runtime::run(service_fn(handler));
    runtime.expect("a runtime").block_on(run).expect("the function runs until it is killed");
}

#[derive(Default)]
struct Upstream {
    connections: Mutex<Vec<TcpStream>>,
    /// How often the upstream has stopped responding on all open connections.
    silences: AtomicUsize,
    requests: AtomicUsize,
}

impl Upstream {
    fn close(&self) {
        for connection in self.connections.lock().expect("whole").drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn measure(client: &str, method: &str) -> String {
    let upstream = Arc::new(Upstream::default());
    let served = upstream.clone();
    let address = serve(move |stream| {
        served.connections.lock().expect("whole").push(stream.try_clone().expect("a handle"));
        let silences = served.silences.load(SeqCst);
        while message(&stream).is_some() {
            if served.silences.load(SeqCst) == silences {
                served.requests.fetch_add(1, SeqCst);
                put(&stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
            }
        }
    });
    let mut lambda = Lambda::new(client);
    let event = |freeze| format!("[{method:?}, \"http://{address}/\", {freeze}]");
    let mut report = vec![format!("{client}, {method}")];
    for (case, end, frozen, trials) in CASES {
        let mut results = BTreeMap::new();
        for _ in 0..trials {
            lambda.invoke(&event(false));
            assert_eq!(lambda.results.recv().expect("a result"), "\"answered\"");
            lambda.wait_for_poll();
            upstream.requests.store(0, SeqCst);
            if end == End::ClosedUnread {
                lambda.invoke(&event(true));
                lambda.wait_until_ready();
            }
            lambda.signal("STOP");
            if end == End::Silent {
                upstream.silences.fetch_add(1, SeqCst);
            } else {
                upstream.close();
            }
            thread::sleep(Duration::from_millis(frozen));
            if end == End::ClosedUnread {
                lambda.resume();
            } else {
                lambda.invoke(&event(false));
            }
            lambda.signal("CONT");
            let result = lambda.results.recv().expect("a result");
            *results.entry((result, upstream.requests.load(SeqCst))).or_insert(0) += 1;
        }
        for ((result, requests), count) in results {
            report.push(format!("{case:<32} {count:>3} {result}, {requests} reached the upstream"));
        }
    }
    report.join("\n  ")
}

/// Lambda with one function.
struct Lambda {
    function: Child,
    /// The connections on which the function polls for its next event.
    polls: Receiver<TcpStream>,
    /// The connection of the current poll.
    poll: Option<TcpStream>,
    results: Receiver<String>,
}

impl Lambda {
    fn new(client: &str) -> Self {
        let ((poll, polls), (result, results)) = (channel(), channel());
        let api = serve(move |stream| {
            while let Some((head, body)) = message(&stream) {
                if head.starts_with("GET") {
                    let _ = poll.send(stream.try_clone().expect("a handle"));
                } else {
                    let _ = result.send(body);
                    put(&stream, "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
                }
            }
        });
        let function = Command::new(env::current_exe().expect("this program"))
            .env("FROZEN_SOCKETS_CLIENT", client)
            .env("AWS_LAMBDA_RUNTIME_API", api)
            .envs(["NAME", "VERSION"].map(|name| (format!("AWS_LAMBDA_FUNCTION_{name}"), "1")))
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self { function: function.expect("a process"), polls, poll: None, results }
    }

    fn wait_for_poll(&mut self) {
        if self.poll.is_none() {
            self.poll = self.polls.recv().ok();
        }
    }

    fn invoke(&mut self, event: &str) {
        self.wait_for_poll();
        let poll = self.poll.take().expect("a function that polls");
        let head = "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: 1";
        let (deadline, length) = ("lambda-runtime-deadline-ms: 1", event.len());
        put(&poll, &format!("{head}\r\n{deadline}\r\ncontent-length: {length}\r\n\r\n{event}"));
    }

    fn wait_until_ready(&mut self) {
        let stdout = self.function.stdout.as_mut().expect("a pipe");
        stdout.read_exact(&mut [0; READY.len() + 1]).expect("a line");
    }

    fn resume(&mut self) {
        self.function.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("a reader");
    }

    fn signal(&self, name: &str) {
        let id = self.function.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.expect("kill runs").success());
        let state = || fs::read_to_string(format!("/proc/{id}/stat")).expect("Linux");
        while name == "STOP" && !state().contains(") T ") {
            thread::yield_now();
        }
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.function.kill();
    }
}

/// Serves each connection on its own thread, and returns the address.
fn serve(each: impl FnOnce(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (each, stream) = (each.clone(), stream.expect("a connection"));
            thread::spawn(move || each(stream));
        }
    });
    address
}

/// Sends a message in one write, so that it arrives as one.
fn put(mut stream: &TcpStream, message: &str) {
    let _ = stream.write_all(message.as_bytes());
}

/// The head and body of the next message, unless the connection ends. No peer here sends a message
/// before the response to its last one.
fn message(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).ok().filter(|&bytes| bytes > 0)?;
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}
