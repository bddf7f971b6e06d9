//! omq-tokio: its blocking sockets on its own I/O threads, as its own benchmarks drive them: `try_send`, and `send` if the
//! queue is full; `xpub_nodrop`; `try_recv`, and `recv` if no message is there.

use omq_tokio::blocking::Socket;
use omq_tokio::{
    Context, ContextConfig, CurveKeypair, CurvePublicKey, CurveSecretKey, Message, Options, SocketType,
    TrySendError,
};

use super::{Publisher, Setup, Subscriber, port_of};
use crate::Outcome;
use crate::frame::Shape;
use crate::keys;

fn context(setup: Setup) -> Context {
    Context::with_config(ContextConfig { io_threads: setup.threads })
}

fn keypair(keys: &oncue::curve::KeyPair) -> CurveKeypair {
    CurveKeypair {
        public: CurvePublicKey::from_bytes(*keys.public().bytes()),
        secret: CurveSecretKey::from_bytes(*keys.secret().bytes()),
    }
}

pub struct OmqPub {
    socket: Socket,
    buffer: Vec<u8>,
    refused: u64,
    _context: Context,
}

impl Publisher for OmqPub {
    async fn bind(setup: Setup) -> Outcome<(OmqPub, u16)> {
        let context = context(setup);
        let mut options = Options { xpub_nodrop: !setup.may_drop, ..Options::default() };
        if setup.curve {
            options = options.curve_server(keypair(&keys::server()));
        }
        let socket = context.blocking_socket(SocketType::Pub, options);
        let bound = socket.bind(&*setup.endpoint(0))?;
        let port = port_of(&bound.to_string())?;
        Ok((OmqPub { socket, buffer: Vec::new(), refused: 0, _context: context }, port))
    }

    async fn send(&mut self, shape: &Shape, topic: u64, seq: u64) -> Outcome {
        let message = if shape.size <= omq_tokio::message::MAX_INLINE_MESSAGE {
            self.buffer.resize(shape.size, 0);
            shape.fill(topic, seq, &mut self.buffer);
            Message::from_slice(&self.buffer)
        } else {
            Message::single(shape.owned(topic, seq))
        };
        match self.socket.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => {
                self.refused += 1;
                Ok(self.socket.send(message)?)
            }
            Err(error) => Err(format!("omq: {error}").into()),
        }
    }

    fn refused(&self) -> u64 {
        self.refused
    }
}

pub struct OmqSub {
    socket: Socket,
    batch: Option<Vec<Message>>,
    _context: Context,
}

impl Subscriber for OmqSub {
    async fn connect(setup: Setup, port: u16, prefixes: &[Vec<u8>]) -> Outcome<OmqSub> {
        let context = context(setup);
        let mut options = Options::default();
        if setup.curve {
            let server = CurvePublicKey::from_bytes(*keys::server().public().bytes());
            options = options.curve_client(keypair(&keys::client()), server);
        }
        let socket = context.blocking_socket(SocketType::Sub, options);
        socket.connect(&*setup.endpoint(port))?;
        for prefix in prefixes {
            socket.subscribe(prefix.clone())?;
        }
        Ok(OmqSub { socket, batch: setup.many.then(Vec::new), _context: context })
    }

    async fn recv(&mut self, mut show: impl FnMut(&[u8])) -> Outcome {
        if let Some(batch) = &mut self.batch {
            batch.clear();
            self.socket.recv_many_into(256, batch)?;
            batch.iter().for_each(|message| show_body(message, &mut show));
            return Ok(());
        }
        let message = match self.socket.try_recv() {
            Err(omq_tokio::Error::WouldBlock) => self.socket.recv()?,
            other => other?,
        };
        show_body(&message, &mut show);
        Ok(())
    }
}

fn show_body(message: &Message, show: &mut impl FnMut(&[u8])) {
    show(&message.iter().next().expect("a message has a part"));
}
