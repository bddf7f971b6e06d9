//! Every pair of socket types against libzmq, with either side binding: exactly the messages of the subscribed topics arrive,
//! byte for byte and in order.

use oncue::{Engine, Options, Pub, Sub, XPub, XSub};
use oncue_interop::exchange::check;
use oncue_interop::foreign::Foreign;
use oncue_interop::peers::Binds;
use oncue_interop::within_a_minute;

const TCP: &str = "tcp://127.0.0.1:*";
const TCP_V6: &str = "tcp://[::1]:*";

/// Our publisher with their subscriber, and our subscriber with their publisher.
macro_rules! pair {
    ($name:ident: our $ours:ident publishes to $theirs:literal, $binds:ident binds $endpoint:expr) => {
        #[test]
        fn $name() {
            within_a_minute(|| {
                let engine = Engine::start().expect("an engine");
                let mut publisher = $ours::new(&engine, Options::new()).expect("our publisher");
                let mut subscriber = Foreign::new($theirs);
                check(&mut publisher, &mut subscriber, Binds::$binds, $endpoint);
            });
        }
    };
    ($name:ident: our $ours:ident subscribes to $theirs:literal, $binds:ident binds $endpoint:expr) => {
        #[test]
        fn $name() {
            within_a_minute(|| {
                let engine = Engine::start().expect("an engine");
                let mut subscriber = $ours::new(&engine, Options::new()).expect("our subscriber");
                let mut publisher = Foreign::new($theirs);
                check(&mut publisher, &mut subscriber, Binds::$binds, $endpoint);
            });
        }
    };
}

pair!(our_pub_binds_to_their_sub: our Pub publishes to "SUB", Publisher binds TCP);
pair!(our_pub_connects_to_their_sub: our Pub publishes to "SUB", Subscriber binds TCP);
pair!(our_pub_binds_to_their_xsub: our Pub publishes to "XSUB", Publisher binds TCP);
pair!(our_pub_connects_to_their_xsub: our Pub publishes to "XSUB", Subscriber binds TCP);
pair!(our_xpub_binds_to_their_sub: our XPub publishes to "SUB", Publisher binds TCP);
pair!(our_xpub_connects_to_their_sub: our XPub publishes to "SUB", Subscriber binds TCP);
pair!(our_xpub_binds_to_their_xsub: our XPub publishes to "XSUB", Publisher binds TCP);
pair!(our_xpub_connects_to_their_xsub: our XPub publishes to "XSUB", Subscriber binds TCP);

pair!(our_sub_connects_to_their_pub: our Sub subscribes to "PUB", Publisher binds TCP);
pair!(our_sub_binds_to_their_pub: our Sub subscribes to "PUB", Subscriber binds TCP);
pair!(our_sub_connects_to_their_xpub: our Sub subscribes to "XPUB", Publisher binds TCP);
pair!(our_sub_binds_to_their_xpub: our Sub subscribes to "XPUB", Subscriber binds TCP);
pair!(our_xsub_connects_to_their_pub: our XSub subscribes to "PUB", Publisher binds TCP);
pair!(our_xsub_binds_to_their_pub: our XSub subscribes to "PUB", Subscriber binds TCP);
pair!(our_xsub_connects_to_their_xpub: our XSub subscribes to "XPUB", Publisher binds TCP);
pair!(our_xsub_binds_to_their_xpub: our XSub subscribes to "XPUB", Subscriber binds TCP);

/// An ipc endpoint with a path that no other test uses.
fn ipc(name: &str) -> String {
    let directory = std::env::temp_dir();
    format!("ipc://{}/oncue-interop-{}-{name}", directory.display(), std::process::id())
}

pair!(our_pub_binds_ipc_to_their_sub: our Pub publishes to "SUB", Publisher binds &ipc("a"));
pair!(our_xpub_connects_ipc_to_their_sub: our XPub publishes to "SUB", Subscriber binds &ipc("b"));
pair!(our_sub_connects_ipc_to_their_pub: our Sub subscribes to "PUB", Publisher binds &ipc("c"));
pair!(our_xsub_binds_ipc_to_their_xpub: our XSub subscribes to "XPUB", Subscriber binds &ipc("d"));
pair!(our_pub_binds_an_abstract_name: our Pub publishes to "SUB", Publisher binds &ipc("e").replace("//", "//@"));
pair!(our_sub_connects_to_an_abstract_name: our Sub subscribes to "PUB", Publisher binds &ipc("f").replace("//", "//@"));

/// Whether this machine has IPv6.
fn has_v6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn both_ways_over_ipv6() {
    if !has_v6() {
        return;
    }
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let mut publisher = XPub::new(&engine, Options::new()).expect("our publisher");
        let mut subscriber = Foreign::new("SUB").set("IPV6", 1);
        check(&mut publisher, &mut subscriber, Binds::Publisher, TCP_V6);
        let mut subscriber = Sub::new(&engine, Options::new()).expect("our subscriber");
        let mut publisher = Foreign::new("PUB").set("IPV6", 1);
        check(&mut publisher, &mut subscriber, Binds::Publisher, TCP_V6);
    });
}
