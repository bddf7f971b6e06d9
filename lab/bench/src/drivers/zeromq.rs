//! zeromq: tasks on a tokio runtime. Its PUB silently drops messages beyond its queue of 100,000, and has no option against
//! that: only received messages count.

use zeromq::{PubSocket, Socket, SocketRecv, SocketSend, SubSocket, ZmqMessage};

use super::{Publisher, Setup, Subscriber, endpoint, port_of};
use crate::Outcome;
use crate::frame::Shape;

/// A sender that never yields takes the processor from the task that writes, and most of its messages are dropped.
const MESSAGES_PER_PAUSE: u64 = 64;

pub struct ZeromqPub {
    socket: PubSocket,
    sent: u64,
}

impl Publisher for ZeromqPub {
    async fn bind(_setup: Setup) -> Outcome<(ZeromqPub, u16)> {
        let mut socket = PubSocket::new();
        let port = port_of(&socket.bind("tcp://127.0.0.1:0").await?.to_string())?;
        Ok((ZeromqPub { socket, sent: 0 }, port))
    }

    async fn send(&mut self, shape: &Shape, topic: u64, seq: u64) -> Outcome {
        self.sent += 1;
        if self.sent.is_multiple_of(MESSAGES_PER_PAUSE) {
            tokio::task::yield_now().await;
        }
        Ok(self.socket.send(ZmqMessage::from(shape.owned(topic, seq))).await?)
    }
}

pub struct ZeromqSub {
    socket: SubSocket,
}

impl Subscriber for ZeromqSub {
    async fn connect(_setup: Setup, port: u16, prefixes: &[Vec<u8>]) -> Outcome<ZeromqSub> {
        let mut socket = SubSocket::new();
        socket.connect(&endpoint(port)).await?;
        for prefix in prefixes {
            socket.subscribe(std::str::from_utf8(prefix)?).await?;
        }
        Ok(ZeromqSub { socket })
    }

    async fn recv(&mut self, mut show: impl FnMut(&[u8])) -> Outcome {
        let message = self.socket.recv().await?;
        show(message.get(0).expect("a message has a frame"));
        Ok(())
    }
}
