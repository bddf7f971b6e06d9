//! What is played, and what is true then. Each history is a function that plays one; [`ALL`] lists them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use oncue_interop::raw::Version;

use crate::driver::topic;
use crate::peer::{Peer, Port};
use crate::stage::Stage;
use crate::verdict::{Found, Verdict, thousands};
use crate::{Step, Trouble};

/// One history.
pub struct History {
    /// Its short name.
    pub name: &'static str,
    /// What happens, for a reader.
    pub what: &'static str,
    play: fn(&Stage) -> Step<Found>,
}

const fn history(name: &'static str, what: &'static str, play: fn(&Stage) -> Step<Found>) -> History {
    History { name, what, play }
}

/// All histories.
pub const ALL: &[History] = &[
    history(
        "foreign cancel",
        "One peer subscribes to `A`; another one, which never had it, cancels `A`.",
        foreign_cancel,
    ),
    history(
        "twice, cancelled once",
        "One peer subscribes to `A` twice and cancels it once: what a SUB of libzmq sends whose user subscribes twice and \
         unsubscribes twice.",
        twice_cancelled_once,
    ),
    history(
        "twice, by two peers",
        "Two peers subscribe to `A`; one cancels, then the other one.",
        twice_by_two_peers,
    ),
    history("reset", "A peer subscribes to `A` and `B`, and its connection is reset.", reset),
    history(
        "many leave at once",
        "100 peers subscribe to `A` and to a topic of their own; all close at once.",
        many_leave_at_once,
    ),
    history(
        "silent peer, heartbeats",
        "A peer of ZMTP 3.1 subscribes and falls silent, its connection open; the publisher sends heartbeats.",
        silent_peer,
    ),
    history(
        "silent peer, its own TTL",
        "A peer of ZMTP 3.1 subscribes, says in a PING that 0.5 s of silence mean its end, and falls silent. The \
         publisher has no option set.",
        silent_peer_with_ttl,
    ),
    history(
        "later frame",
        "A peer sends a message of two frames, `hi` and a byte 1 with `Q`. What is true is what the publisher does: is a \
         message on `Q` sent to this peer?",
        later_frame,
    ),
    history(
        "connecting publisher, peer lost",
        "An XPUB connects to a peer that subscribes to `A` and `B`, and never comes back.",
        connecting_publisher,
    ),
    history(
        "connecting publisher, fewer prefixes",
        "An XPUB connects to a peer that subscribes to `A`, `B` and `C`; the connection breaks; the peer comes back and \
         subscribes to `A` alone.",
        fewer_prefixes,
    ),
    history(
        "burst of subscriptions",
        "A connected SUB subscribes to 3,000 topics without a pause, and then unsubscribes from all. Judged is what the \
         publisher receives.",
        burst,
    ),
    history(
        "past the mark",
        "3,000 messages of 20,000 bytes to a subscriber that reads only afterwards. Judged is whether the publisher's user \
         learns how many were missed.",
        past_the_mark,
    ),
    history(
        "proxy killed",
        "An XPUB connects to the implementation's own proxy; a subscriber behind it wants `A` and `B`; the proxy is \
         killed; it comes back, and the subscriber wants `A` alone.",
        proxy_killed,
    ),
    history(
        "cancels through a proxy",
        "A subscriber behind the implementation's own proxy subscribes to 900 topics and then cancels all, five \
         times.",
        cancels_through_a_proxy,
    ),
];

impl History {
    /// Plays it.
    pub fn play(&self, stage: &Stage) -> Found {
        (self.play)(stage).unwrap_or_else(|trouble| {
            let (verdict, told) = match trouble {
                Trouble::Ended => (Verdict::Ended, "its program ended".to_owned()),
                Trouble::Cannot(why) => (Verdict::Cannot, why),
                Trouble::Late(what) => (Verdict::False, format!("{what} did not come")),
            };
            Found { verdict, truth: String::new(), told }
        })
    }
}

fn foreign_cancel(stage: &Stage) -> Step<Found> {
    let mut publisher = stage.bound()?;
    let mut owner = stage.subscriber(&publisher.endpoint)?;
    let mut other = stage.subscriber(&publisher.endpoint)?;
    owner.subscribe(b"A")?;
    publisher.barrier(&mut owner)?;
    other.cancel(b"A")?;
    publisher.barrier(&mut other)?;
    publisher.quiet("after the cancel", &["A"])?;
    Ok(publisher.found(1, 0))
}

fn twice_cancelled_once(stage: &Stage) -> Step<Found> {
    let mut publisher = stage.bound()?;
    let mut peer = stage.subscriber(&publisher.endpoint)?;
    peer.subscribe(b"A")?;
    peer.subscribe(b"A")?;
    publisher.barrier(&mut peer)?;
    publisher.quiet("after both subscriptions", &["A"])?;
    peer.cancel(b"A")?;
    publisher.barrier(&mut peer)?;
    publisher.quiet("after the cancel", &[])?;
    Ok(publisher.found(1, 1))
}

fn twice_by_two_peers(stage: &Stage) -> Step<Found> {
    let mut publisher = stage.bound()?;
    let mut peers = [stage.subscriber(&publisher.endpoint)?, stage.subscriber(&publisher.endpoint)?];
    for peer in &mut peers {
        peer.subscribe(b"A")?;
        publisher.barrier(peer)?;
    }
    let [first, second] = &mut peers;
    first.cancel(b"A")?;
    publisher.barrier(first)?;
    publisher.quiet("after the first cancel", &["A"])?;
    second.cancel(b"A")?;
    publisher.barrier(second)?;
    publisher.quiet("after both cancels", &[])?;
    Ok(publisher.found(1, 1))
}

fn reset(stage: &Stage) -> Step<Found> {
    let mut publisher = stage.bound()?;
    let mut peer = stage.subscriber(&publisher.endpoint)?;
    peer.subscribe(b"A")?;
    peer.subscribe(b"B")?;
    publisher.barrier(&mut peer)?;
    publisher.quiet("before the reset", &["A", "B"])?;
    peer.reset()?;
    publisher.quiet("after the reset", &[])?;
    Ok(publisher.found(2, 2))
}

fn many_leave_at_once(stage: &Stage) -> Step<Found> {
    const PEERS: usize = 100;
    let mut publisher = stage.bound()?;
    let mut peers = Vec::new();
    let mut wanted = BTreeSet::from([b"A".to_vec()]);
    for number in 0..PEERS {
        let mut peer = stage.subscriber(&publisher.endpoint)?;
        peer.subscribe(b"A")?;
        peer.subscribe(&topic(number))?;
        wanted.insert(topic(number));
        publisher.barrier(&mut peer)?;
        peers.push(peer);
    }
    publisher.quiet_set("while all are there", &wanted)?;
    drop(peers);
    publisher.quiet("after all have closed", &[])?;
    Ok(publisher.found(PEERS + 1, PEERS + 1))
}

fn silent_peer(stage: &Stage) -> Step<Found> {
    let mut publisher = stage.bound_with_heartbeat()?;
    // It announces 3.1, which has PING; some that announce 3.0 send it all the same.
    let mut peer = Peer::connect(&publisher.endpoint, "SUB", Version::V3_1, stage.patience)?;
    peer.subscribe(b"A")?;
    publisher.quiet("at first", &["A"])?;
    publisher.quiet("when heartbeats were not answered", &[])?;
    drop(peer);
    Ok(publisher.found(1, 1))
}

fn silent_peer_with_ttl(stage: &Stage) -> Step<Found> {
    let mut publisher = stage.bound()?;
    let mut peer = Peer::connect(&publisher.endpoint, "SUB", Version::V3_1, stage.patience)?;
    if peer.version() != Version::V3_1 {
        return Err(Trouble::Cannot("it announces ZMTP 3.0, which has no PING".to_owned()));
    }
    peer.subscribe(b"A")?;
    publisher.barrier(&mut peer)?;
    publisher.quiet("at first", &["A"])?;
    peer.ping(Duration::from_millis(500))?;
    publisher.quiet("when its TTL was over", &[])?;
    drop(peer);
    Ok(publisher.found(1, 1))
}

fn later_frame(stage: &Stage) -> Step<Found> {
    let mut publisher = stage.bound()?;
    let mut peer = stage.subscriber(&publisher.endpoint)?;
    peer.send(&[b"hi", b"\x01Q"])?;
    let barrier = publisher.barrier(&mut peer)?;
    publisher.send(b"Q1")?;
    // It comes after a message on `Q`, if that comes.
    publisher.send(&barrier)?;
    let mut in_force = BTreeSet::new();
    loop {
        let frame = peer.frame(stage.patience)?.ok_or(Trouble::Late("a message"))?;
        if !frame.is_command && frame.body == barrier {
            break;
        }
        if !frame.is_command && frame.body == b"Q1" {
            in_force.insert(b"Q".to_vec());
        }
    }
    publisher.quiet_set("after the message", &in_force)?;
    Ok(publisher.found(in_force.len(), 0))
}

fn connecting_publisher(stage: &Stage) -> Step<Found> {
    let port = Port::new()?;
    let (mut publisher, mut peer) = stage.connected(&port)?;
    peer.subscribe(b"A")?;
    peer.subscribe(b"B")?;
    publisher.barrier(&mut peer)?;
    publisher.quiet("before the loss", &["A", "B"])?;
    drop((port, peer));
    publisher.quiet("after the loss", &[])?;
    Ok(publisher.found(2, 2))
}

fn fewer_prefixes(stage: &Stage) -> Step<Found> {
    let port = Port::new()?;
    let (mut publisher, mut peer) = stage.connected(&port)?;
    for prefix in [b"A", b"B", b"C"] {
        peer.subscribe(prefix)?;
    }
    publisher.barrier(&mut peer)?;
    publisher.quiet("before the loss", &["A", "B", "C"])?;
    drop(peer);
    let mut peer = match stage.accept(&port) {
        Ok(peer) => peer,
        Err(Trouble::Late(_)) => {
            publisher.quiet("after the loss, without a new connection", &[])?;
            return Ok(publisher.found(3, 3));
        }
        Err(trouble) => return Err(trouble),
    };
    peer.subscribe(b"A")?;
    publisher.barrier(&mut peer)?;
    publisher.quiet("after the return", &["A"])?;
    Ok(publisher.found(4, 3))
}

fn burst(stage: &Stage) -> Step<Found> {
    const TOPICS: usize = 3000;
    let port = Port::new()?;
    let mut driver = stage.driver()?;
    driver.ask("new sub", stage.patience)?;
    driver.tell(&format!("connect {}", port.endpoint()))?;
    let mut peer = port.accept("XPUB", stage.version, stage.patience)?;
    driver.answer(stage.patience)?.ok_or(Trouble::Late("the end of `connect`"))?;
    let mut received = BTreeSet::new();
    let mut report = Vec::new();
    for (order, count) in [("subscribe_many", TOPICS), ("unsubscribe_many", 0)] {
        driver.ask(&format!("{order} {TOPICS}"), stage.patience)?;
        while received.len() != count {
            let Some(frame) = peer.frame(stage.patience)? else { break };
            match frame.change() {
                Some((true, prefix)) => _ = received.insert(prefix.to_vec()),
                Some((false, prefix)) => _ = received.remove(prefix),
                None => {}
            }
        }
        report.push((received.len(), count));
    }
    let shown = |[wanted, rest]: [usize; 2]| {
        format!("{} subscriptions, and then {} left", thousands(wanted), thousands(rest))
    };
    let (told, truth) = (report.iter().map(|(told, _)| *told), report.iter().map(|(_, truth)| *truth));
    let is_true = told.clone().eq(truth.clone());
    let both = |counts: Vec<usize>| <[usize; 2]>::try_from(counts).map(shown).unwrap_or_default();
    Ok(Found {
        verdict: if is_true { Verdict::True } else { Verdict::False },
        truth: both(truth.collect()),
        told: both(told.collect()),
    })
}

fn past_the_mark(stage: &Stage) -> Step<Found> {
    const MESSAGES: usize = 3000;
    const BYTES: usize = 20_000;
    const SILENCE: Duration = Duration::from_millis(200);
    let mut publisher = stage.bound()?;
    let mut peer = stage.subscriber(&publisher.endpoint)?;
    peer.subscribe(b"T")?;
    publisher.barrier(&mut peer)?;
    let driver = &mut publisher.driver;
    driver.tell(&format!("flood {MESSAGES} {BYTES}"))?;
    // RFC 29: a publisher does not wait for a subscriber.
    let waits = driver.answer(stage.patience)?.is_none();
    let mut arrived = 0;
    let mut told: Step<usize> = Ok(0);
    let mut last_arrival = Instant::now();
    while arrived < MESSAGES && last_arrival.elapsed() < stage.patience {
        if let Some(frame) = peer.frame(SILENCE)? {
            arrived += usize::from(!frame.is_command && frame.body.len() == BYTES);
            last_arrival = Instant::now();
            continue;
        }
        // What the counters say may lag behind what was written, and what was written behind what was read.
        if !waits {
            told = driver.ask("missed", stage.patience).map(|count| count.parse().unwrap_or(0));
            if told == Ok(MESSAGES - arrived) {
                break;
            }
        }
    }
    let missed = MESSAGES - arrived;
    let truth = format!("{} arrived, {} missed", thousands(arrived), thousands(missed));
    let waited = if waits { ", and waited for the slow subscriber" } else { "" };
    let (verdict, told) = match told {
        Ok(count) if !waits => (count == missed, format!("{} missed", thousands(count))),
        Ok(_) | Err(Trouble::Cannot(_)) => (missed == 0, format!("every send succeeded{waited}")),
        Err(trouble) => return Err(trouble),
    };
    Ok(Found { verdict: if verdict { Verdict::True } else { Verdict::False }, truth, told })
}

fn proxy_killed(stage: &Stage) -> Step<Found> {
    let (mut proxy, above, below) = proxy(stage, "proxy")?;
    let mut publisher = stage.connected_to(&above)?;
    let mut peer = stage.subscriber(&below)?;
    peer.subscribe(b"A")?;
    peer.subscribe(b"B")?;
    publisher.quiet("at first", &["A", "B"])?;
    drop((proxy, peer));
    publisher.quiet("after the proxy's end", &[])?;
    (proxy, _, _) = self::proxy(stage, &format!("proxy {above} {below}"))?;
    let mut peer = stage.subscriber(&below)?;
    peer.subscribe(b"A")?;
    publisher.quiet("after its return", &["A"])?;
    drop(proxy);
    Ok(publisher.found(3, 2))
}

fn cancels_through_a_proxy(stage: &Stage) -> Step<Found> {
    const TOPICS: usize = 900;
    /// In one round the proxy may be quick enough by chance.
    const ROUNDS: usize = 5;
    let (_proxy, above, below) = proxy(stage, "proxy")?;
    let mut publisher = stage.connected_to(&above)?;
    let mut peer = stage.subscriber(&below)?;
    let topics = || (0..TOPICS).map(topic);
    for _ in 0..ROUNDS {
        peer.change_many(true, topics())?;
        publisher.quiet_set("after the subscriptions", &topics().collect())?;
        peer.change_many(false, topics())?;
        publisher.quiet("after the cancels", &[])?;
        if !publisher.is_right_so_far() {
            break;
        }
    }
    Ok(publisher.found(ROUNDS * TOPICS, ROUNDS * TOPICS))
}

/// The implementation's own proxy in a process of its own, and its two endpoints.
fn proxy(stage: &Stage, order: &str) -> Step<(crate::driver::Driver, String, String)> {
    let mut driver = stage.driver()?;
    let endpoints = driver.ask(order, stage.patience)?;
    let (above, below) = endpoints.split_once(' ').ok_or(Trouble::Late("two endpoints of the proxy"))?;
    Ok((driver, above.to_owned(), below.to_owned()))
}
