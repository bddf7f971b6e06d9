//! What commands say about their connections: on a thread of its own, once per change.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use oncue::{Cause, ConnectionEvent, ConnectionEventKind, ConnectionEvents, Endpoint, Socket, TurnedAway};

use crate::fail::Fail;
use crate::output::counted;
use crate::signals::{Stop, Waited};
use crate::stdio::say;
use crate::wait::spawn;

/// The least time between two lines about peers that came and were turned away or refused: anybody may come at any rate.
/// The next line counts those in between.
const LINE_PERIOD: Duration = Duration::from_secs(60);

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
        let mut strangers = Strangers::default();
        // The end of the socket is the end of its news.
        while let Some(news) = next(&socket, &events, &strangers, &stop) {
            let line = match news {
                News::Event(event) => about(&event).or_else(|| strangers.refused(&event)),
                News::TurnedAway(turned_away) => Some(strangers.say(turned_away.to_string())),
            };
            line.into_iter().for_each(|line| say(name, &line));
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

enum News {
    Event(ConnectionEvent),
    TurnedAway(TurnedAway),
}

/// The next news; None at the end.
fn next<S, F>(
    socket: &Socket<S, F>,
    events: &ConnectionEvents,
    strangers: &Strangers,
    stop: &Stop,
) -> Option<News> {
    loop {
        let (mut event, mut turned_away) = (events.next(), pin!(socket.turned_away()));
        // Those that are turned away are not asked about before a line may be said about them.
        let quiet = strangers.quiet_until.filter(|until| *until > Instant::now());
        let either = poll_fn(|context| {
            if let Poll::Ready(event) = Pin::new(&mut event).poll(context) {
                return Poll::Ready(event.map(News::Event));
            }
            match quiet {
                Some(_) => Poll::Pending,
                None => turned_away.as_mut().poll(context).map(|news| news.map(News::TurnedAway)),
            }
        });
        match stop.wait(either, quiet) {
            Waited::Ready(news) => return news.ok(),
            Waited::TimedOut => {}
            Waited::Stopped => return None,
        }
    }
}

/// What is said about an endpoint of ours. [`connect`] has said that the socket begins to connect.
fn about(event: &ConnectionEvent) -> Option<String> {
    let endpoint = &event.endpoint;
    Some(match &event.kind {
        ConnectionEventKind::Waiting { cause } => format!("waiting for {endpoint}: {cause}"),
        ConnectionEventKind::Connected { .. } => format!("connected to {endpoint}"),
        ConnectionEventKind::Lost { cause, .. } => format!("lost {endpoint} ({cause}), trying again"),
        ConnectionEventKind::Failed { cause, .. } => format!("refused by {endpoint}: {cause}"),
        ConnectionEventKind::Stopped => format!("disconnected from {endpoint}"),
        ConnectionEventKind::Unbound => format!("no longer bound to {endpoint}"),
        _ => return None,
    })
}

/// Peers that came and were not let in.
#[derive(Default)]
struct Strangers {
    /// When the next line may be said about them.
    quiet_until: Option<Instant>,
    /// How many were refused since the last line.
    untold: u64,
}

impl Strangers {
    /// What is said about a peer that was refused; those that are turned away are told of otherwise.
    fn refused(&mut self, event: &ConnectionEvent) -> Option<String> {
        let ConnectionEventKind::Refused { address, cause, .. } = &event.kind else { return None };
        if !cause.is_refusal() || *cause == Cause::TurnedAway {
            return None;
        }
        if self.quiet_until.is_some_and(|until| until > Instant::now()) {
            self.untold += 1;
            return None;
        }
        Some(self.say(format!("refused {address}: {cause}")))
    }

    fn say(&mut self, mut line: String) -> String {
        self.quiet_until = Some(Instant::now() + LINE_PERIOD);
        let untold = std::mem::take(&mut self.untold);
        if untold > 0 {
            line.push_str(&format!("; {} refused before", counted(untold, "peer")));
        }
        line
    }
}
