//! What comes from other sites, and goes to this site's subscribers. It runs on the threads that read the links, and never waits:
//! what the subscribers' sockets have no room for is missed, and counted there.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use oncue::{Batch, Prefix, State, XPub};
use oncue_core::command::StateNews;
use oncue_core::mesh::Stream;
use oncue_core::mesh::data::{Batch as Payload, Item};

use crate::bell::lock;
use crate::border::Border;
use crate::options::MeshOptions;
use crate::status::Flow;

/// How many sites may have sent values before they are known to live. Beyond it one of them is forgotten.
const EARLY_MAX: usize = 64;
/// More messages than this are not lost at once: a batch that says so is not in the format.
const LOST_MAX: u64 = 1 << 40;
/// How many active topics of a site are remembered, to call them stale when the site is gone.
const ACTIVE_MAX: usize = 1 << 16;
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
    /// How many sites have had a place; some of them again.
    origins: AtomicU64,
}

/// What comes from one site.
struct Import {
    /// Whether it is known to live. Its place is its own then.
    known: bool,
    border: Border,
    /// What its kept values are noted with.
    origin: u64,
    stream: Stream,
    batch: Batch,
    taken: Taken,
    /// Topics that the site says are active.
    active: HashSet<Prefix>,
}

impl Imports {
    pub(crate) fn new(subscribers: XPub, options: Arc<MeshOptions>) -> Imports {
        Imports { subscribers, options, sites: Mutex::default(), origins: AtomicU64::new(0) }
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
        let origin = self.origins.fetch_add(1, Relaxed) + 1;
        let import = Arc::new(Mutex::new(Import::new(border, origin)));
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
        // How many messages are left after those that were looked at.
        let mut left = batch.head.count - skip;
        for item in batch.items() {
            match item {
                Item::Messages { count, .. } if count <= skip => skip -= count,
                Item::Messages { count, wire } => {
                    if !self.deliver_messages(import, &payload[wire], count, skip) {
                        import.taken.malformed += 1;
                        import.taken.lost = import.taken.lost.saturating_add(left);
                        self.subscribers.note_missed(left);
                        break;
                    }
                    left -= count - skip;
                    skip = 0;
                }
                Item::State(_) if skip > 0 => skip -= 1,
                Item::State(news) => {
                    left -= 1;
                    news.iter().for_each(|news| self.deliver_state(import, news));
                }
            }
        }
        self.send(import);
    }

    fn send(&self, import: &mut Import) {
        let _ = if self.options.keep_last {
            self.subscribers.send_many_last_of(import.origin, &mut import.batch)
        } else {
            self.subscribers.send_many(&mut import.batch)
        };
        // It fails only if the socket is closed, or refuses what it has no room for.
        import.batch.clear();
    }

    /// Checks messages, and puts those into the batch that may cross, without the first ones. Returns false if there are not as many as
    /// they are said to be.
    fn deliver_messages(&self, import: &mut Import, wire: &[u8], count: u64, skip: u64) -> bool {
        let bytes_max = self.options.quotas.message_bytes;
        let Import { border, batch, taken, .. } = import;
        let (before, open) = (batch.len(), border.is_open());
        let (mut seen, mut bytes, mut forbidden, mut large) = (0, 0, 0, 0);
        let found = batch.push_wire_if(wire, |message| {
            seen += 1;
            if seen <= skip {
                return false;
            }
            let (topic, len) = (message.topic(), message.wire().len());
            bytes += len as u64;
            let permitted = if open { !border.is_own(topic) } else { border.permits(topic) };
            forbidden += u64::from(!permitted);
            large += u64::from(permitted && len > bytes_max);
            permitted && len <= bytes_max
        });
        if found.is_ok_and(|found| found as u64 == count) {
            taken.flow.messages += count - skip;
            taken.flow.bytes += bytes;
            taken.forbidden += forbidden;
            taken.lost += large;
            return true;
        }
        batch.truncate(before);
        false
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
        if self.options.keep_last {
            self.subscribers.forget_last_of(import.origin);
        }
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
    fn new(border: Border, origin: u64) -> Import {
        Import {
            known: false,
            border,
            origin,
            stream: Stream::new(),
            batch: Batch::new(),
            taken: Taken::default(),
            active: HashSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;
    use oncue::{Engine, Options, Sub};
    use oncue_core::mesh::data::{Ended, Writer};
    use std::time::Duration;

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

    #[test]
    fn of_a_batch_with_what_is_no_message_the_rest_is_lost_and_counted() {
        // Cut short; a command; reserved flags; one message that is said to be two; a message without its last frame.
        let faults: [(u32, &[u8]); 5] = [
            (1, &[0, 9, b'x']),
            (1, &[4, 1, b'x']),
            (1, &[0x80, 1, b'x']),
            (2, &[0, 2, b'x', b'y']),
            (1, &[1, 1, b'x']),
        ];
        for (count, wire) in faults {
            let scene = Scene::new();
            let mut writer = Writer::new();
            writer.message(["good"]);
            writer.state(&StateNews { state: State::Active, topic: b"t", text: b"" });
            writer.messages(count, wire);
            writer.state(&StateNews { state: State::Active, topic: b"u", text: b"" });
            let so_far = |next| Ended { stream: 1, next, missed: 0 };
            scene.imports.take("paris", writer.finish(so_far(1), Ended::default()));
            let lost = u64::from(count) + 1;
            let taken = scene.imports.taken("paris");
            assert_eq!((taken.flow.messages, taken.malformed, taken.lost), (1, 1, lost), "{wire:?}");
            writer.clear();
            writer.message(["next"]);
            scene.imports.take("paris", writer.finish(so_far(3 + lost), Ended::default()));
            assert_eq!([scene.next(), scene.next()], ["good", "next"]);
            assert_eq!(scene.imports.taken("paris").lost, lost, "nothing is counted twice");
        }
    }

    #[test]
    fn what_comes_again_is_taken_once_and_what_is_new_behind_it_too() {
        let scene = Scene::new();
        scene.take("paris", (1, 0), &["a", "b"]);
        scene.take("paris", (1, 0), &["a", "b", "$oncue/mesh", "c"]);
        assert_eq!([scene.next(), scene.next(), scene.next()], ["a", "b", "c"]);
        let taken = scene.imports.taken("paris");
        assert_eq!((taken.flow.messages, taken.duplicates, taken.forbidden), (4, 2, 1));
    }

    #[test]
    fn the_values_of_a_site_go_with_it_and_those_that_came_later_from_others_stay() {
        let scene = Scene::new();
        scene.take("paris", (1, 0), &["a", "b"]);
        scene.take("rome", (1, 0), &["b", "c"]);
        let kept = || ["a", "b", "c"].map(|topic| scene.imports.subscribers.last(topic).is_some());
        assert_eq!(kept(), [true; 3]);
        scene.imports.gone("paris");
        assert_eq!(kept(), [false, true, true]);
    }
}
