//! What comes from other sites, and goes to this site's subscribers. It runs on the threads that read the links, and never waits:
//! what the subscribers' sockets have no room for is missed, and counted there.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oncue::{Batch, MsgRef, Prefix, State, XPub};
use oncue_core::command::StateNews;
use oncue_core::frame::{message_len, topic};
use oncue_core::mesh::Stream;
use oncue_core::mesh::data::{Batch as Payload, Item};
use oncue_core::topic::index::PrefixMap;

use crate::bell::{lock, random};
use crate::border::Border;
use crate::options::MeshOptions;
use crate::status::Flow;

/// How many sites may have sent values before they are known to live. Beyond it one of them is forgotten.
const EARLY_MAX: usize = 64;
/// More messages than this are not lost at once: a batch that says so is not in the format.
const LOST_MAX: u64 = 1 << 40;
/// How many active topics of a site are remembered, to call them stale when the site is gone.
const ACTIVE_MAX: usize = 1 << 16;
/// How many bytes of topics of a site are remembered, each with [`TOPIC_BYTES`] more, to forget their values when the site is gone.
const TOPICS_BYTES_MAX: usize = 16 << 20;
const TOPIC_BYTES: usize = 16;
/// When there is no room, topics are looked through for those whose value is kept no more, at most this often. Beyond it values stay.
const LOOK_PAUSE: Duration = Duration::from_secs(10);

/// What came from a site.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) flow: Flow,
    pub(crate) lost: u64,
    pub(crate) gaps: u64,
    pub(crate) duplicates: u64,
    pub(crate) forbidden: u64,
    pub(crate) malformed: u64,
}

/// What comes from all other sites.
pub(crate) struct Imports {
    subscribers: XPub,
    options: Arc<MeshOptions>,
    sites: Mutex<HashMap<String, Arc<Mutex<Import>>>>,
}

/// What comes from one site.
struct Import {
    /// Whether it is known to live. Its place is its own then.
    known: bool,
    border: Border,
    stream: Stream,
    batch: Batch,
    taken: Taken,
    /// Topics with a kept value, if values are kept.
    topics: Topics,
    /// Topics that the site says are active.
    active: HashSet<Prefix>,
}

impl Imports {
    pub(crate) fn new(subscribers: XPub, options: Arc<MeshOptions>) -> Imports {
        Imports { subscribers, options, sites: Mutex::default() }
    }

    /// A batch has come.
    pub(crate) fn take(&self, site: &str, payload: &[u8]) {
        let import = self.import(site);
        self.deliver(&mut lock(&import), payload);
    }

    /// What comes from a site, which has a place from now on.
    fn import(&self, site: &str) -> Arc<Mutex<Import>> {
        let mut sites = lock(&self.sites);
        if let Some(import) = sites.get(site) {
            return import.clone();
        }
        let early = |import: &Arc<Mutex<Import>>| !lock(import).known;
        if sites.values().filter(|import| early(import)).count() >= EARLY_MAX {
            let one = sites.iter().find(|(_, import)| early(import)).map(|(site, _)| site.clone());
            one.map(|site| sites.remove(&site));
        }
        let border = Border::new(self.options.import.of(site), &self.options.own_topics);
        let import = Arc::new(Mutex::new(Import::new(border)));
        sites.insert(site.to_owned(), import.clone());
        import
    }

    /// A site lives.
    pub(crate) fn know(&self, site: &str) {
        lock(&self.import(site)).known = true;
    }

    fn deliver(&self, import: &mut Import, payload: &[u8]) {
        let Ok(batch) = Payload::decode(payload) else {
            import.taken.malformed += 1;
            return;
        };
        let verdict = import.stream.accept(&batch.head);
        let lost = verdict.lost.saturating_add(verdict.missed);
        let taken = &mut import.taken;
        if lost > LOST_MAX {
            taken.malformed += 1;
            return;
        }
        taken.flow.batches += 1;
        taken.lost = taken.lost.saturating_add(lost);
        taken.gaps += u64::from(lost > 0);
        taken.duplicates += verdict.skip;
        self.subscribers.note_missed(lost);
        let mut skip = verdict.skip;
        for item in batch.items() {
            match item {
                Item::Messages { count, .. } if count <= skip => skip -= count,
                Item::Messages { count, wire } => {
                    self.deliver_messages(import, past(&payload[wire], skip), count - skip);
                    skip = 0;
                }
                Item::State(_) if skip > 0 => skip -= 1,
                Item::State(news) => news.iter().for_each(|news| self.deliver_state(import, news)),
            }
        }
        self.send(import);
    }

    fn send(&self, import: &mut Import) {
        let _ = if self.options.keep_last {
            let is_kept = |topic: &[u8]| self.subscribers.last(topic).is_some();
            import.topics.remember(&import.batch, is_kept);
            self.subscribers.send_many_last(&mut import.batch)
        } else {
            self.subscribers.send_many(&mut import.batch)
        };
        // It fails only if the socket is closed, or refuses what it has no room for.
        import.batch.clear();
    }

    fn deliver_messages(&self, import: &mut Import, wire: &[u8], count: u64) {
        let quotas = &self.options.quotas;
        import.taken.flow.messages += count;
        import.taken.flow.bytes += wire.len() as u64;
        let is_own = |message: &[u8]| import.border.is_own(topic(message));
        if import.border.is_open() && wire.len() <= quotas.message_bytes && !messages(wire).any(is_own) {
            // It was checked when it was decoded.
            let _ = import.batch.push_wire(wire);
            return;
        }
        for message in messages(wire) {
            if !import.border.permits(topic(message)) {
                import.taken.forbidden += 1;
            } else if message.len() > quotas.message_bytes {
                import.taken.lost += 1;
            } else {
                let _ = import.batch.push_wire(message);
            }
        }
    }

    fn deliver_state(&self, import: &mut Import, news: &StateNews<'_>) {
        if news.state.is_of_prefix() || !import.border.permits(news.topic) {
            return;
        }
        // After the messages before it.
        self.send(import);
        match news.state {
            State::Active if import.active.len() < ACTIVE_MAX => {
                _ = import.active.insert(news.topic.into());
            }
            _ => _ = import.active.remove(news.topic),
        }
        let text = String::from_utf8_lossy(news.text).into_owned();
        // Its length was checked when it was decoded.
        let _ = self.subscribers.set_state(news.topic, news.state, text);
    }

    /// Nobody vouches any more for what came from a site: its active topics are stale, and its values are not given to later
    /// subscribers.
    pub(crate) fn gone(&self, site: &str) {
        let Some(import) = lock(&self.sites).get(site).cloned() else { return };
        let mut import = lock(&import);
        for topic in import.active.drain() {
            let _ = self.subscribers.set_state(&topic, State::Stale, format!("site {site} is not reachable"));
        }
        let topics = std::mem::replace(&mut import.topics, Topics::new());
        topics.map.iter().for_each(|(_, topic, ())| _ = self.subscribers.forget_last(topic));
    }

    /// Forgets sites.
    pub(crate) fn retain(&self, keeps: impl Fn(&str) -> bool) {
        lock(&self.sites).retain(|site, import| keeps(site) || !lock(import).known);
    }

    pub(crate) fn taken(&self, site: &str) -> Taken {
        lock(&self.sites).get(site).map(|import| lock(import).taken).unwrap_or_default()
    }
}

impl Import {
    fn new(border: Border) -> Import {
        Import {
            known: false,
            border,
            stream: Stream::new(),
            batch: Batch::new(),
            taken: Taken::default(),
            topics: Topics::new(),
            active: HashSet::new(),
        }
    }
}

/// The topics of one site that may have a kept value.
struct Topics {
    map: PrefixMap<()>,
    bytes: usize,
    looked: Option<Instant>,
}

impl Topics {
    fn new() -> Topics {
        Topics { map: PrefixMap::new(random()), bytes: 0, looked: None }
    }

    /// Notes the topics of a batch.
    fn remember(&mut self, batch: &Batch, is_kept: impl Fn(&[u8]) -> bool) {
        let mut last: &[u8] = &[];
        for topic in batch.iter().map(MsgRef::topic).filter(|topic| !topic.is_empty()) {
            let known = topic == std::mem::replace(&mut last, topic) || self.map.find(topic).is_some();
            if !known && self.has_room(topic, &is_kept) {
                self.add(topic);
            }
        }
    }

    fn has_room(&mut self, topic: &[u8], is_kept: impl Fn(&[u8]) -> bool) -> bool {
        let fits = |bytes: usize| bytes + topic.len() + TOPIC_BYTES <= TOPICS_BYTES_MAX;
        if !fits(self.bytes) && self.looked.is_none_or(|looked| looked.elapsed() > LOOK_PAUSE) {
            let all = std::mem::replace(self, Topics::new());
            all.map.iter().filter(|(_, topic, ())| is_kept(topic)).for_each(|(_, topic, ())| self.add(topic));
            self.looked = Some(Instant::now());
        }
        fits(self.bytes)
    }

    fn add(&mut self, topic: &[u8]) {
        if self.map.get_or_insert_with(topic, || ()).is_ok() {
            self.bytes += topic.len() + TOPIC_BYTES;
        }
    }
}

/// Encoded messages, without the first ones.
fn past(wire: &[u8], skip: u64) -> &[u8] {
    (0..skip).fold(wire, |wire, _| &wire[message_len(wire)..])
}

fn messages(mut wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (message, rest) = wire.split_at(if wire.is_empty() { return None } else { message_len(wire) });
        wire = rest;
        Some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;
    use oncue::{Engine, Options, Sub};
    use oncue_core::mesh::data::{Ended, Writer};

    struct Scene {
        imports: Imports,
        subscriber: Sub,
    }

    impl Scene {
        /// A subscriber of everything, and of a topic about the process.
        fn new() -> Scene {
            let engine = Engine::start().unwrap();
            let socket = XPub::new(&engine, Options::new()).unwrap();
            let subscriber = Sub::new(&engine, Options::new()).unwrap();
            subscriber.connect(&socket.bind("inproc://here").unwrap().to_string()).unwrap();
            for prefix in ["", "$oncue/mesh"] {
                subscriber.subscribe(prefix).unwrap().at_least(1).wait().unwrap();
            }
            let options = MeshOptions::new("here", Topology::Edge { routers: Vec::new() });
            Scene { imports: Imports::new(socket, Arc::new(options)), subscriber }
        }

        fn take(&self, site: &str, (first, missed): (u64, u64), topics: &[&str]) {
            let mut writer = Writer::new();
            topics.iter().for_each(|topic| writer.message([topic]));
            let so_far = Ended { stream: 1, next: first, missed };
            self.imports.take(site, writer.finish(so_far, Ended::default()));
        }

        fn next(&self) -> String {
            let message = self.subscriber.recv().wait_timeout(Duration::from_secs(10)).unwrap().unwrap();
            String::from_utf8(message.topic().to_vec()).unwrap()
        }
    }

    #[test]
    fn invented_names_displace_no_site_that_lives_and_are_bounded() {
        let scene = Scene::new();
        scene.imports.know("paris");
        scene.take("paris", (1, 0), &["first"]);
        (0..1000).for_each(|i| scene.take(&format!("invented{i}"), (1, 0), &["x"]));
        assert!(lock(&scene.imports.sites).len() <= EARLY_MAX + 1);
        scene.take("paris", (2, 0), &["second"]);
        assert_eq!(scene.imports.taken("paris").flow.messages, 2);
        let came: Vec<String> = (0..1002).map(|_| scene.next()).collect();
        assert_eq!((&came[0][..], &came[1001][..]), ("first", "second"));
    }

    #[test]
    fn topics_about_a_process_do_not_come_from_others() {
        let scene = Scene::new();
        scene.take("paris", (1, 0), &["a", "$oncue/mesh", "b"]);
        assert_eq!([scene.next(), scene.next()], ["a", "b"]);
        assert_eq!(scene.imports.taken("paris").forbidden, 1);
    }

    #[test]
    fn losses_are_counted_and_impossible_ones_are_not_believed() {
        let scene = Scene::new();
        scene.take("paris", (1, 0), &["a"]);
        scene.take("paris", (5, 2), &["b"]);
        scene.take("paris", (6, u64::MAX), &["c"]);
        let taken = scene.imports.taken("paris");
        assert_eq!((taken.lost, taken.gaps, taken.malformed, taken.flow.messages), (5, 1, 1, 2));
        scene.imports.take("paris", b"garbage");
        assert_eq!(scene.imports.taken("paris").malformed, 2);
    }
}
