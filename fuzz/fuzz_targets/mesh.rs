//! What other sites of a mesh send: any payloads of two sites that are not genuine, beside a genuine one whose payloads may be lost or
//! come again. Nothing panics, each output makes sense, bounds hold, and in the end the demand of the genuine one is exact.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use oncue_core::mesh::data::{Batch, Item};
use oncue_core::mesh::{Log, Output, Phase, Quotas, Sites, Stream};
use oncue_fuzz::script::Script;

const QUOTAS: Quotas =
    Quotas { sites: 3, gone: 1, prefixes: 4, prefix_bytes: 40, prefix_len: 16, pending_bytes: 300 };
const TIMEOUT: Duration = Duration::from_secs(2);
const NAMES: [&str; 4] = ["forged", "stranger", "own", ""];
const GENUINE: &str = "genuine";
const EPOCH: u64 = 5;
const PREFIXES: [&[u8]; 4] = [b"", b"a", b"a/b", b"\xff"];

struct World {
    sites: Sites,
    now: Duration,
    log: Log,
    truth: BTreeSet<&'static [u8]>,
    /// What was told of each site that is up.
    up: BTreeMap<String, (u64, BTreeSet<Vec<u8>>)>,
    asked: bool,
    stream: Stream,
    fenced: bool,
}

fuzz_target!(|data: &[u8]| {
    let mut world = World {
        sites: Sites::new("own", EPOCH, TIMEOUT, QUOTAS, 1),
        now: Duration::ZERO,
        log: Log::new(EPOCH, 2),
        truth: BTreeSet::new(),
        up: BTreeMap::new(),
        asked: false,
        stream: Stream::new(),
        fenced: false,
    };
    let mut script = Script(data);
    while !script.is_over() {
        world.step(&mut script);
        world.check();
    }
    world.settle();
});

impl World {
    fn step(&mut self, script: &mut Script<'_>) {
        let (kind, name) = (script.byte() % 12, NAMES[script.below(4)]);
        let (sites, now) = (&mut self.sites, self.now);
        // A malformed payload is refused.
        let _ = match kind {
            0 => sites.token(name, script.byte().into(), script.flag(), now),
            1 => sites.heartbeat(name, &payload(script, 1), now),
            2 => sites.delta(name, &payload(script, 2), now),
            3 => sites.snapshot(name, script.byte().into(), Some(&payload(script, 3)), now),
            4 => sites.snapshot(name, script.byte().into(), None, now),
            5 => return self.change(script),
            6 => return self.tell(script.below(3)),
            7 => sites.heartbeat(GENUINE, &self.log.heartbeat(), now),
            8 => sites.token(GENUINE, script.byte().min(EPOCH as u8).into(), script.flag(), now),
            9 => {
                let answer = script.flag().then(|| self.log.snapshot());
                sites.snapshot(GENUINE, EPOCH, answer.as_deref(), now)
            }
            10 => {
                self.now += Duration::from_millis(20 * u64::from(script.byte()));
                return sites.tick(self.now);
            }
            _ => return batch(&mut self.stream, &payload(script, 4)),
        };
    }

    fn change(&mut self, script: &mut Script<'_>) {
        let (prefix, wanted) = (PREFIXES[script.below(4)], script.flag());
        let news = if wanted { self.truth.insert(prefix) } else { self.truth.remove(prefix) };
        assert_eq!(self.log.change(prefix, wanted), Ok(news));
    }

    /// The genuine site tells its next delta, which comes so many times.
    fn tell(&mut self, times: usize) {
        let Some(delta) = self.log.take_delta(30) else { return };
        for _ in 0..times {
            self.sites.delta(GENUINE, &delta, self.now).expect("it is genuine");
        }
    }

    fn check(&mut self) {
        while let Some(output) = self.sites.pop() {
            self.note(output);
        }
        let mut alive = 0;
        for info in self.sites.infos() {
            let bytes: usize = self.sites.prefixes(info.name).map(<[u8]>::len).sum();
            assert!(self.sites.prefixes(info.name).all(|prefix| prefix.len() <= QUOTAS.prefix_len));
            assert!(info.prefixes <= QUOTAS.prefixes && bytes <= QUOTAS.prefix_bytes);
            assert!(info.pending_bytes <= QUOTAS.pending_bytes);
            let is_up = matches!(info.phase, Phase::Live | Phase::Joining);
            alive += usize::from(is_up);
            let told = self.up.get(info.name);
            assert_eq!(told.is_some(), is_up);
            assert!(told.is_none_or(|(epoch, prefixes)| {
                *epoch == info.epoch && self.sites.prefixes(info.name).all(|prefix| prefixes.contains(prefix))
            }));
            assert_eq!(told.map_or(0, |(_, prefixes)| prefixes.len()), info.prefixes);
        }
        assert!(alive <= QUOTAS.sites && self.sites.infos().count() <= QUOTAS.sites + QUOTAS.gone);
    }

    fn note(&mut self, output: Output) {
        match output {
            Output::Up { site, epoch } => {
                assert!(self.up.insert(site.to_string(), (epoch, BTreeSet::new())).is_none());
            }
            Output::Down { site, epoch, .. } => assert_eq!(self.up.remove(&*site).unwrap().0, epoch),
            Output::Ask { site, epoch } => {
                assert_eq!(self.up[&*site].0, epoch);
                self.asked |= &*site == GENUINE;
            }
            Output::Changes { site, epoch, changes } => {
                let (up, prefixes) = self.up.get_mut(&*site).unwrap();
                assert_eq!(*up, epoch);
                for (prefix, wanted) in changes {
                    let prefix = prefix.to_vec();
                    assert!(if wanted { prefixes.insert(prefix) } else { prefixes.remove(&prefix) });
                }
            }
            Output::Fenced { epoch } => {
                assert!(epoch > EPOCH && !self.fenced);
                self.fenced = true;
            }
        }
    }

    /// The genuine site tells the rest, which is lost, and then is heard and answers.
    fn settle(&mut self) {
        while self.log.has_untold() {
            self.tell(0);
        }
        for _ in 0..8 {
            self.now += Duration::from_millis(700);
            self.sites.heartbeat(GENUINE, &self.log.heartbeat(), self.now).expect("it is genuine");
            self.sites.tick(self.now);
            self.asked = false;
            self.check();
            let answer = self.log.snapshot();
            self.sites.snapshot(GENUINE, EPOCH, Some(&answer), self.now).expect("it is genuine");
            self.check();
        }
        let (epoch, prefixes) = &self.up[GENUINE];
        assert_eq!(*epoch, EPOCH);
        assert!(prefixes.iter().map(|prefix| &prefix[..]).eq(self.truth.iter().copied()));
        assert!(!self.asked, "there is nothing to ask for any more");
    }
}

/// Any bytes, mostly after the right beginning.
fn payload(script: &mut Script<'_>, kind: u8) -> Vec<u8> {
    let head = script.byte();
    let len = script.byte().into();
    let body = script.bytes(len);
    if head == 0 { body.to_vec() } else { [&[1, kind], body].concat() }
}

/// A batch is refused, or its messages are whole.
fn batch(stream: &mut Stream, payload: &[u8]) {
    let Ok(batch) = Batch::decode(payload) else { return };
    let mut total = 0;
    for item in batch.items() {
        total += match item {
            Item::Messages { count, wire } => {
                assert!(2 * count <= payload[wire].len() as u64);
                count
            }
            Item::State(_) => 1,
        };
    }
    assert_eq!(total, batch.head.count);
    let verdict = stream.accept(&batch.head);
    assert!(verdict.skip <= batch.head.count);
    assert!(verdict.lost == 0 || verdict.skip == 0);
}
