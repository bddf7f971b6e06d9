//! One program for all topics of a route. It reads what is wanted: lines `+topic` and `-topic`, or JSON objects; and writes
//! values with their topics. It runs while any topic of the route is wanted.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oncue::demand::{Change, Feed};

use super::burst::Burst;
use super::frames::{Frames, Item, Said};
use super::{Place, Run, invocation, remark};
use crate::commands::serve::program::process::Work;
use crate::commands::serve::program::verdict::{End, Failed, Reason};
use crate::config::{Framing, Restart, Running};
use crate::fail::Fail;
use crate::record::Subject;
use crate::wait::{spawn, wait_until};

/// How many bytes are prepared for the standard input of the program.
const INPUT_BYTES: usize = 64 << 10;

/// A route that one program serves.
pub(crate) struct Shared {
    pub(crate) place: Place,
    pub(crate) running: Running,
}

/// The topics of the route that are wanted. The library's thread changes them, and the thread that keeps the program reads
/// them. All clones share one state.
#[derive(Clone, Default)]
pub(crate) struct Topics(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    topics: HashMap<Arc<[u8]>, Topic>,
    /// The topics about which the program must be told, in order. Each is in here once, and only while what the program was
    /// told differs from what is wanted: however often subscribers come and go while the program does not read, there are
    /// at most as many as topics are wanted or were told.
    news: BTreeMap<u64, Arc<[u8]>>,
    last_news: u64,
    /// How many topics have a feed.
    wanted: usize,
    /// Since when none has one; None while some have, and at the start.
    unwanted_since: Option<Instant>,
    closed: bool,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Topic {
    feed: Option<Feed>,
    /// Whether the program was told that it is wanted.
    told: bool,
    news: Option<u64>,
}

/// The thread that keeps a shared program running, until this is dropped.
pub(crate) struct Keeper {
    topics: Topics,
    thread: Option<JoinHandle<()>>,
}

impl Topics {
    /// Takes a change of the demand.
    pub(crate) fn change(&self, change: Change) {
        let mut state = self.state();
        let (Change::Started(feed) | Change::Stopped(feed)) = &change;
        let topic: Arc<[u8]> = feed.topic().into();
        let known = state.topics.entry(topic.clone()).or_default();
        let before = known.feed.is_some();
        match change {
            Change::Started(feed) => known.feed = Some(feed),
            // The topic may have another feed by now.
            Change::Stopped(feed) => {
                known.feed.take_if(|known| known.generation() == feed.generation());
            }
        }
        let after = known.feed.is_some();
        state.wanted = state.wanted + usize::from(after) - usize::from(before);
        state.look_at_the_clock();
        state.note(topic);
        state.wake();
    }

    /// From now on nothing is wanted of the program.
    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let names: Vec<_> = state.topics.keys().cloned().collect();
        names.into_iter().for_each(|name| state.note(name));
        state.wake();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `condition` holds, or until the end, but no longer than until the deadline. Returns false at the end.
    fn wait_for(&self, condition: impl Fn(&State) -> bool, deadline: Option<Instant>) -> bool {
        let done = |state: &State| state.closed || condition(state);
        wait_until(poll_fn(|context| self.poll(context, done)), deadline);
        !self.state().closed
    }

    fn poll(&self, context: &Context<'_>, condition: impl Fn(&State) -> bool) -> Poll<()> {
        let mut state = self.state();
        if condition(&state) {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Notes when it began that nothing is wanted.
    fn look_at_the_clock(&mut self) {
        match self.wanted {
            0 => drop(self.unwanted_since.get_or_insert_with(Instant::now)),
            _ => self.unwanted_since = None,
        }
    }

    /// When a program ends that runs this long without demand; None while something is wanted.
    fn ends_at(&self, idle: Duration) -> Option<Instant> {
        self.unwanted_since.and_then(|since| since.checked_add(idle))
    }

    /// A topic may have changed: the program must be told, unless it was told so before.
    fn note(&mut self, name: Arc<[u8]>) {
        let Some(topic) = self.topics.get_mut(&name) else { return };
        let wanted = topic.feed.is_some() && !self.closed;
        match (wanted == topic.told, topic.news) {
            (true, Some(number)) => {
                topic.news = None;
                self.news.remove(&number);
            }
            (false, None) => {
                self.last_news += 1;
                topic.news = Some(self.last_news);
                self.news.insert(self.last_news, name.clone());
            }
            _ => {}
        }
        if topic.feed.is_none() && !topic.told {
            self.topics.remove(&name);
        }
    }

    /// A new program was told nothing: it must be told everything that is wanted.
    fn begin(&mut self) {
        self.topics.retain(|_, topic| topic.feed.is_some());
        self.news.clear();
        for topic in self.topics.values_mut() {
            (topic.told, topic.news) = (false, None);
        }
        let names: Vec<_> = self.topics.keys().cloned().collect();
        names.into_iter().for_each(|name| self.note(name));
    }

    /// Removes and returns all feeds.
    fn take_feeds(&mut self) -> Vec<Feed> {
        self.news.clear();
        self.wanted = 0;
        self.look_at_the_clock();
        self.topics.drain().filter_map(|(_, topic)| topic.feed).collect()
    }

    /// Prepares lines about the topics of which the program must be told, as far as there is room. If they are the `last`, the
    /// program is told nothing new: what is wanted now is for the next one.
    fn tell(&mut self, input: &mut Vec<u8>, framing: Framing, last: bool) {
        while input.len() < INPUT_BYTES
            && let Some((_, name)) = self.news.pop_first()
        {
            let Some(topic) = self.topics.get_mut(&name) else { continue };
            topic.news = None;
            let wanted = topic.feed.is_some() && !self.closed;
            if wanted && last {
                continue;
            }
            topic.told = wanted;
            match framing {
                Framing::Json => {
                    // It was checked that the topic is text.
                    let text = serde_json::Value::from(String::from_utf8_lossy(&name));
                    let key = if wanted { "wanted" } else { "unwanted" };
                    input.extend_from_slice(format!("{{\"{key}\":{text}}}\n").as_bytes());
                }
                Framing::Lines | Framing::Length => {
                    input.push(if wanted { b'+' } else { b'-' });
                    input.extend_from_slice(&name);
                    input.push(b'\n');
                }
            }
            if topic.feed.is_none() {
                self.topics.remove(&name);
            }
        }
    }
}

/// Why a program cannot be told a topic; None if it can.
pub(crate) fn cannot_be_told(topic: &[u8], framing: Framing) -> Option<&'static str> {
    match str::from_utf8(topic) {
        Err(_) => Some("it is not UTF-8, and the program reads text"),
        Ok(text) if framing != Framing::Json && text.chars().any(char::is_control) => {
            Some("it has a control character, and the program reads lines; see framing = \"json\"")
        }
        Ok(_) => None,
    }
}

impl Shared {
    /// Starts the thread that keeps the program running while anything is wanted.
    pub(crate) fn start(self) -> Result<Keeper, Fail> {
        let topics = Topics::default();
        let ours = topics.clone();
        let thread = spawn("shared", move || self.keep(&ours))?;
        Ok(Keeper { topics, thread: Some(thread) })
    }

    fn keep(&self, topics: &Topics) {
        let Shared { place, running } = self;
        let (program, idle) = (&running.program, running.idle);
        let mut failures = 0;
        while topics.wait_for(|state| state.wanted > 0, None) {
            let until = |condition: fn(&State, Duration) -> bool| {
                poll_fn(move |context| topics.poll(context, |state| state.closed || condition(state, idle)))
            };
            let Some(permit) = place.permit(until(|state, _| state.wanted == 0)) else { continue };
            topics.state().begin();
            let mut command = invocation::topicless_command(&place.tools.launcher, program);
            let frames = Frames::new(running.framing, running.line_bytes_max, true);
            let mut values =
                Values { shared: self, topics, frames, burst: Burst::default(), input: Vec::new() };
            let unneeded = until(|state, idle| state.ends_at(idle).is_some_and(|at| at <= Instant::now()));
            let run = Run { program, subject: Subject::Route, timeout: None };
            let (end, took) = place.run_now(&permit, run, &mut command, &mut values, unneeded);
            // Others may run programs during a pause.
            drop(permit);
            // The waker of the program that has ended.
            topics.state().waker = None;
            self.end(end, took, &mut failures, topics);
        }
    }

    /// Ends a feed that the program cannot produce now.
    fn fail(&self, feed: &Feed, why: &str) {
        if !feed.is_active() {
            return;
        }
        let failed = Failed::new(Reason::Reported, format!("says: {}", remark(why)));
        let failed = self.place.failed(Subject::Topic(feed.topic()), Some(&self.running.program), &failed);
        if self.running.restart == Restart::Never {
            feed.finish();
        } else {
            feed.fail(failed);
        }
    }

    /// Ends the feeds of a program that has ended; the library restarts them with their own backoff. The program has a
    /// backoff too, because subscribers can start further feeds at any time.
    fn end(&self, end: End, took: Duration, failures: &mut u32, topics: &Topics) {
        let (why, restarts) = match (end, self.running.restart) {
            (End::Stopped, _) => return,
            (End::Done, restart) => (Failed::new(Reason::Ended, "ended"), restart == Restart::Always),
            (End::Failed(failed), restart) => (failed, restart != Restart::Never),
        };
        let failed = self.place.failed(Subject::Route, Some(&self.running.program), &why);
        let pause = self.running.program.backoff.pause(failures, took);
        let feeds = topics.state().take_feeds();
        for feed in feeds {
            if restarts {
                feed.fail(failed.clone());
            } else {
                feed.finish();
            }
        }
        topics.wait_for(|_| false, Some(Instant::now() + pause));
    }
}

impl Keeper {
    pub(crate) fn topics(&self) -> Topics {
        self.topics.clone()
    }

    /// Tells the program to end, without waiting for its end.
    pub(crate) fn close(&self) {
        self.topics.close();
    }
}

/// Ends the program, and waits until it has ended.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.topics.close();
        if let Some(thread) = self.thread.take() {
            // After a panic, which has been printed, its program has ended too.
            let _ = thread.join();
        }
    }
}

/// Publishes the values of the program, and prepares its input.
struct Values<'s> {
    shared: &'s Shared,
    topics: &'s Topics,
    frames: Frames,
    burst: Burst,
    input: Vec<u8>,
}

/// The topics, locked once for all values of a read.
struct Held<'t> {
    topics: &'t Topics,
    state: Option<MutexGuard<'t, State>>,
    /// The feed of the value before: the next one is often of the same topic.
    last: Option<Feed>,
}

impl Held<'_> {
    fn feed(&mut self, topic: &[u8]) -> Option<&Feed> {
        if self.last.as_ref().is_none_or(|last| last.topic() != topic) {
            let state = self.state.get_or_insert_with(|| self.topics.state());
            self.last = state.topics.get(topic).and_then(|known| known.feed.clone());
        }
        self.last.as_ref()
    }

    /// The same for a call that may take time: it is made without the lock.
    fn feed_alone(&mut self, topic: &[u8]) -> Option<Feed> {
        let feed = self.feed(topic).cloned();
        (self.state, self.last) = (None, None);
        feed
    }
}

impl Values<'_> {
    fn take(
        &mut self,
        cut: impl FnOnce(&mut Frames, &mut dyn FnMut(Item<'_>)) -> Result<(), String>,
    ) -> Result<(), String> {
        let Values { shared, topics, frames, burst, .. } = self;
        let (mut held, mut unwanted) = (Held { topics, state: None, last: None }, 0);
        let taken = cut(frames, &mut |item| match item {
            Item::Skipped(what) => shared.place.skipped(Subject::Route, &what),
            Item::Said(None, _) => shared.place.skipped(Subject::Route, "a JSON object without `topic`"),
            Item::Said(Some(topic), Said::Value(value)) if Burst::is_alone(&value) => {
                match held.feed_alone(&topic) {
                    Some(feed) => burst.add(&feed, &value),
                    None => unwanted += 1,
                }
            }
            Item::Said(Some(topic), Said::Value(value)) => match held.feed(&topic) {
                Some(feed) => burst.add(feed, &value),
                None => unwanted += 1,
            },
            Item::Said(Some(topic), said) => {
                let Some(feed) = held.feed_alone(&topic) else { return };
                unwanted += burst.flush();
                match said {
                    Said::Error(why) => shared.fail(&feed, &why),
                    Said::Value(_) | Said::End => feed.finish(),
                }
            }
        });
        drop(held);
        unwanted += burst.flush();
        shared.place.tools.counts.unwanted.fetch_add(unwanted, Ordering::Relaxed);
        taken
    }
}

impl Work for Values<'_> {
    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.take(|frames, sink| frames.take(bytes, sink))
    }

    fn finish(&mut self) -> Result<(), String> {
        self.take(Frames::finish)
    }

    fn input(&mut self, last: bool) -> Option<&mut Vec<u8>> {
        self.topics.state().tell(&mut self.input, self.shared.running.framing, last);
        Some(&mut self.input)
    }

    fn is_awaited(&self) -> bool {
        self.topics.state().wanted > 0
    }

    fn ends_at(&self) -> Option<Instant> {
        self.topics.state().ends_at(self.shared.running.idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_the_program_cannot_read_is_refused() {
        for bad in [&b"a\n-b"[..], b"a\tb", b"a\r", b"\0", "\u{85}".as_bytes()] {
            for framing in [Framing::Lines, Framing::Length] {
                assert!(cannot_be_told(bad, framing).is_some(), "{}", bad.escape_ascii());
            }
            assert_eq!(cannot_be_told(bad, Framing::Json), None);
        }
        assert!(cannot_be_told(b"\xff", Framing::Json).is_some());
        for good in ["", "prices/ä", "a b", "{\"x\":1}"] {
            assert_eq!(cannot_be_told(good.as_bytes(), Framing::Lines), None);
        }
    }
}
