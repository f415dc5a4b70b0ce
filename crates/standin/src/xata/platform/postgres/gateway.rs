//! The port: each connection is checked as the service does, and then handed to the server.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy, sink, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::server::{PASSWORD, Stream};
use super::{Lineage, lineage};
use crate::fault::Effect;
use crate::xata::platform::rows::{Branch, Project, ROLE};
use crate::xata::platform::state::Organization;
use crate::xata::platform::{Call, Platform};

/// The only database of a branch.
const DATABASE: &str = "xata";

/// PostgreSQL's own limits of a packet before a client is known, in bytes, and of the time until then.
const LARGEST_PACKET: usize = 10_000;
const HANDSHAKE: Duration = Duration::from_mins(1);

/// What a first packet asks for, if it is not a session of version 3.
const CANCEL: u32 = 80_877_102;
const TLS: u32 = 80_877_103;
const GSS_ENCRYPTION: u32 = 80_877_104;
const VERSION: u32 = 3;

/// The message `AuthenticationCleartextPassword`.
const ASK_FOR_PASSWORD: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 3];

pub(super) async fn accept(platform: Platform, listener: TcpListener) {
    while let Ok((client, _)) = listener.accept().await {
        let platform = platform.clone();
        // An error here is a connection that ends, which is all that a client sees of it.
        tokio::spawn(async move { serve(&platform, client).await });
    }
}

async fn serve(platform: &Platform, mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let first = in_time(first_packet(&mut client)).await?;
    platform.exchange().await;
    let Some(parameters) = parameters(&first)? else {
        return cancel(platform, &first).await;
    };
    match platform.faults().next(Some(Call::Connect)) {
        None => {}
        Some(Effect::Trickle { every, .. }) => sleep(every).await,
        Some(Effect::HangBefore | Effect::HangAfter) => {
            copy(&mut client, &mut sink()).await?;
            return Ok(());
        }
        Some(_) => return Ok(()),
    }
    match in_time(hand_over(platform, &mut client, parameters)).await? {
        Some(server) => relay(platform, client, server).await,
        None => Ok(()),
    }
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(HANDSHAKE, step).await?
}

/// The first packet that is no question for encryption, of which there is none.
async fn first_packet(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    loop {
        let length = client.read_u32().await?;
        let mut packet = vec![0; checked(length)?];
        packet[..4].copy_from_slice(&length.to_be_bytes());
        client.read_exact(&mut packet[4..]).await?;
        if !matches!(code(&packet)?, TLS | GSS_ENCRYPTION) {
            return Ok(packet);
        }
        client.write_all(b"N").await?;
    }
}

fn checked(length: u32) -> io::Result<usize> {
    let length = usize::try_from(length).ok().filter(|it| (4..=LARGEST_PACKET).contains(it));
    length.ok_or_else(|| invalid("the length of a packet"))
}

fn code(packet: &[u8]) -> io::Result<u32> {
    let code = packet.get(4..8).and_then(|it| it.try_into().ok()).map(u32::from_be_bytes);
    code.ok_or_else(|| invalid("a packet"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what} is not as PostgreSQL's protocol has it"),
    )
}

/// The parameters of the session that a packet asks for. None where it asks for a cancellation.
fn parameters(packet: &[u8]) -> io::Result<Option<BTreeMap<String, String>>> {
    match code(packet)? {
        CANCEL => return Ok(None),
        code if code >> 16 == VERSION => {}
        _ => return Err(invalid("the version")),
    }
    let mut words = packet[8..].split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let mut parameters = BTreeMap::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if name.is_empty() {
            break;
        }
        parameters.insert(name.into_owned(), value.into_owned());
    }
    Ok(Some(parameters))
}

/// Passes a `CancelRequest` on. The server has given the client the key in it.
async fn cancel(platform: &Platform, packet: &[u8]) -> io::Result<()> {
    let server = platform.server().ok_or(io::ErrorKind::NotConnected)?;
    let mut server = server.dial().await?;
    server.write_all(packet).await?;
    copy(&mut server, &mut sink()).await?;
    Ok(())
}

/// Connects the client to its branch's database. None where it is refused, which it has been told.
async fn hand_over(
    platform: &Platform,
    client: &mut TcpStream,
    mut parameters: BTreeMap<String, String>,
) -> io::Result<Option<Box<dyn Stream>>> {
    client.write_all(&ASK_FOR_PASSWORD).await?;
    let answer = message(client).await?;
    platform.exchange().await;
    let password = answer.strip_prefix(b"p").and_then(|it| it.get(4..)?.strip_suffix(&[0]));
    let password = password.and_then(|it| str::from_utf8(it).ok());
    let password = password.ok_or_else(|| invalid("a password"))?;
    let user = parameters.get("user").cloned().unwrap_or_default();
    let database = parameters.get("database").unwrap_or(&user);
    let admitted = admit(&mut platform.state(), &user, database, password);
    let lineage = match admitted {
        Ok(lineage) => lineage,
        Err(refusal) => {
            client.write_all(&refusal).await?;
            return Ok(None);
        }
    };
    let server = platform.server().ok_or(io::ErrorKind::NotConnected)?;
    server.create(&lineage).await.map_err(io::Error::other)?;
    let branch = lineage.last().map_or("", String::as_str);
    parameters.insert("user".into(), ROLE.into());
    parameters.insert("database".into(), server.name(branch));
    let mut startup = BytesMut::new();
    let pairs = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    frontend::startup_message(pairs, &mut startup)?;
    let mut stream = server.dial().await?;
    stream.write_all(&startup).await?;
    let (is_authenticated, last) = authenticate(&mut stream).await?;
    if is_authenticated && let Some(databases) = &mut platform.state().databases {
        databases.connections.push(branch.to_owned());
    }
    client.write_all(&last).await?;
    Ok(is_authenticated.then_some(stream))
}

/// Finds the branch, if a client can connect to it with these credentials; wakes it, if it is asleep. Otherwise what the
/// client is told before the connection is closed.
fn admit(
    state: &mut Organization,
    user: &str,
    database: &str,
    password: &str,
) -> Result<Lineage, BytesMut> {
    let now = state.options.clock.now();
    if owner(state, password).is_none() {
        note_passwords(state);
    }
    let Some((project, branch)) = owner(state, password).filter(|_| user == ROLE) else {
        let message = format!("password authentication failed for user \"{user}\"");
        return Err(fatal("28P01", &message));
    };
    let filter = project.configuration.ip_filtering.as_ref();
    if filter.is_some_and(|filter| filter["enabled"] == true) {
        return Err(BytesMut::new());
    }
    let sleeps_for_good = branch.hibernated && !branch.scale_to_zero.enabled;
    if now < branch.ready_at || sleeps_for_good {
        return Err(fatal("57P01", "terminating connection due to administrator command"));
    }
    let (lineage, wakes) = (lineage(project, &branch.id), branch.hibernated);
    let (project, branch) = (project.id.clone(), branch.id.clone());
    if wakes && let Ok(project) = state.project_mut(&project) {
        let _ = project.change(&branch, now, |branch| branch.hibernated = false);
    }
    if database != DATABASE {
        return Err(fatal("3D000", &format!("database \"{database}\" does not exist")));
    }
    Ok(lineage)
}

/// The active branch that has this password, as far as the passwords are noted.
fn owner<'a>(state: &'a Organization, password: &str) -> Option<(&'a Project, &'a Branch)> {
    let (project, branch) = state.databases.as_ref()?.owners.get(password)?;
    let project = state.project(project).ok()?;
    let branch = project.branch(branch).ok().filter(|branch| branch.password() == password)?;
    Some((project, branch))
}

/// Notes the passwords of all active branches.
fn note_passwords(state: &mut Organization) {
    let branches = state
        .active_projects()
        .flat_map(|project| project.branches().map(move |branch| (project.id.clone(), branch)));
    let owners = branches
        .map(|(project, branch)| (branch.password().to_owned(), (project, branch.id.clone())));
    let owners = owners.collect();
    if let Some(databases) = &mut state.databases {
        databases.owners = owners;
    }
}

/// The message `ErrorResponse`.
fn fatal(code: &str, message: &str) -> BytesMut {
    let fields = format!("SFATAL\0VFATAL\0C{code}\0M{message}\0\0");
    let mut error = BytesMut::new();
    error.put_u8(b'E');
    error.put_u32(u32::try_from(fields.len() + 4).unwrap_or(u32::MAX));
    error.put_slice(fields.as_bytes());
    error
}

/// Does what the server asks for until it accepts the connection or refuses it. Returns which, and its message.
async fn authenticate(server: &mut Box<dyn Stream>) -> io::Result<(bool, BytesMut)> {
    let mut scram = ScramSha256::new(PASSWORD.as_bytes(), ChannelBinding::unsupported());
    loop {
        let message = message(server).await?;
        let mut reply = BytesMut::new();
        match Message::parse(&mut message.clone())? {
            Some(Message::AuthenticationOk) => return Ok((true, message)),
            Some(Message::ErrorResponse(_)) => return Ok((false, message)),
            Some(Message::AuthenticationCleartextPassword) => {
                frontend::password_message(PASSWORD.as_bytes(), &mut reply)?;
            }
            Some(Message::AuthenticationMd5Password(asked)) => {
                let hash = md5_hash(ROLE.as_bytes(), PASSWORD.as_bytes(), asked.salt());
                frontend::password_message(hash.as_bytes(), &mut reply)?;
            }
            Some(Message::AuthenticationSasl(_)) => {
                frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut reply)?;
            }
            Some(Message::AuthenticationSaslContinue(asked)) => {
                scram.update(asked.data())?;
                frontend::sasl_response(scram.message(), &mut reply)?;
            }
            Some(Message::AuthenticationSaslFinal(told)) => scram.finish(told.data())?,
            _ => return Err(invalid("the server's way of authentication")),
        }
        server.write_all(&reply).await?;
    }
}

/// One message, from its first byte to its last.
async fn message(from: &mut (impl AsyncRead + Unpin)) -> io::Result<BytesMut> {
    let (tag, length) = (from.read_u8().await?, from.read_u32().await?);
    let mut message = BytesMut::new();
    message.put_u8(tag);
    message.put_u32(length);
    message.resize(1 + checked(length)?, 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

/// Passes messages on in both directions until one side closes, or until a client sends what its connection is cut after.
async fn relay(
    platform: &Platform,
    mut client: TcpStream,
    server: Box<dyn Stream>,
) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = split(server);
    let requests = async {
        let mut received = BytesMut::new();
        while from_client.read_buf(&mut received).await? > 0 {
            let messages = received.split_to(length_of_messages(&received)?);
            // A part of a message is not sent on yet, and the last message, which ends the session, has no answer.
            if !matches!(messages.first(), None | Some(b'X')) {
                platform.exchange().await;
            }
            if is_cut_after(platform, &messages) {
                return Ok(Some(messages));
            }
            to_server.write_all(&messages).await?;
        }
        Ok::<_, io::Error>(None)
    };
    let last = tokio::select! {
        last = requests => last?,
        ended = copy(&mut from_server, &mut to_client) => ended.map(|_| None)?,
    };
    if let Some(mut messages) = last {
        // The server reads the last message, and closes, after it has done the others.
        frontend::terminate(&mut messages);
        to_server.write_all(&messages).await?;
        copy(&mut from_server, &mut sink()).await?;
    }
    Ok(())
}

/// How many of these bytes are whole messages.
fn length_of_messages(bytes: &[u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(header) = Header::parse(&bytes[length..])? {
        let end = length + 1 + usize::try_from(header.len()).map_err(io::Error::other)?;
        if end > bytes.len() {
            break;
        }
        length = end;
    }
    Ok(length)
}

/// Whether the messages contain a text of [`Platform::cut_after`], which then is done.
fn is_cut_after(platform: &Platform, messages: &[u8]) -> bool {
    let mut state = platform.state();
    let Some(databases) = &mut state.databases else { return false };
    let is_sent =
        |text: &String| messages.windows(text.len()).any(|window| window == text.as_bytes());
    let sent = databases.cuts.iter().position(is_sent);
    sent.map(|index| databases.cuts.remove(index)).is_some()
}
