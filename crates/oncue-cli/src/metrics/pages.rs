//! The pages at the address of `metrics`: what is there, and whether the process is alive and ready.

use std::sync::mpsc::channel;

use oncue::{Page, PageRequest, Web, XPub};

use super::text::{Format, Text};
use crate::fail::Fail;
use crate::page;
use crate::wait::spawn;

/// How far a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not all endpoints are bound yet.
    Starting,
    /// All endpoints are bound, and a config is in force.
    Serving,
    /// It ends.
    Stopping,
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code of HTTP.
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// The answer to GET for this path, from a client that accepts these types: the value of the header `Accept`, empty if there is
/// none. `write`: writes all families. `responds`: whether the threads of the process make progress; it may wait.
pub(crate) fn answer(
    path: &str,
    accept: &str,
    phase: Phase,
    write: impl FnOnce(&mut Text),
    responds: impl FnOnce() -> bool,
) -> Answer {
    match path {
        "/metrics" => {
            let format = Format::accepted(accept);
            let mut text = Text::new(format);
            write(&mut text);
            Answer { status: 200, content_type: format.content_type(), body: text.finish() }
        }
        "/healthz" if responds() => words(200, "alive"),
        "/healthz" => words(503, "a thread of the process hangs"),
        "/readyz" => match phase {
            Phase::Starting => words(503, "starting"),
            Phase::Serving => words(200, "ready"),
            Phase::Stopping => words(503, "stopping"),
        },
        _ => words(404, "here are /metrics, /healthz and /readyz"),
    }
}

/// Serves the pages at this address, by an endpoint of the socket. Returns its URL without a path. Requests come on an I/O thread, and are
/// answered on a thread of their own: an answer may wait for the I/O threads.
pub(crate) fn open(
    socket: &XPub,
    at: &str,
    answer: impl Fn(&str, &str) -> Answer + Send + 'static,
) -> Result<String, Fail> {
    let (requests, asked) = channel::<PageRequest>();
    // It ends with the socket, which holds the other end.
    spawn("metrics", move || {
        for request in asked {
            let Answer { status, content_type, body } = answer(request.path(), request.accept());
            let mut page = Page::new(content_type, body);
            page.status = status;
            request.answer(page.field("Cache-Control", "no-store"));
        }
    })?;
    // It fails only if the thread has panicked: then the request is answered by its end.
    let web = Web::new().only_pages(true).pages(move |request| drop(requests.send(request)));
    Ok(page::open(socket, &format!("ws://{at}/"), web)?)
}

/// An answer of a few words.
pub(crate) fn words(status: u16, text: &str) -> Answer {
    Answer { status, content_type: "text/plain; charset=utf-8", body: format!("{text}\n") }
}
