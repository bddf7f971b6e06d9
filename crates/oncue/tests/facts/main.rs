//! The facts of ZeroMQ's publish/subscribe that are easy to get wrong, as tests: our sockets against peers whose every
//! byte is written here, each with our side bound and with our side connecting. What can be seen only between our own
//! sockets is tested in `sockets.rs`.

mod admission;
mod alive;
mod begun;
mod bursts;
mod confirmed;
mod conformance;
mod connections;
mod demand;
mod handshake;
mod hidden;
mod inverted;
mod last;
mod loss;
mod missed;
mod options;
mod options_net;
mod options_socks;
mod options_sub;
mod promises;
mod quotas;
mod raw;
mod received;
mod room;
mod slow;
mod states;
mod strangers;
mod subscriber;
mod subscriptions;
mod times;
mod traffic;
mod viewers;
mod xpub;
