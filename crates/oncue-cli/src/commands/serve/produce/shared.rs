//! One program for all topics of a route. It reads on standard input what is wanted, as lines `+topic` and `-topic`, and
//! writes values as lines `topic<TAB>value`. It runs while anything of the route is wanted.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use oncue::demand::{Change, Feed};

use super::stream::too_long;
use super::{Place, count, invocation};
use crate::commands::serve::config::{Restart, Running};
use crate::commands::serve::program::process::{End, Work};
use crate::lines::{Line, Lines, split_at_tab};
use crate::wait::wait;

/// Bytes for the program's standard input that are made ready at once.
const INPUT_BYTES: usize = 64 << 10;

/// A route that one program serves.
pub(crate) struct Shared {
    pub(crate) place: Place,
    /// What messages about the program itself call it: the route's pattern.
    pub(crate) name: Vec<u8>,
    pub(crate) running: Running,
}

/// What is wanted of the route, as told by one thread and read by the one that keeps the program. Clones are handles to
/// one and the same.
#[derive(Clone, Default)]
pub(crate) struct Topics(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    topics: HashMap<Arc<[u8]>, Topic>,
    /// Topics to tell the program about, in the order of the news. With what the program believes they are no more than
    /// what is wanted and what was told, however often strangers change their minds while it does not listen.
    news: BTreeMap<u64, Arc<[u8]>>,
    last_news: u64,
    /// The topics that have a feed.
    wanted: usize,
    closed: bool,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Topic {
    feed: Option<Feed>,
    /// Whether the program believes that it is wanted.
    told: bool,
    news: Option<u64>,
}

/// A shared program at work, until this is closed.
pub(crate) struct Keeper {
    topics: Topics,
    thread: Option<JoinHandle<()>>,
}

impl Topics {
    /// Takes a change of what is wanted.
    pub(crate) fn change(&self, change: Change) {
        let mut state = self.state();
        let (Change::Started(feed) | Change::Stopped(feed)) = &change;
        let topic: Arc<[u8]> = feed.topic().into();
        let known = state.topics.entry(topic.clone()).or_default();
        let before = known.feed.is_some();
        match change {
            Change::Started(feed) => known.feed = Some(feed),
            // A feed of the same topic that has started since is another one.
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

    /// Waits until `condition` holds of what is wanted, or until the end; whether it is the former.
    fn wait_for(&self, condition: impl Fn(&State) -> bool) -> bool {
        wait(std::future::poll_fn(|context| self.poll(context, |state| state.closed || condition(state))));
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

    /// Waits for a time, or until the end.
    fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        crate::wait::with_waker(|context| {
            while self.poll(context, |state| state.closed).is_pending() {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                thread::park_timeout(left);
            }
        });
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What is wanted of a topic may have changed: that is news, unless the program believes it already.
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

    /// A new program knows nothing: all that is wanted is news.
    fn begin(&mut self) {
        self.topics.retain(|_, topic| topic.feed.is_some());
        self.news.clear();
        for topic in self.topics.values_mut() {
            (topic.told, topic.news) = (false, None);
        }
        let names: Vec<_> = self.topics.keys().cloned().collect();
        names.into_iter().for_each(|name| self.note(name));
    }

    /// Forgets all feeds, and gives them away.
    fn take_feeds(&mut self) -> Vec<Feed> {
        self.news.clear();
        self.wanted = 0;
        self.topics.drain().filter_map(|(_, topic)| topic.feed).collect()
    }

    /// Writes down what the program has not been told yet, as far as there is room.
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

/// Why a topic cannot be told by a line, if it cannot.
pub(crate) fn unspeakable(topic: &[u8]) -> Option<&'static str> {
    match str::from_utf8(topic) {
        Err(_) => Some("it is not UTF-8, and the program reads lines of text"),
        Ok(text) if text.chars().any(char::is_control) => {
            Some("it holds a control character, and the program reads lines of text")
        }
        Ok(_) => None,
    }
}

impl Shared {
    /// Starts the thread that keeps the program running while anything is wanted.
    pub(crate) fn start(self) -> io::Result<Keeper> {
        let topics = Topics::default();
        let ours = topics.clone();
        let thread = thread::Builder::new().name("shared".to_owned()).spawn(move || self.keep(&ours))?;
        Ok(Keeper { topics, thread: Some(thread) })
    }

    fn keep(&self, topics: &Topics) {
        // In a row.
        let mut failures = 0;
        let unwanted = || {
            std::future::poll_fn(|context| topics.poll(context, |state| state.closed || state.wanted == 0))
        };
        while topics.wait_for(|state| state.wanted > 0) {
            topics.state().begin();
            let Shared { place, name, running } = self;
            let mut command = invocation::topicless_command(&place.tools.launcher, &running.program);
            let lines = Lines::new(running.line_bytes_max);
            let mut values = Values { shared: self, topics, lines, input: Vec::new() };
            let kill_after = running.program.kill_after;
            let (end, took) = place.run(&mut command, &mut values, name, None, kill_after, unwanted);
            // Nobody waits by the program's bell any more.
            topics.state().waker = None;
            self.end(end, took, &mut failures, topics);
        }
    }

    /// The program has ended: so do the feeds, and start again as the library has it. The program does not start again
    /// before a time of its own, for strangers may start feeds at will.
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
                feed.fail(Told);
            } else {
                feed.finish();
            }
        }
        topics.sleep(pause);
    }
}

/// The failure of a feed whose program has failed, which has been told.
#[derive(Debug)]
pub(crate) struct Told;

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shared program has ended")
    }
}

impl std::error::Error for Told {}

impl Keeper {
    pub(crate) fn topics(&self) -> Topics {
        self.topics.clone()
    }
}

/// Ends the program, and waits for its end.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.topics.close();
        if let Some(thread) = self.thread.take() {
            // Should it have panicked, the panic has been printed, and its program is gone.
            let _ = thread.join();
        }
    }
}

/// What the program writes, on its way to the subscribers.
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
                count(&counts.left_out);
                shared.place.log.about(&shared.name, "left out a line without a tab between topic and value");
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
    fn a_topic_that_is_no_line_of_text_is_not_told() {
        for bad in [&b"a\n-b"[..], b"a\tb", b"\xff", b"a\r", b"\0", "\u{85}".as_bytes()] {
            assert!(unspeakable(bad).is_some(), "{}", bad.escape_ascii());
        }
        for good in ["", "prices/ä", "a b", "{\"x\":1}"] {
            assert_eq!(unspeakable(good.as_bytes()), None);
        }
    }
}
