//! The programs that are measured, their processes, and the stand-ins that they use.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use axum::body::Body;
use bytes::Bytes;
use cli::delivery::Signer;
use cli::output;
use futures_util::TryStreamExt;
use http::{Request, Response};
use per_user_db::worker::TIMEOUT;
use serde_json::Value;
use standin::clerk::{SignUp, user_id_at};
use standin::function_url::{self, BodyEncoding};
use standin::runtime_api::{Invoked, RuntimeApi};

use super::Builds;
use crate::server;
use crate::services::{Api, LOOPBACK, PROJECTS, SIGNING_SECRET, Services, Variables};

/// The function, and the empty one.
pub(super) struct Programs {
    pub(super) function: PathBuf,
    pub(super) hello: PathBuf,
}

impl Builds {
    /// Those that are given; the others are built as they are released.
    pub(super) fn programs(&self) -> anyhow::Result<Programs> {
        Ok(Programs {
            function: self.function()?,
            hello: self.hello.clone().map_or_else(|| build("hello"), Ok)?,
        })
    }

    pub(super) fn function(&self) -> anyhow::Result<PathBuf> {
        self.function.clone().map_or_else(|| build("per-user-db"), Ok)
    }
}

/// Builds a package, and returns its program. Each is built by itself, because two packages of one build
/// share the features of what they depend on.
fn build(package: &str) -> anyhow::Result<PathBuf> {
    output::note(format_args!("Building {package} as it is released …"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let directory = root.join("target/bench");
    let mut cargo = Command::new("cargo");
    cargo.args(["lambda", "build", "--release", "--package", package]);
    cargo.arg("--lambda-dir").arg(&directory).current_dir(root).stdout(Stdio::null());
    if cfg!(target_arch = "aarch64") {
        cargo.arg("--arm64");
    }
    let status = cargo.status().context("cargo cannot be run")?;
    ensure!(
        status.success(),
        "cargo lambda build fails. Is it installed (pip install cargo-lambda)? Or give --function and --hello"
    );
    Ok(directory.join(package).join("bootstrap"))
}

/// What a delivery asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An event that the function does not handle.
    Ignored,
    /// A sign-up with another signature.
    Refused,
    /// The sign-up of a new user.
    Created,
    /// The second attempt at the sign-up of a user who has a database.
    Retried,
}

impl Kind {
    /// The status of the function's response.
    pub(super) fn status(self) -> u16 {
        if self == Self::Refused { 401 } else { 200 }
    }
}

/// Where deliveries come from and requests to Xata go.
pub(super) struct Lab {
    pub(super) services: Services,
    address: String,
    n_users: AtomicU64,
    bytes: Arc<AtomicU64>,
}

impl Lab {
    /// Stand-ins on a loopback port.
    pub(super) fn start(api: Api, port: u16) -> anyhow::Result<Self> {
        let services = Services::new(api, 1, BTreeMap::new())?;
        let listener = server::listen(LOOPBACK, port)?;
        let address = listener.local_addr()?.to_string();
        let bytes = Arc::new(AtomicU64::new(0));
        let counter = bytes.clone();
        let count = move |response: Response<Body>| {
            let counter = counter.clone();
            let add = move |data: &Bytes| {
                counter.fetch_add(data.len() as u64, Ordering::Relaxed);
            };
            let count = |body: Body| Body::from_stream(body.into_data_stream().inspect_ok(add));
            std::future::ready(response.map(count))
        };
        let router = services.router().layer(axum::middleware::map_response(count));
        tokio::spawn(standin::serve::serve(listener, router));
        Ok(Self { services, address, n_users: 0.into(), bytes })
    }

    /// The bytes of all bodies that the stand-ins have sent.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Stores databases of these names.
    pub(super) fn insert(&self, names: impl IntoIterator<Item = String>) {
        self.services.xata.insert(PROJECTS[0], "eu-central-1", names);
    }

    /// The settings of a function that uses the stand-ins.
    pub(super) fn settings(&self) -> Variables {
        self.services.settings(&self.address, 1)
    }

    /// Those of a function without a Clerk key, so that a sign-up is one request.
    pub(super) fn settings_without_clerk(&self) -> Variables {
        let mut settings = self.settings();
        settings.retain(|name, _| !name.starts_with("CLERK_"));
        settings
    }

    /// A sign-up of now, by a user who has not signed up before.
    pub(super) fn new_user(&self) -> SignUp {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let user = user_id_at(self.n_users.fetch_add(1, Ordering::Relaxed), now.as_secs());
        let timestamp_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let sign_up = SignUp { timestamp_ms, ..SignUp::new(&user) };
        self.services.clerk.insert(sign_up.clone());
        sign_up
    }

    /// A delivery of this kind, as Hookdeck makes it.
    pub(super) fn delivery(&self, kind: Kind) -> anyhow::Result<Request<Bytes>> {
        let sign_up = self.new_user();
        match kind {
            Kind::Ignored => {
                delivery(sign_up.session_created(sign_up.timestamp_ms), SIGNING_SECRET, 1)
            }
            Kind::Refused => delivery(sign_up.user_created(), "another-secret", 1),
            Kind::Created => delivery(sign_up.user_created(), SIGNING_SECRET, 1),
            Kind::Retried => {
                self.insert([sign_up.user_id.clone()]);
                delivery(sign_up.user_created(), SIGNING_SECRET, 2)
            }
        }
    }
}

/// An event as a delivery, signed with a secret.
pub(super) fn delivery(
    body: Vec<u8>,
    secret: &str,
    attempt: u32,
) -> anyhow::Result<Request<Bytes>> {
    let mut request = Request::post("/").body(Bytes::new())?;
    *request.headers_mut() = Signer::new(secret).headers(&body, attempt)?;
    *request.body_mut() = body.into();
    Ok(request)
}

/// A delivery as Lambda hands it to the function.
pub(super) fn payload(delivery: &Request<Bytes>) -> Bytes {
    function_url::event(delivery, BodyEncoding::Text).to_string().into()
}

/// A program behind a Runtime API of its own.
pub(super) struct Process {
    pub(super) api: RuntimeApi,
    child: Child,
}

impl Process {
    /// Starts a program, behind a command that counts where there is one.
    pub(super) fn start(
        counter: &[&str],
        program: &Path,
        settings: &Variables,
    ) -> anyhow::Result<Self> {
        ensure!(program.is_file(), "there is no program {}", program.display());
        let api = RuntimeApi::start()?;
        let words: Vec<&OsStr> =
            counter.iter().map(OsStr::new).chain([program.as_os_str()]).collect();
        let child = Command::new(words[0])
            .args(&words[1..])
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(api.variables())
            .envs(settings)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", words[0].display()))?;
        Ok(Self { api, child })
    }

    /// When the process first asked for an invocation, which is when its start was over.
    pub(super) async fn first_next(&self) -> anyhow::Result<Instant> {
        let first_next = tokio::time::timeout(Duration::from_mins(1), self.api.first_next()).await;
        first_next.context("the process asks for no invocation within a minute")
    }

    /// Hands an invocation to the process, and checks the status of its response.
    pub(super) async fn invoke(&self, payload: Bytes, status: u16) -> anyhow::Result<Invoked> {
        let (invoked, response) = self.respond(payload).await?;
        ensure!(response["statusCode"] == status, "{status} is expected, and not {response}");
        Ok(invoked)
    }

    /// Hands an invocation to the process; its response comes with the times.
    pub(super) async fn respond(&self, payload: Bytes) -> anyhow::Result<(Invoked, Value)> {
        let invoked = self.api.invoke(payload, SystemTime::now() + TIMEOUT);
        let invoked = tokio::time::timeout(Duration::from_mins(1), invoked).await;
        let invoked = invoked.context("the process answers no invocation within a minute")?;
        let Ok(response) = &invoked.result else { bail!("the process reports an error") };
        let response = serde_json::from_slice(response)?;
        Ok((invoked, response))
    }

    /// Lets the process end, and reads what it wrote to standard error.
    pub(super) async fn end(self) -> anyhow::Result<String> {
        self.api.end();
        let output = tokio::task::spawn_blocking(|| self.child.wait_with_output()).await??;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The nanoseconds that the process has run.
    pub(super) fn cpu_ns(&self) -> anyhow::Result<u64> {
        let text = self.read("schedstat")?;
        Ok(text.split(' ').next().unwrap_or_default().parse()?)
    }

    /// The page faults that needed no disk.
    pub(super) fn page_faults(&self) -> anyhow::Result<u64> {
        let text = self.read("stat")?;
        // The name in parentheses may hold blanks; the faults are the eighth field after it.
        let fields = text.rsplit_once(')').map(|(_, fields)| fields.split_whitespace());
        let faults = fields.and_then(|mut fields| fields.nth(7));
        Ok(faults.context("the kernel tells no page faults")?.parse()?)
    }

    /// A value of the process's status in kB: `VmRSS` is its memory, `VmHWM` the most that it had.
    pub(super) fn memory_kb(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.read("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().strip_suffix("kB"));
        Ok(number.with_context(|| format!("the kernel tells no {name}"))?.trim().parse()?)
    }

    /// Makes `VmHWM` the memory of now.
    pub(super) fn forget_peak(&self) -> anyhow::Result<()> {
        let file = self.file("clear_refs");
        std::fs::write(&file, "5").with_context(|| format!("cannot write {}", file.display()))
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let file = self.file(name);
        let text = std::fs::read_to_string(&file);
        text.with_context(|| format!("cannot read {}; this needs Linux", file.display()))
    }

    /// What the kernel tells of the process.
    fn file(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.child.id()).into()
    }
}
