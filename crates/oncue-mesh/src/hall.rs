//! The sockets of a site within its process, and what forwards between them:
//!
//! ```text
//! publishers -> sources ==> trunk --> one export for each other site
//!                             \\
//!                              --> hall ==> subscribers <- import <- other sites
//! ```
//!
//! `-->` is a connection over `inproc`, `==>` a [`Proxy`]. The ledger of the trunk is what other sites and this one want of this
//! site's publishers; that of the subscribers' socket is what this site wants, and nothing else: the demand that other sites are
//! told. What comes from other sites never gets to the trunk, so nothing is passed on to a third site.

use std::sync::atomic::{AtomicU64, Ordering};

use oncue::proxy::ProxyOptions;
use oncue::{Engine, Options, Proxy, Result, XPub, XSub};

use crate::options::MeshOptions;

/// Names of `inproc` endpoints, which are those of an engine.
static NAMES: AtomicU64 = AtomicU64::new(0);

/// What values come from.
pub(crate) enum Source {
    /// Publishers of others, by a socket that is connected to them.
    Publishers(XSub),
    /// A publisher of this process.
    Own(XPub),
}

/// The sockets of a site, but for the exports.
pub(crate) struct Hall {
    pub(crate) trunk: Trunk,
    /// What serves the site's subscribers.
    pub(crate) subscribers: Option<XPub>,
    _hall: Option<(XSub, Proxy)>,
}

/// The values of this site.
pub(crate) struct Trunk {
    /// What the exports connect to.
    pub(crate) endpoint: String,
    /// Whether there can be any values.
    pub(crate) has_source: bool,
    socket: XPub,
    _sources: Option<Proxy>,
}

impl Drop for Trunk {
    fn drop(&mut self) {
        // A socket of the user's stays, without this endpoint. It fails only if the socket is closed.
        let _ = self.socket.unbind(&self.endpoint);
    }
}

impl Hall {
    pub(crate) fn open(
        engine: &Engine,
        options: &MeshOptions,
        source: Option<Source>,
        subscribers: Option<XPub>,
    ) -> Result<Hall> {
        let kept = ProxyOptions::new().keep_last(options.keep_last);
        let trunk = Trunk::open(engine, options, source, kept.clone())?;
        let hall = match &subscribers {
            None => None,
            Some(subscribers) => {
                // Also without a source: the proxy forgets the values of other sites that are not wanted any more.
                let hall = XSub::new(engine, Options::new().recv_hwm(0))?;
                // What a publisher of this site does not serve, another site may.
                let proxy = Proxy::with(&hall, subscribers, kept.topic_states_only(true))?;
                hall.connect(&trunk.endpoint)?;
                Some((hall, proxy))
            }
        };
        Ok(Hall { trunk, subscribers, _hall: hall })
    }
}

impl Trunk {
    fn open(
        engine: &Engine,
        options: &MeshOptions,
        source: Option<Source>,
        kept: ProxyOptions,
    ) -> Result<Trunk> {
        let own = || {
            let options = Options::new()
                .send_hwm(options.quotas.queue_messages)
                .queue_bytes_max(options.quotas.queue_bytes as u64)
                .discard_messages(true)
                .hidden_topics(&options.own_topics);
            XPub::new(engine, options)
        };
        let has_source = source.is_some();
        let (socket, sources) = match source {
            Some(Source::Own(socket)) => (socket, None),
            Some(Source::Publishers(sources)) => {
                let trunk = own()?;
                let proxy = Proxy::with(&sources, &trunk, kept)?;
                (trunk, Some(proxy))
            }
            None => (own()?, None),
        };
        let name = format!("inproc://oncue-mesh-{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let endpoint = socket.bind(&name)?.to_string();
        Ok(Trunk { endpoint, has_source, socket, _sources: sources })
    }
}
