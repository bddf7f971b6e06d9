//! One proxy without a mesh: what a site is compared with.

use oncue::{Engine, Options, Proxy, XPub, XSub};

use crate::protocol::{Answer, serve};

/// Forwards until standard input ends.
pub(super) fn play(sources: &str, local: &str) -> oncue::Result<()> {
    let engine = Engine::start()?;
    let (frontend, backend) = (XSub::new(&engine, Options::new())?, XPub::new(&engine, Options::new())?);
    frontend.bind(sources)?;
    backend.bind(local)?;
    let _proxy = Proxy::new(&frontend, &backend)?;
    serve(|ask| Answer::Failed(format!("a proxy cannot do {ask:?}")));
    Ok(())
}
