//! What a server answers by HTTP: the page about itself, its metrics, whether it is alive and ready.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use oncue::demand::Meter;
use oncue::{Endpoint, Page, PageRequest, Web, XPub};
use oncue_observe::{Observe, topic};

use super::config::Config;
use super::metrics::pages::answer;
use super::metrics::snapshot::{Phase, Server, Source};
use super::produce::Tools;
use super::program::journal::remark;
use crate::fail::Fail;
use crate::page::{self, Html};
use crate::wait::spawn;

/// How long the threads of the server have to respond.
const RESPONSE: Duration = Duration::from_secs(1);

/// The pages of a server. Requests come on an I/O thread, and are answered on a thread of their own.
pub(super) struct Pages {
    known: Arc<Known>,
    requests: Sender<(Kind, PageRequest)>,
}

/// At which address a page was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `http`.
    Page,
    /// `metrics`.
    Metrics,
}

/// What pages are made of.
struct Known {
    page: Option<Html>,
    meter: OnceLock<Meter>,
    tools: Arc<Tools>,
    observe: Option<Observe>,
    server: Mutex<Server>,
}

impl Pages {
    pub(super) fn start(
        config: &Config,
        tools: &Arc<Tools>,
        observe: Option<&Observe>,
    ) -> Result<Pages, Fail> {
        let page = config.observe.as_deref().filter(|_| config.http.is_some()).map(page::html);
        let (meter, server) = (OnceLock::new(), Mutex::new(Server::starting()));
        let known = Known { page, meter, tools: tools.clone(), observe: observe.cloned(), server };
        let (known, (requests, asked)) = (Arc::new(known), channel());
        let answering = known.clone();
        // It ends with the socket, which holds the other end.
        spawn("pages", move || {
            for (kind, request) in asked {
                answering.answer(kind, request);
            }
        })?;
        Ok(Pages { known, requests })
    }

    /// Opens the addresses of the config.
    pub(super) fn open(&self, socket: &XPub, config: &Config) -> Result<(), Fail> {
        if let Some(at) = &config.metrics {
            let web = self.answering(Web::new().only_pages(true), Kind::Metrics);
            bind(socket, &format!("ws://{at}/"), web, "metrics at", "/metrics")?;
        }
        if let Some(at) = &config.http {
            let mut web = self.answering(of_endpoints(config)?, Kind::Page).trusted(true);
            if let Some(token) = &config.http_token {
                web = web.token(token);
            }
            let scheme = if config.tls.is_some() { "wss" } else { "ws" };
            bind(socket, &format!("{scheme}://{at}/"), web, "page at", "/")?;
        }
        Ok(())
    }

    fn answering(&self, web: Web, kind: Kind) -> Web {
        let requests = Mutex::new(self.requests.clone());
        web.pages(move |request| {
            // It fails only if the thread has panicked: then the request is answered by its end.
            let _ = requests.lock().unwrap_or_else(PoisonError::into_inner).send((kind, request));
        })
    }

    /// The routes are at work.
    pub(super) fn begin(&self, meter: Meter) {
        let _ = self.known.meter.set(meter);
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
        change(&mut self.known.server.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Known {
    fn answer(&self, kind: Kind, request: PageRequest) {
        let page = match (kind, request.path(), &self.page) {
            (Kind::Page, "/", Some(page)) => {
                let html = Page::new("text/html; charset=utf-8", page.text.clone());
                html.field("Content-Security-Policy", &page.policy).field("Referrer-Policy", "no-referrer")
            }
            (Kind::Page, "/", None) => Page::text(
                404,
                "the page needs the topics about the server: its config has observe = \"off\"",
            ),
            (Kind::Page, ..) => return,
            (Kind::Metrics, path, _) => self.metrics(path, request.accept()),
        };
        request.answer(page.field("Cache-Control", "no-store"));
    }

    fn metrics(&self, path: &str, accept: &str) -> Page {
        let Some(meter) = self.meter.get() else { return Page::text(503, "starting") };
        let server = *self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own =
            |pattern: &str| self.observe.as_ref().is_some_and(|observe| observe.is_own(pattern.as_bytes()));
        let source = Source { meter, counts: &self.tools.counts, server: &server, is_own: &is_own };
        let said = answer(path, accept, &source, || meter.responds_within(RESPONSE));
        let mut page = Page::new(said.content_type, said.body);
        page.status = said.status;
        page
    }
}

/// The settings of the endpoints of `bind`: `GET /routes` is the routes.
pub(super) fn of_endpoints(config: &Config) -> Result<Web, Fail> {
    with_certificate(with_alias(Web::new().origins(config.origins.clone()), config), config)
}

fn with_certificate(web: Web, config: &Config) -> Result<Web, Fail> {
    let Some(files) = &config.tls else { return Ok(web) };
    let read = |file: &PathBuf| {
        fs::read(file).map_err(|error| Fail::Runtime(format!("{} cannot be read: {error}", file.display())))
    };
    Ok(web.certificate(read(&files[0])?, read(&files[1])?))
}

fn with_alias(web: Web, config: &Config) -> Web {
    match &config.observe {
        Some(prefix) => web.alias("/routes", format!("{prefix}{}", topic::ROUTES), "application/json"),
        None => web,
    }
}

fn bind(socket: &XPub, endpoint: &str, web: Web, what: &str, path: &str) -> Result<(), Fail> {
    if let Endpoint::Ws { secure, host, port, .. } = socket.bind_web(endpoint, web)? {
        let scheme = if secure { "https" } else { "http" };
        remark(format!("{what} {scheme}://{host}:{port}{path}"));
    }
    Ok(())
}
