//! Publishers with or without demand notifications that send messages of two frames: Oncue's sockets without routes, and
//! libzmq. Both lose nothing: a send waits for room.

use std::time::Duration;

use oncue::{Engine, ErrorKind, OnFull, Options, Pub, XPub, XPubEvent};
use zmq::{Context, SocketType};

use super::libzmq::{HIGH_WATER_MARK, drop_nothing};
use super::port_of;
use crate::Outcome;

/// A publisher of one implementation.
pub trait Classic: Sized {
    /// Listens on a free port of 127.0.0.1; an XPUB if `hears` (it reads notifications), otherwise a PUB.
    fn bind(hears: bool) -> Outcome<(Self, u16)>;

    /// Takes the pending notifications without waiting. Calls `hear` with whether the topic is wanted now, and the topic.
    fn drain(&mut self, hear: impl FnMut(bool, &[u8])) -> Outcome;

    /// Sends a value.
    fn send(&mut self, topic: &[u8], value: &[u8]) -> Outcome;
}

/// Oncue's sockets.
pub enum OncueClassic {
    Deaf(Pub),
    Hearing(XPub),
}

impl Classic for OncueClassic {
    fn bind(hears: bool) -> Outcome<(OncueClassic, u16)> {
        let (engine, options) =
            (Engine::start()?, Options::new().on_full(OnFull::Refuse).linger(Duration::ZERO));
        let (socket, endpoint) = if hears {
            let socket = XPub::new(&engine, options)?;
            let endpoint = socket.bind("tcp://127.0.0.1:0")?;
            (OncueClassic::Hearing(socket), endpoint)
        } else {
            let socket = Pub::new(&engine, options)?;
            let endpoint = socket.bind("tcp://127.0.0.1:0")?;
            (OncueClassic::Deaf(socket), endpoint)
        };
        Ok((socket, port_of(&endpoint.to_string())?))
    }

    fn drain(&mut self, mut hear: impl FnMut(bool, &[u8])) -> Outcome {
        let OncueClassic::Hearing(socket) = self else { return Ok(()) };
        while let Some(event) = socket.try_event()? {
            match event {
                XPubEvent::Wanted(topic) => hear(true, &topic),
                XPubEvent::Unwanted(topic) => hear(false, &topic),
                _ => {}
            }
        }
        Ok(())
    }

    fn send(&mut self, topic: &[u8], value: &[u8]) -> Outcome {
        let sent = match self {
            OncueClassic::Deaf(socket) => socket.send((topic, value)),
            OncueClassic::Hearing(socket) => socket.send((topic, value)),
        };
        match (sent, self) {
            (Ok(()), _) => Ok(()),
            (Err(error), _) if error.kind() != ErrorKind::Full => Err(error.into()),
            (Err(_), OncueClassic::Deaf(socket)) => Ok(socket.send_wait((topic, value)).wait()?),
            (Err(_), OncueClassic::Hearing(socket)) => Ok(socket.send_wait((topic, value)).wait()?),
        }
    }
}

/// libzmq.
pub struct LibzmqClassic {
    socket: zmq::Socket,
    hears: bool,
}

impl Classic for LibzmqClassic {
    fn bind(hears: bool) -> Outcome<(LibzmqClassic, u16)> {
        let mut socket = Context::new().socket(if hears { SocketType::XPUB } else { SocketType::PUB })?;
        socket.set_linger(0)?;
        socket.set_sndhwm(HIGH_WATER_MARK)?;
        drop_nothing(&mut socket)?;
        socket.bind("tcp://127.0.0.1:*")?;
        let last = socket.get_last_endpoint()?.map_err(|_| "libzmq's endpoint is not text")?;
        let port = port_of(&last)?;
        Ok((LibzmqClassic { socket, hears }, port))
    }

    fn drain(&mut self, mut hear: impl FnMut(bool, &[u8])) -> Outcome {
        if !self.hears {
            return Ok(());
        }
        loop {
            match self.socket.recv_msg(zmq::DONTWAIT) {
                Ok(notification) => match notification.split_first() {
                    Some((&first, topic)) => hear(first == 1, topic),
                    None => return Err("a notification is empty".into()),
                },
                Err(zmq::Error::EAGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn send(&mut self, topic: &[u8], value: &[u8]) -> Outcome {
        self.socket.send(topic, zmq::SNDMORE)?;
        Ok(self.socket.send(value, 0)?)
    }
}
