//! The platform on a loopback socket. Time is real here: what is waited for is an event, never a pause.

use std::time::Duration;

use http::Method;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use standin::fault::{Effect, Fault};
use standin::serve;
use standin::xata::platform::Call;
use tokio::net::{TcpListener, TcpStream};

use crate::helpers::{BRANCHES, World, child, request};

async fn address(world: &World) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve::serve(listener, world.platform.router()));
    address
}

async fn create(address: std::net::SocketAddr) -> Result<u16, hyper::Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response =
        sender.send_request(request(Method::POST, BRANCHES, Some(child("user_a")))).await;
    drop(connection);
    response.map(|response| response.status().as_u16())
}

#[tokio::test]
async fn a_request_is_answered_over_a_socket() {
    let world = World::new();
    assert_eq!(create(address(&world).await).await.unwrap(), 201);
}

#[tokio::test]
async fn a_reset_ends_the_connection_without_an_answer() {
    let world = World::new();
    let address = address(&world).await;
    world.platform.faults().push(Fault::once(Call::CreateBranch, Effect::ResetBefore));
    world.platform.faults().push(Fault::once(Call::CreateBranch, Effect::ResetAfter));
    assert!(create(address).await.unwrap_err().is_incomplete_message());
    assert!(world.platform.databases_named("user_a").is_empty());
    assert!(create(address).await.unwrap_err().is_incomplete_message());
    assert_eq!(world.platform.databases_named("user_a").len(), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_rolls_the_create_back() {
    let world = World::with(|options| options.create_latency = Duration::from_hours(1));
    let address = address(&world).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let create = sender.send_request(request(Method::POST, BRANCHES, Some(child("user_a"))));
    let create = tokio::spawn(create);
    while world.platform.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    connection.abort();
    assert!(create.await.unwrap().is_err());
    // The next create gets the project's lock only because the first has let go of it.
    world.platform.change(|options| options.create_latency = Duration::ZERO);
    assert_eq!(world.clone_template("user_b").await.status, 201);
    assert!(world.platform.databases_named("user_a").is_empty());
}
