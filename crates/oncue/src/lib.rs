//! Publish/subscribe on cue: ZeroMQ's PUB, SUB, XPUB and XSUB, wire-compatible (ZMTP 3.1, 3.0 and 2.0), where the
//! publisher knows exactly what is wanted and produces nothing else.
//!
//! ```
//! use oncue::{Engine, Options, Sub, XPub, XPubEvent};
//!
//! let engine = Engine::start()?;
//! let publisher = XPub::new(&engine, Options::new())?;
//! let endpoint = publisher.bind("tcp://127.0.0.1:*")?;
//!
//! let subscriber = Sub::new(&engine, Options::new())?;
//! subscriber.subscribe("prices/AAPL")?;
//! subscriber.connect(&endpoint.to_string())?;
//!
//! // The event comes once the subscription is in force: what is sent after it arrives.
//! let XPubEvent::Wanted(prefix) = publisher.event().wait()? else { panic!() };
//! assert_eq!(&prefix[..], b"prices/AAPL");
//! assert!(publisher.send_with("prices/AAPL", || "187.20")?);
//! assert!(!publisher.send_with("prices/MSFT", || -> &str { unreachable!("nobody wants it") })?);
//! assert_eq!(subscriber.recv().wait()?.frame(1), Some(&b"187.20"[..]));
//! # Ok::<(), oncue::Error>(())
//! ```
#![deny(missing_docs)]

mod account;
mod authentication;
pub mod authenticators;
mod batch;
mod bucket;
mod buffer;
mod connection;
pub mod curve;
pub mod demand;
mod descriptors;
mod endpoint;
mod engine;
mod error;
mod events;
mod hashing;
mod home;
mod missed;
mod msg;
mod net;
mod op;
mod options;
mod peer_address;
mod peers;
mod permission;
pub mod proxy;
#[cfg(test)]
mod simulation;
mod socket;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod stage;
mod stats;
mod sync;
mod user;

pub use authentication::{AllowAny, Authenticator, Case};
pub use batch::{Batch, Received};
pub use connection::{Cause, ConnectedPeer, ConnectionEvent, ConnectionEventKind, ProxyFailure};
pub use demand::OnDemand;
pub use descriptors::raise_descriptor_limit;
pub use endpoint::{Endpoint, Host, IPC_PATH_BYTES_MAX, Source};
pub use engine::{Confirmed, Engine, Room, TopicState};
pub use error::{Error, ErrorKind, Result};
pub use missed::{Missed, PublisherStats};
pub use msg::{Frames, Msg, MsgRef};
pub use oncue_core::command::State;
pub use oncue_core::connection::{PeerType, SocketType};
pub use oncue_core::edges::Prefix;
pub use oncue_core::frame::{ProtocolError, Seen};
pub use oncue_core::greeting::MechanismName;
pub use oncue_core::mechanism::Credentials;
pub use op::{Op, wakers_panicked};
pub use options::{
    EngineOptions, IpVersions, Keep, OnFull, Options, Page, PageRequest, ReconnectStop, SocksProxy, Verbose,
    Web,
};
pub use peer_address::PeerAddress;
pub use peers::{PeerMetadata, PeerProfile, PeerStatus, WantedPrefix};
pub use permission::{Admission, PeerKey, REASON_BYTES_MAX, Reason, SubscribeRequest};
pub use proxy::Proxy;
pub use socket::{
    Confirming, ConnectionEvents, DemandEvent, DemandWatch, Pub, Socket, Sub, Subscribed, SubscriptionEvent,
    SubscriptionWatch, XPub, XPubEvent, XSub, kind,
};
pub use stats::{Closed, QuotaStats, RefusalStats, RefusedPeer, SocketStats, TurnedAway};
pub use user::User;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
