//! The pages at the address of `metrics`: what is there, and whether the server is alive and ready.

use super::{Source, text::Format};

/// How far the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands::serve) enum Phase {
    /// Not all endpoints are bound yet.
    Starting,
    /// All endpoints are bound, and a config is in force.
    Serving,
    /// It ends all programs.
    Stopping,
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::commands::serve) struct Answer {
    /// The status code of HTTP.
    pub(in crate::commands::serve) status: u16,
    pub(in crate::commands::serve) content_type: &'static str,
    pub(in crate::commands::serve) body: String,
}

/// The answer to GET for this path, from a client that accepts these types: the value of the header `Accept`, empty if there is
/// none. `responds`: whether the threads of the server make progress; it may wait.
pub(in crate::commands::serve) fn answer(
    path: &str,
    accept: &str,
    source: &Source<'_>,
    responds: impl FnOnce() -> bool,
) -> Answer {
    match path {
        "/metrics" => {
            let format = Format::accepted(accept);
            let body = source.snapshot().write(format);
            Answer { status: 200, content_type: format.content_type(), body }
        }
        "/healthz" if responds() => words(200, "alive"),
        "/healthz" => words(503, "a thread of the server hangs"),
        "/readyz" => match source.server.phase {
            Phase::Starting => words(503, "starting"),
            Phase::Serving => words(200, "ready"),
            Phase::Stopping => words(503, "stopping"),
        },
        _ => words(404, "here are /metrics, /healthz and /readyz"),
    }
}

fn words(status: u16, text: &str) -> Answer {
    Answer { status, content_type: "text/plain; charset=utf-8", body: format!("{text}\n") }
}
