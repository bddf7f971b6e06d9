//! What happens when descriptors run out. A test program of its own, since it lowers the limit of the whole process.

use std::fs::File;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use oncue::{Endpoint, Engine, EngineOptions, Options, Sub, XPub, raise_descriptor_limit};

#[test]
fn peers_leave_some_descriptors_and_are_accepted_again_when_others_have_gone() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let engine = Engine::with(EngineOptions::new().descriptors_reserved(12)).unwrap();
    let publisher = XPub::new(&engine, Options::new()).unwrap();
    let Ok(Endpoint::Tcp { port, .. }) = publisher.bind("tcp://127.0.0.1:0") else {
        panic!("a TCP endpoint")
    };
    let until = Instant::now() + Duration::from_secs(20);
    // Both ends of each connection are in this process.
    let mut peers = Vec::new();
    while publisher.stats().accepts_paused == 0 {
        assert!(Instant::now() < until && peers.len() < 64, "{} were accepted", peers.len());
        peers.push(TcpStream::connect(("127.0.0.1", port)).unwrap());
        std::thread::sleep(Duration::from_millis(5));
    }
    let news = publisher.turned_away().wait().unwrap();
    assert!(news.descriptors > 0 && news.to_string().contains("descriptors"), "{news}");
    // One at a time is accepted and closed.
    let files: Vec<_> = (0..8).map(|_| File::open("/dev/null").unwrap()).collect();
    drop((files, peers));

    assert_eq!(raise_descriptor_limit(), Some(64));
    assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
    let subscriber = Sub::new(&engine, Options::new()).unwrap();
    subscriber.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
    while publisher.stats().peers == 0 {
        assert!(Instant::now() < until, "nobody is accepted any more");
        std::thread::sleep(Duration::from_millis(5));
    }
}
