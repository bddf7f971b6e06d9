//! The pages at the address of `metrics`: what is there, and whether the server is alive and ready.

use super::families::{FAMILIES, Read};
use super::snapshot::{Phase, Snapshot, Source};
use super::text::{Format, Text};

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
            let body = write(&source.snapshot(), format);
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

/// All families, in this format.
pub(super) fn write(snapshot: &Snapshot, format: Format) -> String {
    let mut text = Text::new(format);
    for family in FAMILIES {
        text.begin(family.name, family.kind, family.unit, family.help);
        let mut add = |labels: &[(&str, &str)], value: u64| text.sample(labels, value);
        match family.read {
            Read::One(read) => add(&[], read(snapshot)),
            Read::By(label, read) => {
                read(snapshot).into_iter().for_each(|(name, value)| add(&[(label, name)], value));
            }
            Read::Route(read) => {
                snapshot
                    .routes
                    .iter()
                    .for_each(|route| add(&[("route", &route.stats.pattern)], read(&route.stats)));
            }
            Read::RouteBy(label, read) => {
                for route in &snapshot.routes {
                    let labelled = read(route).into_iter();
                    labelled.for_each(|(name, value)| {
                        add(&[("route", &route.stats.pattern), (label, name)], value);
                    });
                }
            }
            Read::RouteTimes(read) => {
                snapshot.routes.iter().for_each(|route| {
                    text.histogram(&[("route", &route.stats.pattern)], read(&route.stats));
                });
            }
        }
    }
    text.finish()
}
