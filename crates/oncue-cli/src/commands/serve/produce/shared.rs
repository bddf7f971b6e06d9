//! One program for all topics of a route. It reads lines `+topic` and `-topic`, which say what is wanted, and writes lines
//! `topic<TAB>value`. It runs while any topic of the route is wanted.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oncue::demand::{Change, Feed};

use super::stream::too_long;
use super::{Place, count, invocation};
use crate::commands::serve::config::{Restart, Running};
use crate::commands::serve::program::process::{End, Work};
use crate::fail::Fail;
use crate::lines::{Line, Lines, split_at_tab};
use crate::wait::{spawn, wait_until};

/// How many bytes are prepared for the standard input of the program.
const INPUT_BYTES: usize = 64 << 10;

/// A route that one program serves.
pub(crate) struct Shared {
    pub(crate) place: Place,
    /// How remarks name the program: the pattern of its route.
    pub(crate) name: Vec<u8>,
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
        state.note(topic);
        state.wake();
    }

    fn close(&self) {
        let mut state = self.state();
        state.closed = true;
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

    /// A topic may have changed: the program must be told, unless it was told so before.
    fn note(&mut self, name: Arc<[u8]>) {
        let Some(topic) = self.topics.get_mut(&name) else { return };
        match (topic.feed.is_some() == topic.told, topic.news) {
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
        self.topics.drain().filter_map(|(_, topic)| topic.feed).collect()
    }

    /// Prepares lines about the topics of which the program must be told, as far as there is room.
    fn tell(&mut self, input: &mut Vec<u8>) {
        while input.len() < INPUT_BYTES
            && let Some((_, name)) = self.news.pop_first()
        {
            let Some(topic) = self.topics.get_mut(&name) else { continue };
            topic.news = None;
            topic.told = topic.feed.is_some();
            input.push(if topic.told { b'+' } else { b'-' });
            input.extend_from_slice(&name);
            input.push(b'\n');
            if !topic.told {
                self.topics.remove(&name);
            }
        }
    }
}

/// Why a topic cannot be written as a line; None if it can.
pub(crate) fn not_a_line(topic: &[u8]) -> Option<&'static str> {
    match str::from_utf8(topic) {
        Err(_) => Some("it is not UTF-8, and the program reads lines of text"),
        Ok(text) if text.chars().any(char::is_control) => {
            Some("it has a control character, and the program reads lines of text")
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
        let mut failures = 0;
        let unwanted = || poll_fn(|context| topics.poll(context, |state| state.closed || state.wanted == 0));
        while topics.wait_for(|state| state.wanted > 0, None) {
            topics.state().begin();
            let Shared { place, name, running } = self;
            let mut command = invocation::topicless_command(&place.tools.launcher, &running.program);
            let lines = Lines::new(running.line_bytes_max);
            let mut values = Values { shared: self, topics, lines, input: Vec::new() };
            let program = &running.program;
            let (end, took) = place.run(program, &mut command, &mut values, name, None, unwanted);
            // The waker of the program that has ended.
            topics.state().waker = None;
            self.end(end, took, &mut failures, topics);
        }
    }

    /// Ends the feeds of a program that has ended; the library restarts them with their own backoff. The program has a
    /// backoff too, because subscribers can start further feeds at any time.
    fn end(&self, end: End, took: Duration, failures: &mut u32, topics: &Topics) {
        let (why, failed) = match (end, self.running.restart) {
            (End::Stopped, _) => return,
            (End::Done, restart) => ("ended".to_owned(), restart == Restart::Always),
            (End::Failed(why), restart) => (why, restart != Restart::Never),
        };
        count(&self.place.tools.counts.failures);
        self.place.log.about(&self.name, &format!("the program {why}"));
        let pause = self.running.program.backoff.pause(failures, took);
        let feeds = topics.state().take_feeds();
        for feed in feeds {
            if failed {
                feed.fail(Logged);
            } else {
                feed.finish();
            }
        }
        topics.wait_for(|_| false, Some(Instant::now() + pause));
    }
}

/// The failure of a feed because its program has failed, which has been logged already.
#[derive(Debug)]
pub(crate) struct Logged;

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shared program has ended")
    }
}

impl std::error::Error for Logged {}

impl Keeper {
    pub(crate) fn topics(&self) -> Topics {
        self.topics.clone()
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

/// Publishes the lines of the program, and prepares its input.
struct Values<'s> {
    shared: &'s Shared,
    topics: &'s Topics,
    lines: Lines,
    input: Vec<u8>,
}

fn publish(shared: &Shared, topics: &Topics, line: Line<'_>) -> Result<(), String> {
    let counts = &shared.place.tools.counts;
    match line {
        Line::Beginning(line) => too_long(&shared.place, &shared.name, line.len()),
        Line::Whole(line) => match split_at_tab(line) {
            Some((topic, value)) => {
                let feed = topics.state().topics.get(topic).and_then(|topic| topic.feed.clone());
                if feed.is_none_or(|feed| feed.publish(value).is_err()) {
                    count(&counts.unwanted);
                }
            }
            None => {
                count(&counts.skipped);
                shared.place.log.about(&shared.name, "skipped a line without a tab between topic and value");
            }
        },
    }
    Ok(())
}

impl Work for Values<'_> {
    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.lines.take(bytes, |line| publish(self.shared, self.topics, line))
    }

    fn finish(&mut self) -> Result<(), String> {
        self.lines.finish(|line| publish(self.shared, self.topics, line))
    }

    fn input(&mut self) -> Option<&mut Vec<u8>> {
        self.topics.state().tell(&mut self.input);
        Some(&mut self.input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_not_a_line_of_text_is_refused() {
        for bad in [&b"a\n-b"[..], b"a\tb", b"\xff", b"a\r", b"\0", "\u{85}".as_bytes()] {
            assert!(not_a_line(bad).is_some(), "{}", bad.escape_ascii());
        }
        for good in ["", "prices/ä", "a b", "{\"x\":1}"] {
            assert_eq!(not_a_line(good.as_bytes()), None);
        }
    }
}
