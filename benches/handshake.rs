//! Measures the time from exec to the first answer, with the connection to Xata made by the first
//! request or during init: `cargo bench -p per-user-db --bench handshake`, on Linux, where cgroups
//! can be written.
//!
//! The program starts itself as a function, made of `lambda_runtime`, the client and the reading of
//! the secret, and acts as Lambda, as Xata and as Secrets Manager. Both speak TLS 1.3 with a chain of
//! two P-256 certificates. What the function sends arrives a round trip late, and two at the start of
//! a connection, one of them for the handshake of TCP; what it receives is not delayed. An answer of
//! Secrets Manager takes 30 ms and a round trip of 1 ms, one of Xata only its round trip. The kernel
//! gives the function the CPU share of 256 MB, in periods of 20 ms, from exec on or after init.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, process, thread};

use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_runtime::{LambdaEvent, service_fn};
use per_user_db::http_client;
use per_user_db::secrets::SecretsManager;
use per_user_db::settings::{self, Variables};
use per_user_db::worker::SECRETS_TIMEOUT;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Method, Request, Url};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use standin::runtime_api::RuntimeApi;

const RUNS: usize = 51;

const ROUND_TRIPS_MS: [u64; 3] = [1, 10, 40];

/// When the connection to Xata is made: by the first request, by a task that init does not wait for,
/// or by one that it waits for.
const WAYS: [&str; 3] = ["first request", "beside init", "within init"];

/// The variables that the function gets beside Lambda's: its way, the root certificate, and the URL.
const VARIABLES: [&str; 3] = ["HANDSHAKE_WAY", "HANDSHAKE_ROOT", "HANDSHAKE_XATA"];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    if let [Ok(way), Ok(root), Ok(xata)] = VARIABLES.map(env::var) {
        runtime.block_on(function(&way, &root, xata.parse().expect("a URL")));
    } else if env::args().any(|argument| argument == "--bench") {
        runtime.block_on(measure());
    }
}

/// The function. A delivery is one request to Xata.
async fn function(way: &str, root: &str, xata: Url) {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let root = BASE64_STANDARD.decode(root).expect("base64");
    roots.add(root.into()).expect("a certificate");
    let client = || http_client::live_with(roots.clone());
    let variables: Variables = Arc::new(|| env::vars_os().collect());
    let source = settings::secrets(variables()).expect("settings of the secret");
    let source =
        source.map(|it| SecretsManager::new(it, variables, client(), Arc::new(SystemTime::now)));
    let secrets = async {
        if let Some(source) = source {
            source.read(tokio::time::Instant::now() + SECRETS_TIMEOUT).await.expect("a secret");
        }
    };
    let client = async {
        let client = client();
        if way != WAYS[0] {
            let connect = http_client::connect(client.clone(), xata.to_string());
            let connection = tokio::spawn(connect);
            if way == WAYS[2] {
                connection.await.expect("no panic");
            }
        }
        client
    };
    let ((), client) = tokio::join!(secrets, client);
    let (client, xata) = (&client, &xata);
    let handler = |_: LambdaEvent<Value>| async move {
        let mut request = Request::new(Method::POST, xata.clone());
        *request.body_mut() = Some("{}".into());
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let response = http_client::send(client, request, deadline).await.expect("a response");
        http_client::read(response, 100, deadline).await.expect("a body");
        Ok::<_, Infallible>("answered")
    };
    lambda_runtime::run(service_fn(handler)).await.expect("it runs until it is killed");
}

async fn measure() {
    let (tls, group) = (Tls::new(), Group::new());
    let secret = r#"{"SecretString":"{}"}"#;
    let secrets = Upstream::start(&tls, 1, Duration::from_millis(30), secret);
    let xata = ROUND_TRIPS_MS.map(|it| Upstream::start(&tls, it, Duration::ZERO, "{}"));
    let rows = [(None, false), (Some(&secrets), false), (None, true), (Some(&secrets), true)];
    let rows = rows.iter().flat_map(|&(secrets, is_limited_in_init)| {
        xata.iter().map(move |xata| Row { secrets, is_limited_in_init, xata })
    });
    let mut rows: Vec<_> = rows.map(|row| (row, WAYS.map(|_| Vec::new()))).collect();
    for n in 0..RUNS {
        for (row, results) in &mut rows {
            // Each way is as often the first as the others.
            for way in (0..3).map(|it| (it + n) % 3) {
                results[way].push(run(&tls, &group, row, WAYS[way]).await);
            }
        }
    }
    println!("SECRETS_ID  256 MB      round trip{}", WAYS.map(|it| format!("{it:>20}")).concat());
    for (row, results) in rows {
        let secret = if row.secrets.is_some() { "set" } else { "not set" };
        let limit = if row.is_limited_in_init { "from exec" } else { "after init" };
        let results = results.map(|mut results| {
            results.sort();
            let median = 1e3 * results[RUNS / 2].0.as_secs_f64();
            let connections = results.iter().map(|it| it.1).max().unwrap_or_default();
            format!("{:>20}", format!("{median:.1} ms ({connections})"))
        });
        println!("{secret:12}{limit:12}{:>7} ms{}", row.xata.round_trip_ms, results.concat());
    }
}

/// What is measured in each of the ways.
struct Row<'a> {
    secrets: Option<&'a Upstream>,
    is_limited_in_init: bool,
    xata: &'a Upstream,
}

/// The time from exec to the first answer, and the connections to Xata.
async fn run(tls: &Tls, group: &Group, row: &Row<'_>, way: &str) -> (Duration, usize) {
    let connections = || row.xata.connections.load(SeqCst);
    let before = connections();
    let api = RuntimeApi::start().expect("a Runtime API");
    group.limit(false);
    // To join a cgroup takes milliseconds, and belongs to no measurement.
    let mut function = Command::new("sh");
    let join = r#"echo $$ > "$0" && echo && read -r _ && exec "$1""#;
    function.args(["-c", join]).arg(group.0.join("cgroup.procs"));
    function.stdin(Stdio::piped()).stdout(Stdio::piped());
    function.arg(env::current_exe().expect("this program")).envs(api.variables());
    let values = [way, &BASE64_STANDARD.encode(&tls.root), &row.xata.url];
    function.envs(VARIABLES.into_iter().zip(values));
    if let Some(secrets) = row.secrets {
        function.envs([
            ("SECRETS_ID", "secret"),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.url),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]);
    }
    let mut function = function.spawn().expect("a process");
    let joined = function.stdout.as_mut().expect("a pipe").read_exact(&mut [0]);
    joined.expect("a cgroup can be joined");
    group.limit(row.is_limited_in_init);
    let started_at = Instant::now();
    function.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("a reader");
    api.first_next().await;
    if !row.is_limited_in_init {
        group.limit(true);
    }
    let deadline = SystemTime::now() + Duration::from_secs(30);
    let invoked = api.invoke("{}".into(), deadline).await;
    assert_eq!(invoked.result, Ok(r#""answered""#.into()));
    function.kill().expect("a running process");
    function.wait().expect("its end");
    (invoked.answered_at - started_at, connections() - before)
}

/// A cgroup for the function.
struct Group(PathBuf);

impl Group {
    fn new() -> Self {
        // With version 1, each resource has its own tree.
        let tree = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].map(PathBuf::from);
        let tree = tree.into_iter().find(|it| it.exists()).expect("cgroups");
        let group = Self(tree.join(format!("handshake-{}", process::id())));
        fs::create_dir(&group.0).expect("a cgroup can be made");
        group
    }

    /// Sets or lifts the limit: 256 MB of the 1769 MB that are one vCPU.
    fn limit(&self, is_limited: bool) {
        let write = |file, value: &str| fs::write(self.0.join(file), value);
        let done = if self.0.join("cpu.max").exists() {
            write("cpu.max", if is_limited { "2894 20000" } else { "max 20000" })
        } else {
            write("cpu.cfs_period_us", "20000")
                .and_then(|()| write("cpu.cfs_quota_us", if is_limited { "2894" } else { "-1" }))
        };
        done.expect("the CPU time of a cgroup can be limited");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Certificates that are made at start.
struct Tls {
    root: CertificateDer<'static>,
    server: Arc<ServerConfig>,
}

impl Tls {
    fn new() -> Self {
        let key = || KeyPair::generate().expect("a key");
        let authority = |name: &str| {
            let mut parameters = CertificateParams::default();
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
            parameters
        };
        let root = CertifiedIssuer::self_signed(authority("root"), key()).expect("a root");
        let issuer = CertifiedIssuer::signed_by(authority("issuer"), key(), &root);
        let issuer = issuer.expect("an intermediate certificate");
        let server_key = key();
        let server = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let server = server.signed_by(&server_key, &issuer).expect("a certificate");
        let chain = vec![server.der().clone(), issuer.der().clone()];
        let server_key = PrivateKeyDer::Pkcs8(server_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("ring supports it")
            .with_no_client_auth()
            .with_single_cert(chain, server_key)
            .expect("a key and its certificate");
        Self { root: root.der().clone(), server: Arc::new(config) }
    }
}

/// A server behind TLS.
struct Upstream {
    url: String,
    round_trip_ms: u64,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    /// Starts a server that answers each request with this body, after this time.
    fn start(tls: &Tls, round_trip_ms: u64, latency: Duration, body: &str) -> Self {
        let round_trip = Duration::from_millis(round_trip_ms);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counter, config) = (connections.clone(), tls.server.clone());
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}", body.len());
        let response = format!("{head}\r\n\r\n{body}");
        thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, SeqCst);
                let stream = Distant::new(stream.expect("a connection"), round_trip);
                let tls = ServerConnection::new(config.clone()).expect("a configuration");
                let response = response.clone();
                thread::spawn(move || {
                    let mut stream = BufReader::new(StreamOwned::new(tls, stream));
                    while read_request(&mut stream).is_some() {
                        thread::sleep(latency);
                        let _gone = stream.get_mut().write_all(response.as_bytes());
                    }
                });
            }
        });
        Self { url: format!("https://localhost:{port}"), round_trip_ms, connections }
    }
}

/// Reads a request, unless the connection ends.
fn read_request(stream: &mut impl BufRead) -> Option<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).ok().filter(|&bytes| bytes > 0)?;
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).ok()
}

/// A connection to a client that is a round trip away.
struct Distant {
    stream: TcpStream,
    arrivals: Receiver<(Instant, Vec<u8>)>,
    arrived: io::Cursor<Vec<u8>>,
}

impl Distant {
    fn new(stream: TcpStream, round_trip: Duration) -> Self {
        stream.set_nodelay(true).expect("an option of TCP");
        let connected_at = Instant::now() + round_trip;
        let (sender, arrivals) = channel();
        let mut reader = stream.try_clone().expect("a handle");
        thread::spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                let at = Instant::now().max(connected_at) + round_trip;
                if sender.send((at, bytes[..n].to_vec())).is_err() {
                    return;
                }
            }
        });
        Self { stream, arrivals, arrived: io::Cursor::default() }
    }
}

impl Read for Distant {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.arrived.fill_buf()?.is_empty() {
            let Ok((at, arrived)) = self.arrivals.recv() else { return Ok(0) };
            thread::sleep(at.saturating_duration_since(Instant::now()));
            self.arrived = io::Cursor::new(arrived);
        }
        self.arrived.read(bytes)
    }
}

impl Write for Distant {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
