//! rzmq: tasks on a tokio runtime, `XPUB_NODROP`, the adaptive throttle off and higher high-water marks, as its guide
//! recommends for throughput.

use rzmq::socket::{ADAPTIVE_THROTTLE, LAST_ENDPOINT, RCVHWM, SNDHWM, SUBSCRIBE, XPUB_NODROP};
use rzmq::{Context, Msg, Socket, SocketType};

use super::{Publisher, Setup, Subscriber, endpoint, port_of};
use crate::Outcome;
use crate::frame::Shape;

const HIGH_WATER_MARK: i32 = 100_000;

pub struct RzmqPub {
    socket: Socket,
    _context: Context,
}

impl Publisher for RzmqPub {
    async fn bind(setup: Setup) -> Outcome<(RzmqPub, u16)> {
        let context = Context::new()?;
        let socket = context.socket(SocketType::Pub)?;
        socket.set_option(ADAPTIVE_THROTTLE, 0i32).await?;
        if !setup.may_drop {
            socket.set_option(XPUB_NODROP, 1i32).await?;
            socket.set_option(SNDHWM, HIGH_WATER_MARK).await?;
        }
        socket.bind("tcp://127.0.0.1:0").await?;
        let port = port_of(&String::from_utf8(socket.get_option(LAST_ENDPOINT).await?)?)?;
        Ok((RzmqPub { socket, _context: context }, port))
    }

    async fn send(&mut self, shape: &Shape, topic: u64, seq: u64) -> Outcome {
        Ok(self.socket.send(Msg::from_vec(shape.owned(topic, seq))).await?)
    }
}

pub struct RzmqSub {
    socket: Socket,
    _context: Context,
}

impl Subscriber for RzmqSub {
    async fn connect(_setup: Setup, port: u16, prefixes: &[Vec<u8>]) -> Outcome<RzmqSub> {
        let context = Context::new()?;
        let socket = context.socket(SocketType::Sub)?;
        socket.set_option(ADAPTIVE_THROTTLE, 0i32).await?;
        socket.set_option(RCVHWM, HIGH_WATER_MARK).await?;
        for prefix in prefixes {
            socket.set_option_raw(SUBSCRIBE, prefix).await?;
        }
        socket.connect(&endpoint(port)).await?;
        Ok(RzmqSub { socket, _context: context })
    }

    async fn recv(&mut self, mut show: impl FnMut(&[u8])) -> Outcome {
        let message = self.socket.recv().await?;
        show(message.data().unwrap_or_default());
        Ok(())
    }
}
