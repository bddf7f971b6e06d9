//! The sockets of a site, all within its process, and what forwards between them:
//!
//! ```text
//! publishers -> sources ==> trunk --> one export for each other site
//!                             \
//! other sites -> imports ------> hall ==> subscribers
//! ```
//!
//! `-->` is a connection over `inproc`, `==>` a [`Proxy`]. The ledger of the trunk is what other sites and this one want of this
//! site's publishers; that of `imports` is what this site's subscribers want, and nothing else: the demand that other sites are
//! told. What comes from other sites never gets to the trunk, so nothing is passed on to a third site.

use std::sync::atomic::{AtomicU64, Ordering};

use oncue::proxy::ProxyOptions;
use oncue::{Engine, Options, Proxy, Result, XPub, XSub};

use crate::options::MeshOptions;

/// How many bytes may wait between a thread of Zenoh and the I/O thread.
const OUTBOX_BYTES_MAX: u64 = 16 << 20;

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
    /// What the exports connect to.
    pub(crate) trunk: Option<Trunk>,
    /// What came from other sites.
    pub(crate) imports: XPub,
    /// What serves the site's subscribers.
    pub(crate) subscribers: Option<XPub>,
    _hall: Option<(XSub, Proxy)>,
}

/// The values of this site.
pub(crate) struct Trunk {
    pub(crate) endpoint: String,
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
        let waiting = Options::new()
            .queue_bytes_max(options.quotas.queue_bytes as u64)
            .outbox_bytes_max(OUTBOX_BYTES_MAX)
            .discard_messages(true)
            .hidden_topics(&options.own_topics);
        let trunk = source.map(|source| Trunk::open(engine, source, &waiting, kept.clone())).transpose()?;
        let imports = XPub::new(engine, waiting.send_hwm(options.quotas.queue_messages))?;
        let from = imports.bind(&name("imports"))?.to_string();
        let hall = match &subscribers {
            None => None,
            Some(subscribers) => {
                let hall = XSub::new(engine, Options::new().recv_hwm(0))?;
                let proxy = Proxy::with(&hall, subscribers, kept)?;
                hall.connect(&from)?;
                trunk.iter().try_for_each(|trunk| hall.connect(&trunk.endpoint).map(drop))?;
                Some((hall, proxy))
            }
        };
        Ok(Hall { trunk, imports, subscribers, _hall: hall })
    }
}

impl Trunk {
    fn open(engine: &Engine, source: Source, waiting: &Options, kept: ProxyOptions) -> Result<Trunk> {
        let (socket, sources) = match source {
            Source::Own(socket) => (socket, None),
            Source::Publishers(sources) => {
                let trunk = XPub::new(engine, waiting.clone())?;
                let proxy = Proxy::with(&sources, &trunk, kept)?;
                (trunk, Some(proxy))
            }
        };
        let endpoint = socket.bind(&name("trunk"))?.to_string();
        Ok(Trunk { endpoint, socket, _sources: sources })
    }
}

fn name(what: &str) -> String {
    format!("inproc://oncue-mesh-{}-{what}", NAMES.fetch_add(1, Ordering::Relaxed))
}
