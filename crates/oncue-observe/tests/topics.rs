//! The topics of a server about itself, as any subscriber reads them.

use std::time::{Duration, Instant};

use oncue::State::Active;
use oncue::proxy::ProxyOptions;
use oncue::{Engine, OnDemand, Options, Proxy, Sub, XPub, XPubEvent, XSub};
use oncue_observe::schema::{
    Demand, Event, Flow, Mesh, Peers, Phase, Routes, Site, State, Stats, What, bytes,
};
use oncue_observe::{Observe, PREFIX};
use serde::de::DeserializeOwned;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    observe: Observe,
    engine: Engine,
    od: OnDemand,
    endpoint: String,
}

fn server() -> Server {
    let engine = Engine::start().unwrap();
    let observe = Observe::new(PREFIX).unwrap();
    let socket = XPub::new(&engine, observe.hide(Options::new().discard_messages(true))).unwrap();
    let endpoint = socket.bind("tcp://127.0.0.1:*").unwrap().to_string();
    observe.bound_to(vec![endpoint.clone()]);
    let failing = observe.clone();
    let routes = OnDemand::on(socket)
        .on_failure(move |feed, failure| failing.failed(feed.topic(), &failure.to_string()))
        .route("n/{n}")
        .catalogue(["n/1", "n/2"])
        .pace(Duration::from_millis(10))
        .every(Duration::from_millis(10), |feed| feed.param("n").to_owned())
        .route("bad")
        .thread(|_| Err("out of order".into()));
    let od = observe.routes(routes).start().unwrap();
    observe.begin(&od);
    Server { observe, engine, od, endpoint }
}

impl Server {
    fn viewer(&self, topics: &[&str]) -> Sub {
        let sub = Sub::new(&self.engine, Options::new()).unwrap();
        sub.connect(&self.endpoint).unwrap();
        for topic in topics {
            sub.subscribe(topic).unwrap();
        }
        sub
    }
}

/// What the next message says.
fn read<T: DeserializeOwned>(sub: &Sub) -> T {
    let message = sub.recv().wait_timeout(PATIENCE).expect("it is produced").unwrap();
    serde_json::from_slice(message.frame(1).unwrap()).expect("as the schema says")
}

/// Reads until what is said holds.
#[track_caller]
fn until<T: DeserializeOwned + std::fmt::Debug>(sub: &Sub, mut holds: impl FnMut(&T) -> bool) -> T {
    let start = Instant::now();
    loop {
        let said: T = read(sub);
        if holds(&said) {
            return said;
        }
        assert!(start.elapsed() < PATIENCE, "{said:?}");
    }
}

#[test]
fn the_routes_are_told_with_their_catalogues_and_without_those_of_these_topics() {
    let server = server();
    let viewer = server.viewer(&["$oncue/routes"]);
    let said: Routes = read(&viewer);
    let patterns: Vec<_> = said.routes.iter().map(|route| route.pattern.as_str()).collect();
    assert_eq!(patterns, ["n/{n}", "bad"]);
    assert_eq!(
        (said.routes[0].catalogue.join(" "), said.routes[0].catalogue_total),
        ("n/1 n/2".to_owned(), 2)
    );
    let wanting = server.viewer(&["n/1"]);
    let busy = until(&viewer, |said: &Routes| said.routes[0].values > 3);
    let route = &busy.routes[0];
    assert_eq!((route.wanted, route.running, route.first_values), (1, 1, 1));
    assert!(route.avoided > 0, "n/2 was not produced");
    drop(wanting);
    until(&viewer, |said: &Routes| said.routes[0].wanted == 0);
}

#[test]
fn demand_is_told_with_who_wants_what_and_what_is_done_about_it() {
    let server = server();
    let viewer = server.viewer(&["$oncue/demand"]);
    let nothing: Demand = read(&viewer);
    assert!(nothing.prefixes.is_empty() && nothing.topics.is_empty(), "{nothing:?}");
    let two = [server.viewer(&["n/1", "nobody/serves/it"]), server.viewer(&["n/"])];
    let said = until(&viewer, |said: &Demand| {
        said.prefixes.len() == 3
            && said.topics.iter().filter(|topic| topic.state == State::Running).count() == 2
    });
    let prefixes: Vec<_> = said.prefixes.iter().map(|of| (of.prefix.as_str(), of.subscribers)).collect();
    assert_eq!(prefixes, [("n/", 1), ("n/1", 1), ("nobody/serves/it", 1)]);
    assert_ne!(said.prefixes[0].peers, said.prefixes[1].peers);
    assert_eq!((said.topics[0].topic.as_str(), said.topics[0].subscribers), ("n/1", 2));
    assert_eq!((said.topics[1].topic.as_str(), said.topics[1].route.as_str()), ("n/2", "n/{n}"));
    drop(two);
    until(&viewer, |said: &Demand| said.prefixes.is_empty() && said.topics.is_empty());
}

#[test]
fn peers_and_stats_are_of_the_whole_server() {
    let server = server();
    let viewer = server.viewer(&["$oncue/peers"]);
    let peers: Peers = read(&viewer);
    assert_eq!((peers.peers_total, peers.refused_total), (1, 0));
    assert_eq!((peers.peers[0].socket_type.as_str(), peers.peers[0].zmtp.as_str()), ("SUB", "3.1"));
    assert_eq!((peers.peers[0].prefixes, &peers.peers[0].endpoint), (1, &server.endpoint));
    let mut stranger = std::net::TcpStream::connect(server.endpoint.trim_start_matches("tcp://")).unwrap();
    std::io::Write::write_all(&mut stranger, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let refused = until(&viewer, |said: &Peers| said.refused_total == 1);
    assert!(refused.refused[0].address.starts_with("tcp://127.0.0.1:"), "{refused:?}");
    let stats: Stats = read(&server.viewer(&["$oncue/stats"]));
    assert_eq!(stats.endpoints, std::slice::from_ref(&server.endpoint));
    assert!(stats.process.is_some_and(|process| process.memory_bytes > 0) && stats.peers >= 1);
}

#[test]
fn a_subscriber_of_everything_gets_none_of_it_and_nothing_is_produced() {
    let server = server();
    let everything = server.viewer(&["", "$", "$oncue"]);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1500) {
        if let Some(message) = everything.recv().wait_timeout(Duration::from_millis(100)) {
            assert!(!message.unwrap().topic().starts_with(PREFIX.as_bytes()));
        }
    }
    let own = server.od.route_stats().into_iter().filter(|route| route.pattern.starts_with(PREFIX));
    assert_eq!(own.map(|route| (route.done.started, route.done.produced)).collect::<Vec<_>>(), [(0, 0); 5]);
}

#[test]
fn events_are_told_as_they_happen_and_only_to_those_that_are_there() {
    let server = server();
    server.observe.failed(b"unseen", "nobody looks");
    let viewer = server.viewer(&["$oncue/events"]);
    while server.od.stats().now.running == 0 {
        std::thread::yield_now();
    }
    // Its watches begin on a thread of its own.
    let mut wanting = Some(server.viewer(&["bad"]));
    let mut seen = Vec::new();
    let start = Instant::now();
    while !["connected", "wanted bad", "failed bad", "unwanted bad", "disconnected"]
        .iter()
        .all(|e| seen.contains(&(*e).to_owned()))
    {
        assert!(start.elapsed() < PATIENCE, "{seen:?}");
        let event: Event = read(&viewer);
        seen.push(match event.what {
            What::Connected { .. } => "connected".to_owned(),
            What::Disconnected { .. } => "disconnected".to_owned(),
            What::Wanted { prefix, .. } => format!("wanted {prefix}"),
            What::Unwanted { prefix, .. } => format!("unwanted {prefix}"),
            What::Failed { topic, error, .. } => {
                assert_eq!(error, "the producer failed: out of order");
                // Its subscriber leaves, once.
                drop(wanting.take());
                format!("failed {topic}")
            }
            other => format!("{other:?}"),
        });
    }
    assert!(seen.iter().all(|event| !event.contains("unseen") && !event.contains("$oncue")), "{seen:?}");
    drop((wanting, viewer));
    let start = Instant::now();
    while server.od.stats().now.running > 0 {
        assert!(start.elapsed() < PATIENCE, "nobody looks any more");
    }
}

#[test]
fn topics_that_are_not_text_are_told_by_their_bytes() {
    let server = server();
    let viewer = server.viewer(&["$oncue/demand"]);
    let odd = Sub::new(&server.engine, Options::new()).unwrap();
    odd.connect(&server.endpoint).unwrap();
    odd.subscribe(b"\xff\x00").unwrap();
    let said = until(&viewer, |said: &Demand| !said.prefixes.is_empty());
    let of = &said.prefixes[0];
    assert_eq!(of.prefix, "\u{fffd}\0");
    assert_eq!(bytes(&of.prefix, of.prefix_base64.as_deref()), b"\xff\x00");
}

/// What a site could say.
fn mesh() -> Mesh {
    let flow = Flow { messages: 3, bytes: 40, batches: 1 };
    let site = Site {
        name: "tokyo".into(),
        epoch: 7,
        phase: Phase::Live,
        heard_seconds: Some(0.5),
        round_trip_seconds: Some(0.25),
        sent: flow,
        received: flow,
        ..Site::default()
    };
    Mesh {
        site: "paris".into(),
        mesh: "lab".into(),
        role: "edge".into(),
        epoch: 9,
        sites: vec![site],
        ..Mesh::default()
    }
}

#[test]
fn a_site_of_a_mesh_tells_about_it_on_a_socket_that_others_use_too() {
    let engine = Engine::start().unwrap();
    let observe = Observe::new(PREFIX).unwrap();
    let socket = XPub::new(&engine, observe.hide(Options::new())).unwrap();
    let endpoint = socket.bind("tcp://127.0.0.1:*").unwrap().to_string();
    assert_eq!(observe.topics(), 5);
    observe.mesh(|| Some(mesh()));
    assert_eq!(observe.topics(), 6);
    // Two readers of the demand of one socket: a proxy, and these routes.
    let frontend = XSub::new(&engine, Options::new()).unwrap();
    let upstream = frontend.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let _proxy = Proxy::with(&frontend, &socket, ProxyOptions::new().keep_last(true)).unwrap();
    let od = observe.mesh_route(OnDemand::on(socket)).start().unwrap();
    assert_eq!(od.route_stats().len(), 1);
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    publisher.connect(&upstream).unwrap();

    let viewer = Sub::new(&engine, Options::new()).unwrap();
    viewer.connect(&endpoint).unwrap();
    for topic in ["$oncue/mesh", "$oncue/stats", "a"] {
        viewer.subscribe(topic).unwrap();
    }
    assert_eq!(read::<Mesh>(&viewer), mesh());
    let mut wanted = Vec::new();
    while wanted.len() < 3 {
        let event = publisher.event().wait_timeout(PATIENCE).expect("the demand passes").unwrap();
        let XPubEvent::Wanted(prefix) = event else { panic!("{event:?}") };
        wanted.push(String::from_utf8(prefix.to_vec()).unwrap());
    }
    wanted.sort();
    assert_eq!(wanted, ["$oncue/mesh", "$oncue/stats", "a"], "the publisher may serve the others");
    publisher.send(("a", "1")).unwrap();
    let start = Instant::now();
    loop {
        let message = viewer.recv().wait_timeout(PATIENCE).expect("it passes").unwrap();
        if message.topic() == b"a" {
            break;
        }
        assert!(start.elapsed() < PATIENCE);
    }
    // These routes say nothing of topics that they do not have.
    let mut states = Vec::new();
    while let Some(state) = viewer.state().wait_timeout(Duration::from_millis(200)) {
        let state = state.unwrap();
        states.push((String::from_utf8_lossy(&state.topic).into_owned(), state.state));
    }
    assert!(states.iter().all(|(topic, state)| topic == "$oncue/mesh" && *state == Active), "{states:?}");
    let everything = Sub::new(&engine, Options::new()).unwrap();
    everything.connect(&endpoint).unwrap();
    everything.subscribe("").unwrap();
    let first = everything.recv().wait_timeout(PATIENCE).expect("the last value").unwrap();
    assert_eq!(first.topic(), b"a", "it is hidden from subscribers of everything");
}

#[test]
fn a_prefix_that_is_no_beginning_of_topics_is_refused() {
    for prefix in ["", "a{b", "a\n"] {
        assert!(Observe::new(prefix).err().unwrap().to_string().contains("$oncue/"));
    }
}

#[test]
fn the_page_names_every_field() {
    let page = include_str!("../../../docs/OBSERVE.md");
    let server = server();
    let peer = server.viewer(&["n/1", "bad"]);
    let mut names = std::collections::BTreeSet::new();
    for topic in ["stats", "routes", "demand", "peers"] {
        let viewer = server.viewer(&[&format!("{PREFIX}{topic}")]);
        for _ in 0..2 {
            names_of(&read(&viewer), &mut names);
        }
    }
    names_of(&serde_json::to_value(mesh()).unwrap(), &mut names);
    assert!(names.len() > 80, "{names:?}");
    for name in names {
        assert!(
            page.contains(&format!("`{name}`")) || page.contains(&format!("\"{name}\"")),
            "{name} is missing"
        );
    }
    drop(peer);
}

fn names_of(value: &serde_json::Value, names: &mut std::collections::BTreeSet<String>) {
    match value {
        serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            names.insert(name.clone());
            names_of(value, names);
        }),
        serde_json::Value::Array(values) => values.iter().for_each(|value| names_of(value, names)),
        _ => {}
    }
}
