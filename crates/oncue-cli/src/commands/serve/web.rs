//! What a server answers by HTTP: the page about itself, its metrics, whether it is alive and ready.

#[cfg(feature = "wss")]
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use oncue::demand::Meter;
use oncue::{Web, XPub};
use oncue_observe::Observe;
use oncue_observe::schema::Mesh;

use super::metrics;
use super::metrics::snapshot::{Server, Source};
use super::produce::Tools;
use super::program::journal::remark;
use crate::config::Config;
use crate::fail::Fail;
use crate::metrics::pages::{self, Answer, Phase};
use crate::metrics::text::Text;
use crate::page;

/// How long the threads of the server have to respond.
const RESPONSE: Duration = Duration::from_secs(1);

/// The pages of a server.
pub(super) struct Pages(Arc<Known>);

/// What the metrics are made of.
struct Known {
    meter: OnceLock<Meter>,
    tools: Arc<Tools>,
    observe: Option<Observe>,
    server: Mutex<Server>,
    /// Empty unless the server is a site of a mesh.
    mesh: OnceLock<ReadMesh>,
}

/// Reads the mesh; None when it has ended.
type ReadMesh = Box<dyn Fn() -> Option<Mesh> + Send + Sync>;

impl Pages {
    pub(super) fn new(tools: &Arc<Tools>, observe: Option<&Observe>) -> Pages {
        let (meter, server, mesh) = (OnceLock::new(), Mutex::new(Server::starting()), OnceLock::new());
        Pages(Arc::new(Known { meter, tools: tools.clone(), observe: observe.cloned(), server, mesh }))
    }

    /// Opens the addresses of the config.
    pub(super) fn open(&self, socket: &XPub, config: &Config) -> Result<(), Fail> {
        if let Some(at) = &config.metrics {
            let known = self.0.clone();
            let url = pages::open(socket, at, move |path, accept| known.metrics(path, accept))?;
            remark(format!("metrics at {url}/metrics"));
        }
        if let Some(at) = &config.http {
            let mut web = page::web(settings(config)?, config.observe.as_deref());
            if let Some(token) = &config.http_token {
                web = web.token(token);
            }
            let scheme = if config.tls.is_some() { "wss" } else { "ws" };
            remark(format!("page at {}/", page::open(socket, &format!("{scheme}://{at}/"), web)?));
        }
        Ok(())
    }

    /// The server is a site of a mesh, which is read so.
    #[cfg(feature = "mesh")]
    pub(super) fn joined(&self, read: impl Fn() -> Option<Mesh> + Send + Sync + 'static) {
        let _ = self.0.mesh.set(Box::new(read));
    }

    /// The routes are at work.
    pub(super) fn begin(&self, meter: Meter) {
        let _ = self.0.meter.set(meter);
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.change(|server| server.phase = phase);
    }

    /// A config was read again, and took the place of the one before or did not.
    pub(super) fn reloaded(&self, replaced: bool) {
        self.change(|server| {
            server.config_in_force = replaced;
            server.reloads[usize::from(!replaced)] += 1;
        });
    }

    fn change(&self, change: impl FnOnce(&mut Server)) {
        change(&mut self.0.server.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Known {
    fn metrics(&self, path: &str, accept: &str) -> Answer {
        let Some(meter) = self.meter.get() else { return pages::words(503, "starting") };
        let server = *self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own =
            |pattern: &str| self.observe.as_ref().is_some_and(|observe| observe.is_own(pattern.as_bytes()));
        let mesh = self.mesh.get().and_then(|read| read());
        let source = Source { meter, counts: &self.tools.counts, server: &server, is_own: &is_own, mesh };
        let write = |text: &mut Text| metrics::write(&source.snapshot(), text);
        pages::answer(path, accept, server.phase, write, || meter.responds_within(RESPONSE))
    }
}

/// The settings of the endpoints of `bind`: `GET /routes` is the routes.
pub(super) fn of_endpoints(config: &Config) -> Result<Web, Fail> {
    Ok(page::with_routes(settings(config)?, config.observe.as_deref()))
}

/// What the config has for all endpoints of WebSocket.
fn settings(config: &Config) -> Result<Web, Fail> {
    let web = Web::new().origins(config.origins.clone());
    match &config.tls {
        Some(files) => with_certificate(web, files),
        None => Ok(web),
    }
}

#[cfg(feature = "wss")]
fn with_certificate(web: Web, files: &[PathBuf; 2]) -> Result<Web, Fail> {
    let read = |file: &PathBuf| {
        fs::read(file).map_err(|error| Fail::Runtime(format!("{} cannot be read: {error}", file.display())))
    };
    Ok(web.certificate(read(&files[0])?, read(&files[1])?))
}

#[cfg(not(feature = "wss"))]
fn with_certificate(_: Web, _: &[PathBuf; 2]) -> Result<Web, Fail> {
    let why = "this oncue was built without the feature `wss`, which tls_certificate needs; install it with --features full";
    Err(Fail::Runtime(why.to_owned()))
}
