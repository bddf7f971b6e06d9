//! What commands say about their connections: on a thread of its own, once per change.

use std::collections::HashMap;
use std::error::Error as _;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use oncue::{
    Cause, ConnectionEvent, ConnectionEventKind, ConnectionEvents, Endpoint, Error, Socket, TurnedAway,
};

use crate::fail::Fail;
use crate::output::counted;
use crate::pace::Pace;
use crate::signals::{Stop, Waited};
use crate::stdio::say;
use crate::wait::spawn;

/// How long a connection lasts before it is said.
const SETTLED: Duration = Duration::from_millis(50);

/// Says what happens to the connections of a socket until the end, and removes what it leaves in the file system even if
/// the process ends at once. Call it before the socket is bound or connected.
pub(crate) fn follow<S: 'static, F: 'static>(
    socket: &Socket<S, F>,
    name: &'static str,
    stop: &Stop,
) -> Result<(), Fail> {
    remove_files(socket, stop);
    let (socket, events, stop) = (socket.clone(), socket.events(), stop.clone());
    spawn("connections", move || {
        let (mut strangers, mut endpoints) = (Strangers::default(), Endpoints::default());
        loop {
            let lines = match next(&socket, &events, &strangers, endpoints.due(), &stop) {
                Next::Event(event) => match strangers.refused(&event) {
                    Some(line) => vec![line],
                    None => endpoints.take(&event),
                },
                Next::TurnedAway(turned_away) => strangers.say(turned_away.to_string()).into_iter().collect(),
                Next::Due => endpoints.settled(Instant::now()),
                // The end of the socket is the end of its news.
                Next::End => return,
            };
            lines.iter().for_each(|line| say(name, line));
        }
    })
    .map(drop)
}

/// Removes the files of the socket's `ipc` endpoints even if the process ends at once.
pub(crate) fn remove_files<S: 'static, F: 'static>(socket: &Socket<S, F>, stop: &Stop) {
    let socket = socket.clone();
    // The call alone removes them.
    stop.at_exit(move || drop(socket.close()));
}

/// Connects a socket, and says so before anything else can be said about the endpoint.
pub(crate) fn connect<S, F>(socket: &Socket<S, F>, name: &str, text: &str) -> oncue::Result<Endpoint> {
    let endpoint: Endpoint = text.parse()?;
    say(name, &format!("connecting to {endpoint}"));
    socket.connect(text)
}

enum Next {
    Event(ConnectionEvent),
    TurnedAway(TurnedAway),
    /// The time has come.
    Due,
    End,
}

/// What happens next; at the latest at `due`.
fn next<S, F>(
    socket: &Socket<S, F>,
    events: &ConnectionEvents,
    strangers: &Strangers,
    due: Option<Instant>,
    stop: &Stop,
) -> Next {
    let (mut event, mut turned_away) = (events.next(), pin!(socket.turned_away()));
    // Those that are turned away are not asked about before a line may be said about them.
    let quiet = strangers.0.quiet_until(Instant::now());
    let either = poll_fn(|context| {
        if let Poll::Ready(event) = Pin::new(&mut event).poll(context) {
            return Poll::Ready(event.map(Next::Event));
        }
        match quiet {
            Some(_) => Poll::Pending,
            None => turned_away.as_mut().poll(context).map(|news| news.map(Next::TurnedAway)),
        }
    });
    match stop.wait(either, due.into_iter().chain(quiet).min()) {
        Waited::Ready(news) => news.unwrap_or(Next::End),
        Waited::TimedOut => Next::Due,
        Waited::Stopped => Next::End,
    }
}

/// The endpoints of ours, of which [`connect`] has said that the socket begins to connect.
#[derive(Default)]
struct Endpoints {
    /// Those that are connected, and when that is said: a publisher without room refuses a subscriber just after the
    /// handshake, again and again.
    connected: Vec<(Endpoint, Instant)>,
    /// Why each refused us, since it was connected.
    refused: HashMap<Endpoint, String>,
}

impl Endpoints {
    fn due(&self) -> Option<Instant> {
        self.connected.iter().map(|(_, due)| *due).min()
    }

    /// What is said about an event.
    fn take(&mut self, event: &ConnectionEvent) -> Vec<String> {
        let endpoint = &event.endpoint;
        match &event.kind {
            ConnectionEventKind::Waiting { cause } => vec![format!("waiting for {endpoint}: {cause}")],
            ConnectionEventKind::Connected { .. } => {
                self.connected.push((endpoint.clone(), Instant::now() + SETTLED));
                Vec::new()
            }
            ConnectionEventKind::Lost { cause, error, retry_after, .. } => {
                let lost = lost(endpoint, cause, retry_after.is_some());
                let at = self.connected.iter().position(|(connected, _)| connected == endpoint);
                if at.map(|at| self.connected.swap_remove(at)).is_none() {
                    vec![lost]
                } else if cause.is_refusal() {
                    self.refuse(endpoint, cause, error).into_iter().collect()
                } else {
                    vec![self.connected_to(endpoint), lost]
                }
            }
            ConnectionEventKind::Failed { cause, error, .. } => {
                self.refuse(endpoint, cause, error).into_iter().collect()
            }
            ConnectionEventKind::Stopped => vec![format!("disconnected from {endpoint}")],
            ConnectionEventKind::Unbound => vec![format!("no longer bound to {endpoint}")],
            _ => Vec::new(),
        }
    }

    /// What is said about endpoints that have stayed connected.
    fn settled(&mut self, now: Instant) -> Vec<String> {
        let settled: Vec<_> = self.connected.extract_if(.., |(_, due)| *due <= now).collect();
        settled.iter().map(|(endpoint, _)| self.connected_to(endpoint)).collect()
    }

    fn connected_to(&mut self, endpoint: &Endpoint) -> String {
        self.refused.remove(endpoint);
        format!("connected to {endpoint}")
    }

    /// Nothing if that was said before.
    fn refuse(&mut self, endpoint: &Endpoint, cause: &Cause, error: &Error) -> Option<String> {
        let line = format!("refused by {endpoint}: {}", why(cause, error));
        let before = self.refused.insert(endpoint.clone(), line.clone());
        (before.as_ref() != Some(&line)).then_some(line)
    }
}

/// What is said about a refusal: a peer that closes the connection does not say why, but the error names what may be wrong.
pub(crate) fn why(cause: &Cause, error: &Error) -> String {
    match (cause, error.source()) {
        (Cause::ClosedInHandshake, Some(source)) => source.to_string(),
        _ => cause.to_string(),
    }
}

fn lost(endpoint: &Endpoint, cause: &Cause, tries_again: bool) -> String {
    format!("lost {endpoint} ({cause}){}", if tries_again { ", trying again" } else { "" })
}

/// Peers that came and were not let in: anybody may come at any rate.
#[derive(Default)]
struct Strangers(Pace);

impl Strangers {
    /// What is said about a peer that was refused; those that are turned away are told of otherwise.
    fn refused(&mut self, event: &ConnectionEvent) -> Option<String> {
        let ConnectionEventKind::Refused { address, cause, .. } = &event.kind else { return None };
        if !cause.is_refusal() || *cause == Cause::TurnedAway {
            return None;
        }
        self.say(format!("refused {address}: {cause}"))
    }

    /// The line, if one may be said now.
    fn say(&mut self, mut line: String) -> Option<String> {
        let untold = self.0.admit(Instant::now())?;
        if untold > 0 {
            line.push_str(&format!("; {} refused before", counted(untold, "peer")));
        }
        Some(line)
    }
}
