//! The parameters of a [`Socket`](crate::Socket): its side and its form. They have no values.

/// A side: the socket sends messages to its subscribers (PUB, XPUB).
#[derive(Debug)]
pub enum Publisher {}

/// A side: the socket subscribes, and receives messages (SUB, XSUB).
#[derive(Debug)]
pub enum Subscriber {}

/// A form: PUB and SUB.
#[derive(Debug)]
pub enum Plain {}

/// A form: XPUB, which also receives events and messages, and XSUB, which also sends messages.
#[derive(Debug)]
pub enum Extended {}
