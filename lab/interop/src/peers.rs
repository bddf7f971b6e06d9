//! Publishers and subscribers of both implementations behind common traits, so that a test of an exchange is written once.

use std::time::{Duration, Instant};

use oncue::{Engine, Options, Pub, Sub, XPub, XSub};

use crate::PATIENCE;
use crate::foreign::Foreign;

/// A message's frames.
pub type Frames = Vec<Vec<u8>>;

/// A publisher of either implementation.
pub trait Publishes {
    /// Binds, and returns the resolved endpoint.
    fn bind(&mut self, endpoint: &str) -> String;
    /// Connects.
    fn connect(&mut self, endpoint: &str);
    /// Publishes one message.
    fn publish(&mut self, frames: &Frames);
}

/// A subscriber of either implementation.
pub trait Subscribes {
    /// Binds, and returns the resolved endpoint.
    fn bind(&mut self, endpoint: &str) -> String;
    /// Connects.
    fn connect(&mut self, endpoint: &str);
    /// Subscribes to a prefix.
    fn subscribe(&mut self, prefix: &[u8]);
    /// Ends a subscription.
    fn unsubscribe(&mut self, prefix: &[u8]);
    /// Receives a message, if one comes in time.
    fn receive(&mut self, time: Duration) -> Option<Frames>;
}

macro_rules! our_publisher {
    ($socket:ty) => {
        impl Publishes for $socket {
            fn bind(&mut self, endpoint: &str) -> String {
                <$socket>::bind(self, endpoint).expect("our publisher binds").to_string()
            }
            fn connect(&mut self, endpoint: &str) {
                <$socket>::connect(self, endpoint).expect("our publisher connects");
            }
            fn publish(&mut self, frames: &Frames) {
                self.send(&frames[..]).expect("our publisher sends");
            }
        }
    };
}

macro_rules! our_subscriber {
    ($socket:ty) => {
        impl Subscribes for $socket {
            fn bind(&mut self, endpoint: &str) -> String {
                <$socket>::bind(self, endpoint).expect("our subscriber binds").to_string()
            }
            fn connect(&mut self, endpoint: &str) {
                <$socket>::connect(self, endpoint).expect("our subscriber connects");
            }
            fn subscribe(&mut self, prefix: &[u8]) {
                <$socket>::subscribe(self, prefix).expect("our subscriber subscribes");
            }
            fn unsubscribe(&mut self, prefix: &[u8]) {
                let had = <$socket>::unsubscribe(self, prefix).expect("our subscriber unsubscribes");
                assert!(had, "there was a subscription to end");
            }
            fn receive(&mut self, time: Duration) -> Option<Frames> {
                let message = self.recv().wait_timeout(time)?.expect("our subscriber receives");
                Some(message.frames().map(<[u8]>::to_vec).collect())
            }
        }
    };
}

our_publisher!(Pub);
our_publisher!(XPub);
our_subscriber!(Sub);
our_subscriber!(XSub);

impl Publishes for Foreign {
    fn bind(&mut self, endpoint: &str) -> String {
        Foreign::bind(self, endpoint)
    }
    fn connect(&mut self, endpoint: &str) {
        Foreign::connect(self, endpoint);
    }
    fn publish(&mut self, frames: &Frames) {
        self.send(frames);
    }
}

impl Subscribes for Foreign {
    fn bind(&mut self, endpoint: &str) -> String {
        Foreign::bind(self, endpoint)
    }
    fn connect(&mut self, endpoint: &str) {
        Foreign::connect(self, endpoint);
    }
    fn subscribe(&mut self, prefix: &[u8]) {
        Foreign::subscribe(self, prefix);
    }
    fn unsubscribe(&mut self, prefix: &[u8]) {
        Foreign::unsubscribe(self, prefix);
    }
    fn receive(&mut self, time: Duration) -> Option<Frames> {
        self.recv_within(time)
    }
}

/// Whether a socket of this type publishes.
pub fn publishes(kind: &str) -> bool {
    matches!(kind, "PUB" | "XPUB")
}

/// A publisher of ours: `PUB` or `XPUB`.
pub fn publisher(kind: &str, engine: &Engine, options: Options) -> Box<dyn Publishes> {
    match kind {
        "PUB" => Box::new(Pub::new(engine, options).expect("our PUB")),
        _ => Box::new(XPub::new(engine, options).expect("our XPUB")),
    }
}

/// A subscriber of ours: `SUB` or `XSUB`.
pub fn subscriber(kind: &str, engine: &Engine, options: Options) -> Box<dyn Subscribes> {
    match kind {
        "SUB" => Box::new(Sub::new(engine, options).expect("our SUB")),
        _ => Box::new(XSub::new(engine, options).expect("our XSUB")),
    }
}

/// The side that binds; the other one connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binds {
    /// The publisher.
    Publisher,
    /// The subscriber.
    Subscriber,
}

/// Connects the two.
pub fn join(publisher: &mut dyn Publishes, subscriber: &mut dyn Subscribes, binds: Binds, endpoint: &str) {
    match binds {
        Binds::Publisher => subscriber.connect(&publisher.bind(endpoint)),
        Binds::Subscriber => publisher.connect(&subscriber.bind(endpoint)),
    }
}

/// Waits until the subscriber gets what is published on `topic` (if `arrives`), or no longer gets it, while it gets
/// everything on `beacon`. Works with any two peers, since it needs only messages: it publishes rounds of a probe and a
/// beacon until one round arrives as expected. No message of a round is left over.
pub fn settle(
    publisher: &mut dyn Publishes,
    subscriber: &mut dyn Subscribes,
    beacon: &[u8],
    topic: &[u8],
    arrives: bool,
) {
    let deadline = Instant::now() + PATIENCE;
    for round in 0_u64.. {
        assert!(Instant::now() < deadline, "{} never settled", topic.escape_ascii());
        let round = round.to_be_bytes().to_vec();
        publisher.publish(&vec![topic.to_vec(), b"probe".to_vec(), round.clone()]);
        let sent = vec![beacon.to_vec(), b"beacon".to_vec(), round];
        publisher.publish(&sent);
        let mut probed = false;
        // A missing beacon was sent before there was a connection or a subscription.
        while let Some(frames) = subscriber.receive(Duration::from_millis(50)) {
            if frames == sent {
                if probed == arrives {
                    return;
                }
                break;
            }
            let stale = frames.get(2) != sent.get(2);
            probed |= !stale && frames.get(1).is_some_and(|frame| frame == b"probe");
        }
    }
}
