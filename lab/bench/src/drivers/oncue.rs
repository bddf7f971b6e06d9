//! Oncue: default options, and `Refuse` so that nothing is dropped. Only a peer with more prefixes than its quota gets another one.

use std::time::Duration;

use oncue::{AllowAny, Batch, Engine, EngineOptions, ErrorKind, OnFull, Options, Pub, Sub};

use super::{Publisher, Setup, Subscriber, port_of};
use crate::Outcome;
use crate::frame::{FIN, PROBE, Shape};
use crate::keys;

fn engine(setup: Setup) -> Outcome<Engine> {
    Ok(Engine::with(EngineOptions::new().io_threads(setup.threads))?)
}

pub struct OncuePub {
    socket: Pub,
    buffer: Vec<u8>,
    /// Messages to be sent together, if `many` is set.
    batch: Option<Batch>,
    refused: u64,
}

/// How many prefixes a peer may have by default.
const QUOTA: u64 = 4_000_000;

/// A batch is sent when it has reached this size.
const BATCH_BYTES: usize = 64 << 10;

impl Publisher for OncuePub {
    async fn bind(setup: Setup) -> Outcome<(OncuePub, u16)> {
        let on_full = if setup.may_drop { OnFull::DropNewest } else { OnFull::Refuse };
        let mut options = Options::new().on_full(on_full).linger(Duration::ZERO);
        if setup.prefixes > QUOTA {
            options = options.prefixes_max(u32::MAX).prefix_bytes_max(u64::MAX);
            options = options.prefixes_per_user_max(u32::MAX).prefix_bytes_per_user_max(u64::MAX);
        }
        if setup.curve {
            options = options.curve_server(keys::server(), AllowAny);
        }
        let socket = Pub::new(&engine(setup)?, options)?;
        let port = port_of(&socket.bind(&setup.endpoint(0))?.to_string())?;
        let batch = setup.many.then(Batch::new);
        Ok((OncuePub { socket, buffer: Vec::new(), batch, refused: 0 }, port))
    }

    async fn send(&mut self, shape: &Shape, topic: u64, seq: u64) -> Outcome {
        self.buffer.resize(shape.size, 0);
        shape.fill(topic, seq, &mut self.buffer);
        if let Some(batch) = &mut self.batch {
            batch.push(&self.buffer[..])?;
            // The other side waits for probes and end marks: send them at once, with the rest of the batch.
            let full = batch.wire_bytes() >= BATCH_BYTES || seq == PROBE || seq == FIN;
            if full && self.socket.send_many(batch).is_err() {
                self.refused += 1;
                self.socket.send_many_wait(batch).wait()?;
            }
            return Ok(());
        }
        if let Err(error) = self.socket.send(&self.buffer[..]) {
            if error.kind() != ErrorKind::Full {
                return Err(error.into());
            }
            self.refused += 1;
            self.socket.send_wait(&self.buffer[..]).wait()?;
        }
        Ok(())
    }

    fn refused(&self) -> u64 {
        self.refused
    }
}

pub struct OncueSub {
    socket: Sub,
    many: bool,
}

impl Subscriber for OncueSub {
    async fn connect(setup: Setup, port: u16, prefixes: &[Vec<u8>]) -> Outcome<OncueSub> {
        let mut options = Options::new();
        if setup.curve {
            options = options.curve_client(keys::client(), *keys::server().public());
        }
        let socket = Sub::new(&engine(setup)?, options)?;
        for prefix in prefixes {
            socket.subscribe(prefix)?;
        }
        socket.connect(&setup.endpoint(port))?;
        Ok(OncueSub { socket, many: setup.many })
    }

    async fn recv(&mut self, mut show: impl FnMut(&[u8])) -> Outcome {
        if self.many {
            self.socket.recv_many().wait()?.iter().for_each(|message| show(message.topic()));
        } else {
            show(self.socket.recv().wait()?.topic());
        }
        Ok(())
    }
}
