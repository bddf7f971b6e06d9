//! Questions to other sites, and the queryables that answer theirs. A question finds room on a link at once, or is dropped there: by
//! default Zenoh's would wait, and with it all that a router passes on from the same link, as long as one site behind it is stopped.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use zenoh::bytes::ZBytes;
use zenoh::handlers::DefaultHandler;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::{ConsolidationMode, Query, QueryTarget, Reply};
use zenoh::sample::Locality;
use zenoh::session::SessionGetBuilder;
use zenoh::{Session, Wait};

use super::keys::last_site;
use crate::bell::lock;

/// Questions that wait for a snapshot. Others get no answer, and are asked again by their sites.
const QUESTIONS_MAX: usize = 256;

/// The most answers to one question that are read.
const ANSWERS_MAX: usize = 1024;

/// The end of a question to one site: an answer, or none. It is told once, whatever happens.
struct Outcome<F: FnOnce(Option<&ZBytes>)>(Mutex<Option<F>>);

impl<F: FnOnce(Option<&ZBytes>)> Outcome<F> {
    fn tell(&self, answer: Option<&ZBytes>) {
        let told = lock(&self.0).take();
        if let Some(tell) = told {
            tell(answer);
        }
    }
}

impl<F: FnOnce(Option<&ZBytes>)> Drop for Outcome<F> {
    fn drop(&mut self) {
        self.tell(None);
    }
}

/// What each question is asked with.
fn question(
    session: &Session,
    key: String,
    timeout: Duration,
) -> SessionGetBuilder<'_, 'static, DefaultHandler> {
    session
        .get(key)
        .target(QueryTarget::All)
        .consolidation(ConsolidationMode::None)
        .allowed_destination(Locality::Remote)
        .priority(Priority::InteractiveHigh)
        .congestion_control(CongestionControl::Drop)
        .timeout(timeout)
}

/// Asks one site. `end` gets the first answer, or none after the time, or at once if there is no such site.
pub(super) fn ask_one(
    session: &Session,
    key: String,
    timeout: Duration,
    end: impl FnOnce(Option<&ZBytes>) + Send + Sync + 'static,
) {
    let outcome = Outcome(Mutex::new(Some(end)));
    // If the question cannot be asked, the callback is dropped, and so the outcome is told.
    let _ = question(session, key, timeout)
        .express(true)
        .callback(move |reply| outcome.tell(reply.result().ok().map(|sample| sample.payload())))
        .wait();
}

/// Asks all sites, and waits for the answers that come within the time. `read` gets the name of a site and its answer.
pub(super) fn ask_all<T: Send + 'static>(
    session: &Session,
    key: String,
    timeout: Duration,
    read: impl Fn(&str, &ZBytes) -> Option<T> + Send + Sync + 'static,
) -> Vec<T> {
    let (answered, answers) = channel();
    let left = AtomicUsize::new(ANSWERS_MAX);
    let take = move |reply: Reply| {
        let Ok(sample) = reply.result() else { return };
        let answer = last_site(sample.key_expr().as_str()).and_then(|site| read(site, sample.payload()));
        let has_room =
            || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if let Some(answer) = answer.filter(|_| has_room()) {
            let _ = answered.send(answer);
        }
    };
    let asked = question(session, key, timeout).callback(take).wait();
    asked.map_or_else(|_| Vec::new(), |()| answers.iter().collect())
}

/// Answers a question, which may have been for the keys of all sites. The answer has the priority of the question, and is dropped if it finds no room on a full link, so that a
/// stopped site holds up no other.
fn answer(query: &Query, key: &str, bytes: impl Into<ZBytes>) {
    let _ = query.reply(key, bytes).express(true).wait();
}

/// Answers questions for one key on Zenoh's thread, until the session is closed.
pub(super) fn answer_at_once(
    session: &Session,
    key: String,
    text: impl Fn() -> String + Send + Sync + 'static,
) -> zenoh::Result<()> {
    session
        .declare_queryable(key.clone())
        .allowed_origin(Locality::Remote)
        .callback(move |query| answer(&query, &key, text()))
        .background()
        .wait()
}

/// Answers questions for one key on a thread of its own, until the session is closed. Questions that come together get the same
/// answer.
pub(super) fn answer_with(
    session: &Session,
    key: String,
    bytes: Arc<dyn Fn() -> Vec<u8> + Send + Sync>,
) -> zenoh::Result<()> {
    let (ask, questions): (SyncSender<Query>, _) = sync_channel(QUESTIONS_MAX);
    thread::Builder::new().name("oncue-mesh-snap".into()).spawn({
        let key = key.clone();
        move || answer_questions(&questions, &key, &*bytes)
    })?;
    session
        .declare_queryable(key)
        .allowed_origin(Locality::Remote)
        .callback(move |query| drop(ask.try_send(query)))
        .background()
        .wait()
}

fn answer_questions(questions: &Receiver<Query>, key: &str, bytes: &dyn Fn() -> Vec<u8>) {
    while let Ok(first) = questions.recv() {
        let together: Vec<Query> = std::iter::once(first).chain(questions.try_iter()).collect();
        let bytes = ZBytes::from(bytes());
        for query in together {
            answer(&query, key, bytes.clone());
        }
    }
}
