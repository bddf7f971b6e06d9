//! Byte pipes inside one engine, for `inproc://`. The same protocol runs over them as over TCP.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, Weak};

use super::{Notify, Ready};
use crate::sync::lock;

/// How many bytes a pipe holds in one direction: two reads. Both ends may be of one I/O thread, which fills the pipe in one turn and
/// empties it in the next one, and in each turn receives what one read brings.
const PIPE_BYTES_MAX: usize = 512 << 10;

/// One direction of a pipe.
#[derive(Default)]
struct Lane {
    bytes: VecDeque<u8>,
    closed: bool,
    /// The writer found no room, and waits for some.
    writer_waits: bool,
    /// Where readiness of each side is reported.
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
    /// Where the other end may be waiting for its name to be bound.
    waits: Option<Waits>,
}

/// The place of a pipe among those that wait for a name.
struct Waits {
    names: Weak<Mutex<Names>>,
    name: Box<str>,
    ticket: u64,
}

impl Pipe {
    /// Both ends of a new pipe.
    pub(crate) fn pair() -> (Pipe, Pipe) {
        let (a, b) = (Arc::<Mutex<Lane>>::default(), Arc::<Mutex<Lane>>::default());
        let near = Pipe { incoming: a.clone(), outgoing: b.clone(), waits: None };
        (near, Pipe { incoming: b, outgoing: a, waits: None })
    }

    /// Sets where this end's readiness is reported, and reports what it is now.
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
        // Slice by slice: an iterator over single bytes took a third of the time of a loaded I/O thread.
        let (front, back) = lane.bytes.as_slices();
        let first = n.min(front.len());
        buffer.extend_from_slice(&front[..first]);
        buffer.extend_from_slice(&back[..n - first]);
        lane.bytes.drain(..n);
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
        if let Some(waits) = self.waits.take()
            && let Some(names) = waits.names.upgrade()
        {
            lock(&names).give_up(&waits.name, waits.ticket);
        }
        self.shutdown_write();
        let mut lane = lock(&self.incoming);
        lane.closed = true;
        lane.bytes = VecDeque::new();
        lane.tell_writer();
    }
}

/// The names that are bound inside one engine, and the pipes that wait for one.
#[derive(Default)]
pub(crate) struct Names {
    bound: HashMap<String, Arc<Mutex<Backlog>>>,
    /// By name, in order of arrival. A name is removed with the last pipe that waits for it.
    waiting: HashMap<String, BTreeMap<u64, Pipe>>,
    next_ticket: u64,
}

/// The pipes that a bound name has not accepted yet.
pub(crate) struct Backlog {
    pipes: VecDeque<Pipe>,
    notify: Arc<dyn Notify>,
    token: usize,
}

impl Names {
    /// Binds a name, and offers it all pipes that waited for it.
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
        for (_, pipe) in self.waiting.remove(name).unwrap_or_default() {
            Backlog::offer(&backlog, pipe);
        }
        Ok(backlog)
    }

    /// Connects now, or as soon as the name is bound. The pipe can be written to at once.
    pub(crate) fn connect(names: &Arc<Mutex<Names>>, name: &str) -> Pipe {
        let (mut near, far) = Pipe::pair();
        let mut known = lock(names);
        match known.bound.get(name) {
            Some(backlog) => Backlog::offer(backlog, far),
            None => {
                let ticket = known.next_ticket;
                known.next_ticket += 1;
                known.waiting.entry(name.to_owned()).or_default().insert(ticket, far);
                near.waits = Some(Waits { names: Arc::downgrade(names), name: name.into(), ticket });
            }
        }
        near
    }

    /// The near end was dropped. If the name has been bound, the pipe no longer waits.
    fn give_up(&mut self, name: &str, ticket: u64) {
        if let Some(waiting) = self.waiting.get_mut(name) {
            waiting.remove(&ticket);
            if waiting.is_empty() {
                self.waiting.remove(name);
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Notify for Nobody {
        fn notify(&self, _ready: Ready) {}
    }

    #[test]
    fn a_name_that_nobody_binds_goes_with_its_last_pipe() {
        let names = Arc::<Mutex<Names>>::default();
        for i in 0..100 {
            let first = Names::connect(&names, &i.to_string());
            let second = Names::connect(&names, &i.to_string());
            drop(first);
            assert_eq!(lock(&names).waiting.len(), 1);
            drop(second);
        }
        assert!(lock(&names).waiting.is_empty());
    }

    #[test]
    fn pipes_that_wait_are_accepted_in_order_and_without_those_that_were_dropped() {
        let names = Arc::<Mutex<Names>>::default();
        let mut pipes: Vec<_> = (0..3).map(|_| Names::connect(&names, "x")).collect();
        for (i, pipe) in pipes.iter_mut().enumerate() {
            pipe.write(&[IoSlice::new(&[i as u8])]).unwrap();
        }
        drop(pipes.remove(1));
        let notify: Arc<dyn Notify> = Arc::new(Nobody);
        let backlog = lock(&names).bind("x", &notify, 0).unwrap();
        let mut buffer = Vec::with_capacity(1);
        for expected in [0, 2] {
            lock(&backlog).accept().unwrap().read(&mut buffer).unwrap();
            assert_eq!(std::mem::take(&mut buffer), [expected]);
            buffer.reserve_exact(1);
        }
        assert!(lock(&backlog).accept().is_err());
        drop(pipes);
        assert!(lock(&names).waiting.is_empty());
    }
}
