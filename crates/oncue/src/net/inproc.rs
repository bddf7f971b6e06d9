//! Byte pipes inside one engine, for `inproc://`. The same protocol runs over them as over TCP.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};

use super::{Notify, Ready};
use crate::sync::lock;

/// How many bytes a pipe holds in one direction.
const PIPE_BYTES_MAX: usize = 256 << 10;

/// One direction of a pipe.
#[derive(Default)]
struct Lane {
    bytes: VecDeque<u8>,
    closed: bool,
    /// The writer was told that there is no room.
    writer_waits: bool,
    /// Where each side wants to be told.
    reader: Option<(Arc<dyn Notify>, usize)>,
    writer: Option<(Arc<dyn Notify>, usize)>,
}

impl Lane {
    fn tell_reader(&self) {
        if let Some((notify, token)) = &self.reader {
            notify.notify(Ready { token: *token, readable: true, ended: self.closed, ..Ready::default() });
        }
    }

    fn tell_writer(&self) {
        if let Some((notify, token)) = &self.writer {
            notify.notify(Ready { token: *token, writable: true, ..Ready::default() });
        }
    }
}

/// One end of a pipe.
pub(crate) struct Pipe {
    incoming: Arc<Mutex<Lane>>,
    outgoing: Arc<Mutex<Lane>>,
}

impl Pipe {
    /// Both ends of a new pipe.
    pub(crate) fn pair() -> (Pipe, Pipe) {
        let (a, b) = (Arc::<Mutex<Lane>>::default(), Arc::<Mutex<Lane>>::default());
        (Pipe { incoming: a.clone(), outgoing: b.clone() }, Pipe { incoming: b, outgoing: a })
    }

    /// Says whom to tell when this end can read or write again, and tells what is so already.
    pub(crate) fn watch(&self, notify: &Arc<dyn Notify>, token: usize) {
        lock(&self.incoming).reader = Some((notify.clone(), token));
        lock(&self.outgoing).writer = Some((notify.clone(), token));
        let ended = lock(&self.incoming).closed;
        notify.notify(Ready { token, readable: true, writable: true, ended });
    }

    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let mut lane = lock(&self.incoming);
        let n = lane.bytes.len().min(buffer.capacity() - buffer.len());
        if n == 0 {
            return if lane.closed { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        buffer.extend(lane.bytes.drain(..n));
        if std::mem::take(&mut lane.writer_waits) {
            lane.tell_writer();
        }
        Ok(n)
    }

    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut lane = lock(&self.outgoing);
        if lane.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let was_empty = lane.bytes.is_empty();
        let mut n = 0;
        for slice in slices {
            let part = slice.len().min(PIPE_BYTES_MAX - lane.bytes.len());
            lane.bytes.extend(&slice[..part]);
            n += part;
            if part < slice.len() {
                lane.writer_waits = true;
                break;
            }
        }
        if was_empty && n > 0 {
            lane.tell_reader();
        }
        if n == 0 && slices.iter().any(|s| !s.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(n)
    }

    pub(crate) fn shutdown_write(&mut self) {
        let mut lane = lock(&self.outgoing);
        lane.closed = true;
        lane.tell_reader();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.shutdown_write();
        let mut lane = lock(&self.incoming);
        lane.closed = true;
        lane.bytes = VecDeque::new();
        lane.tell_writer();
    }
}

/// The names that are bound inside one engine, and those who wait for one.
#[derive(Default)]
pub(crate) struct Names {
    bound: HashMap<String, Arc<Mutex<Backlog>>>,
    waiting: HashMap<String, Vec<Pipe>>,
}

/// The pipes that a bound name has not accepted yet.
pub(crate) struct Backlog {
    pipes: VecDeque<Pipe>,
    notify: Arc<dyn Notify>,
    token: usize,
}

impl Names {
    /// Binds a name and accepts all who waited for it.
    pub(crate) fn bind(
        &mut self,
        name: &str,
        notify: &Arc<dyn Notify>,
        token: usize,
    ) -> io::Result<Arc<Mutex<Backlog>>> {
        if self.bound.contains_key(name) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let backlog = Backlog { pipes: VecDeque::new(), notify: notify.clone(), token };
        let backlog = Arc::new(Mutex::new(backlog));
        self.bound.insert(name.to_owned(), backlog.clone());
        for pipe in self.waiting.remove(name).unwrap_or_default() {
            Backlog::offer(&backlog, pipe);
        }
        Ok(backlog)
    }

    /// Connects now, or as soon as the name is bound. The pipe can be written to at once.
    pub(crate) fn connect(&mut self, name: &str) -> Pipe {
        let (near, far) = Pipe::pair();
        match self.bound.get(name) {
            Some(backlog) => Backlog::offer(backlog, far),
            None => {
                let waiting = self.waiting.entry(name.to_owned()).or_default();
                waiting.retain(|pipe| !lock(&pipe.incoming).closed);
                waiting.push(far);
            }
        }
        near
    }

    pub(crate) fn unbind(&mut self, backlog: &Arc<Mutex<Backlog>>) {
        self.bound.retain(|_, b| !Arc::ptr_eq(b, backlog));
    }
}

impl Backlog {
    fn offer(backlog: &Mutex<Backlog>, pipe: Pipe) {
        let mut backlog = lock(backlog);
        backlog.pipes.push_back(pipe);
        backlog.notify.notify(Ready { token: backlog.token, readable: true, ..Ready::default() });
    }

    pub(crate) fn accept(&mut self) -> io::Result<Pipe> {
        self.pipes.pop_front().ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}
