//! The proxies: each implementation's own function between an XSUB that connects and an XPUB that binds, and nothing may be
//! dropped. One message waits for the other side at most.

use std::convert::Infallible;

use oncue::{Engine, EngineOptions, OnFull, Options, Proxy, XPub, XSub};
use zmq::SocketType;

use super::libzmq::{HIGH_WATER_MARK, context, drop_nothing};
use super::{Setup, endpoint, port_of};
use crate::Outcome;

/// Forwards from the publisher at `upstream` for ever; tells the port where subscribers connect.
pub fn oncue(setup: Setup, upstream: u16, tell: impl Fn(u16)) -> Outcome<Infallible> {
    let engine = Engine::with(EngineOptions::new().io_threads(setup.threads))?;
    let frontend = XSub::new(&engine, Options::new())?;
    let backend = XPub::new(&engine, Options::new().on_full(OnFull::Refuse))?;
    let _proxy = Proxy::new(&frontend, &backend)?;
    tell(port_of(&backend.bind("tcp://127.0.0.1:0")?.to_string())?);
    frontend.connect(&endpoint(upstream))?;
    loop {
        std::thread::park();
    }
}

/// The same with `zmq_proxy`.
pub fn libzmq(setup: Setup, upstream: u16, tell: impl Fn(u16)) -> Outcome<Infallible> {
    let context = context(setup)?;
    let (frontend, mut backend) = (context.socket(SocketType::XSUB)?, context.socket(SocketType::XPUB)?);
    frontend.set_rcvhwm(HIGH_WATER_MARK)?;
    backend.set_sndhwm(HIGH_WATER_MARK)?;
    drop_nothing(&mut backend)?;
    backend.bind("tcp://127.0.0.1:*")?;
    tell(port_of(&backend.get_last_endpoint()?.map_err(|_| "libzmq's endpoint is not text")?)?);
    frontend.connect(&endpoint(upstream))?;
    zmq::proxy(&frontend, &backend)?;
    Err("zmq_proxy has returned".into())
}

/// The same with omq-tokio's `proxy`.
pub async fn omq(upstream: u16, tell: impl Fn(u16)) -> Outcome<Infallible> {
    let options = omq_tokio::Options::default();
    let frontend = omq_tokio::Socket::new(omq_tokio::SocketType::XSub, options.clone());
    let options = omq_tokio::Options { xpub_nodrop: true, ..options };
    let backend = omq_tokio::Socket::new(omq_tokio::SocketType::XPub, options);
    tell(port_of(&backend.bind("tcp://127.0.0.1:0").await?.to_string())?);
    frontend.connect(&*endpoint(upstream)).await?;
    let exit = omq_tokio::proxy::proxy(frontend, backend, None).await?;
    Err(format!("omq's proxy has returned: {exit:?}").into())
}
