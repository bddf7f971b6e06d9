//! Three sites of a mesh as processes, with libzmq's publisher and its subscribers.

use std::collections::BTreeSet;
use std::net::TcpListener;

use oncue_interop::directory::Directory;
use oncue_interop::foreign::{Foreign, oncue};
use oncue_interop::program::Program;
use oncue_interop::within_a_minute;

const NAMES: [&str; 3] = ["lima", "paris", "tokyo"];

/// A node, and where publishers and subscribers of its site connect.
struct Node {
    _program: Program,
    publishers: String,
    subscribers: String,
}

/// An `oncue mesh` for each name.
fn nodes(directory: &Directory) -> Vec<Node> {
    let sites: Vec<_> = NAMES
        .iter()
        .map(|name| {
            // Free now: Zenoh's endpoints are known before they are bound.
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            format!("{name} = \"tcp/{}\"", listener.local_addr().expect("an address"))
        })
        .collect();
    let link = format!("[link]\nrole = \"peer\"\nsites = {{ {} }}\n", sites.join(", "));
    let start = |name: &str| {
        let sockets = "publishers_bind = \"tcp://127.0.0.1:0\"\nsubscribers = \"tcp://127.0.0.1:0\"\n";
        let path = directory.write(format!("{name}.toml"), &format!("site = \"{name}\"\n{sockets}{link}"));
        let mut program = Program::start(&mut oncue(&["mesh", path.to_str().expect("text")]));
        let mut at = |side: &str| loop {
            if let Some((_, endpoint)) = program.error_line().split_once(side) {
                return endpoint.to_owned();
            }
        };
        let (publishers, subscribers) = (at("publishers: bound to "), at("subscribers: bound to "));
        Node { _program: program, publishers, subscribers }
    };
    NAMES.iter().map(|name| start(name)).collect()
}

#[test]
fn their_publisher_is_told_what_their_subscribers_of_three_sites_want() {
    within_a_minute(|| {
        let directory = Directory::new();
        let nodes = nodes(&directory);
        let mut publisher = Foreign::new("XPUB");
        publisher.connect(&nodes[1].publishers);
        let mut subscribers: Vec<_> = nodes
            .iter()
            .zip(NAMES)
            .map(|(node, name)| {
                let mut subscriber = Foreign::new("SUB");
                subscriber.subscribe(b"all");
                subscriber.subscribe(name.as_bytes());
                subscriber.connect(&node.subscribers);
                subscriber
            })
            .collect();
        let told = |publisher: &mut Foreign, count: usize| -> BTreeSet<Vec<u8>> {
            (0..count).map(|_| publisher.recv().concat()).collect()
        };
        let expected: [&[u8]; 4] = [b"\x01all", b"\x01lima", b"\x01paris", b"\x01tokyo"];
        let expected: BTreeSet<_> = expected.iter().map(|event| event.to_vec()).collect();
        assert_eq!(told(&mut publisher, 4), expected, "each prefix once");
        for name in NAMES {
            publisher.send(&[b"all", name.as_bytes()]);
        }
        for name in NAMES {
            publisher.send(&[name.as_bytes(), b"own"]);
        }
        for (subscriber, own) in subscribers.iter_mut().zip(NAMES) {
            for name in NAMES {
                assert_eq!(subscriber.recv(), [&b"all"[..], name.as_bytes()], "in order");
            }
            assert_eq!(subscriber.recv(), [own.as_bytes(), b"own"]);
        }
        drop(subscribers.remove(2));
        assert_eq!(publisher.recv().concat(), b"\x00tokyo");
        drop(subscribers);
        let gone: [&[u8]; 3] = [b"\x00all", b"\x00lima", b"\x00paris"];
        assert_eq!(told(&mut publisher, 3), gone.iter().map(|event| event.to_vec()).collect());
    });
}
