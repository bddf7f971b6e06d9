//! The sockets: handles to a hub. They reach a shard or a stream only through the engine's `Control`.

mod connections;
mod handle;
mod inner;
pub mod kind;
mod peers;
mod publisher;
mod subscribed;
mod subscriber;
mod values;
mod watch;

pub use connections::ConnectionEvents;
pub use handle::{Pub, Socket, Sub, XPub, XSub};
pub(crate) use inner::Inner;
pub use publisher::XPubEvent;
pub use subscribed::{Confirming, Subscribed};
pub use watch::{DemandEvent, DemandWatch, SubscriptionEvent, SubscriptionWatch};
