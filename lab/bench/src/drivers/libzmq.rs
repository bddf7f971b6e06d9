//! libzmq: blocking calls on the calling thread, `XPUB_NODROP` so that a send waits. Sent messages are filled in one reused
//! buffer and copied by the library; received ones reuse one message.
#![allow(unsafe_code, reason = "the binding has no call for XPUB_NODROP")]

use zmq::{Context, Message, Socket, SocketType};

use super::{Publisher, Setup, Subscriber, port_of};
use crate::Outcome;
use crate::frame::Shape;
use crate::keys;

/// With the default of 1000 a NODROP publisher stops and starts; its guide recommends a higher mark for throughput.
pub(super) const HIGH_WATER_MARK: i32 = 100_000;

pub(super) fn context(setup: Setup) -> Outcome<Context> {
    let context = Context::new();
    context.set_io_threads(i32::try_from(setup.threads)?)?;
    Ok(context)
}

/// Makes a publisher's `send` wait while a subscriber's queue is full.
pub(super) fn drop_nothing(socket: &mut Socket) -> Outcome {
    let (on, option) = (1i32, zmq_sys::ZMQ_XPUB_NODROP as i32);
    // SAFETY: the socket is open and `on` is an int, as the option requires.
    let done = unsafe { zmq_sys::zmq_setsockopt(socket.as_mut_ptr(), option, (&raw const on).cast(), 4) };
    if done != 0 {
        return Err("libzmq refuses XPUB_NODROP".into());
    }
    Ok(())
}

pub struct LibzmqPub {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Publisher for LibzmqPub {
    async fn bind(setup: Setup) -> Outcome<(LibzmqPub, u16)> {
        let mut socket = context(setup)?.socket(SocketType::PUB)?;
        socket.set_linger(0)?;
        if setup.may_drop {
            socket.set_sndhwm(1000)?;
        } else {
            socket.set_sndhwm(HIGH_WATER_MARK)?;
            drop_nothing(&mut socket)?;
        }
        if setup.curve {
            socket.set_curve_server(true)?;
            socket.set_curve_secretkey(keys::server().secret().bytes())?;
        }
        socket.bind(&setup.endpoint(0))?;
        let last = socket.get_last_endpoint()?.map_err(|_| "libzmq's endpoint is not text")?;
        let port = port_of(&last)?;
        Ok((LibzmqPub { socket, buffer: Vec::new() }, port))
    }

    async fn send(&mut self, shape: &Shape, topic: u64, seq: u64) -> Outcome {
        self.buffer.resize(shape.size, 0);
        shape.fill(topic, seq, &mut self.buffer);
        Ok(self.socket.send(&self.buffer[..], 0)?)
    }
}

pub struct LibzmqSub {
    socket: Socket,
    message: Message,
}

impl Subscriber for LibzmqSub {
    async fn connect(setup: Setup, port: u16, prefixes: &[Vec<u8>]) -> Outcome<LibzmqSub> {
        let socket = context(setup)?.socket(SocketType::SUB)?;
        socket.set_rcvhwm(HIGH_WATER_MARK)?;
        for prefix in prefixes {
            socket.set_subscribe(prefix)?;
        }
        if setup.curve {
            let own = keys::client();
            socket.set_curve_serverkey(keys::server().public().bytes())?;
            socket.set_curve_publickey(own.public().bytes())?;
            socket.set_curve_secretkey(own.secret().bytes())?;
        }
        socket.connect(&setup.endpoint(port))?;
        Ok(LibzmqSub { socket, message: Message::new() })
    }

    async fn recv(&mut self, mut show: impl FnMut(&[u8])) -> Outcome {
        self.socket.recv(&mut self.message, 0)?;
        show(&self.message);
        Ok(())
    }
}
