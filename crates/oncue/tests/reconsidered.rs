//! Who was let in or allowed something, and is not any more: also where that changes while it is decided, and where a file looks as before.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use oncue::authenticators::{KeyDirectory, Passwords, hash_password};
use oncue::curve::{self, Certificate};
use oncue::{Admission, Authenticator, Case, Engine, Options, Sub, User, XPub};
use oncue_interop::directory::Directory;
use oncue_interop::{until, within_a_minute};

/// Lets in everybody as "ann", as long as it knows her.
#[derive(Clone)]
struct Ann(Arc<AtomicBool>);

impl Authenticator for Ann {
    fn authenticate(&self, case: Case) {
        match self.still_knows(&User::new("ann")) {
            true => case.accept(User::new("ann")),
            false => case.refuse("unknown"),
        }
    }

    fn still_knows(&self, _: &User) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

fn greeting(mechanism: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1];
    bytes.extend_from_slice(mechanism);
    bytes.resize(64, 0);
    bytes
}

#[test]
fn a_user_that_is_removed_within_its_handshake_does_not_get_in() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let knows = Ann(Arc::new(AtomicBool::new(true)));
        let publisher = XPub::new(&engine, Options::new().plain_server(knows.clone())).unwrap();
        let at = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let mut peer = TcpStream::connect(at.strip_prefix("tcp://").unwrap()).unwrap();
        peer.write_all(&greeting(b"PLAIN")).unwrap();
        peer.write_all(b"\x04\x0c\x05HELLO\x03ann\x01x").unwrap();
        let mut bytes = [0; 64 + 10];
        peer.read_exact(&mut bytes).unwrap();
        assert!(bytes.ends_with(b"\x07WELCOME"));
        // She is let in, and is in the middle of her handshake.
        knows.0.store(false, Ordering::SeqCst);
        publisher.reconsider();
        peer.write_all(b"\x04\x1c\x08INITIATE\x0bSocket-Type\0\0\0\x03SUB").unwrap();
        peer.write_all(b"\x04\x0b\x09SUBSCRIBEx").unwrap();
        thread::sleep(Duration::from_millis(300));
        assert!(publisher.peers().unwrap().is_empty(), "{:?}", publisher.peers());
        assert!(!publisher.wanted("x"));
    });
}

#[test]
fn what_was_allowed_while_permissions_changed_is_asked_about_again() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let (allows, calls) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let barrier = Arc::new(Barrier::new(2));
        let (now, count, meets) = (allows.clone(), calls.clone(), barrier.clone());
        let options = Options::new().admission(move |_| {
            let answer =
                if now.load(Ordering::SeqCst) { Admission::Accept } else { Admission::Reject("no".into()) };
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                // The answer is made; now the permissions change.
                meets.wait();
                meets.wait();
            }
            answer
        });
        let publisher = XPub::new(&engine, options).unwrap();
        let subscriber = Sub::new(&engine, Options::new()).unwrap();
        subscriber.subscribe("x").unwrap();
        subscriber.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
        barrier.wait();
        allows.store(false, Ordering::SeqCst);
        publisher.reconsider();
        barrier.wait();
        thread::sleep(Duration::from_millis(300));
        assert!(!publisher.wanted("x"), "a subscription is in force that is denied");
    });
}

fn certificate(place: &Directory, name: &str, key: &curve::PublicKey) {
    let certificate = Certificate { public: *key, secret: None, metadata: Vec::new() };
    std::fs::write(place.path(name), certificate.write("a test", false).as_bytes()).unwrap();
}

#[test]
fn a_key_in_two_files_belongs_to_the_one_that_is_left() {
    within_a_minute(|| {
        let place = Directory::new();
        let keys = curve::generate();
        certificate(&place, "ann.key", keys.public());
        certificate(&place, "bob.key", keys.public());
        let clients = KeyDirectory::open(place.path("")).unwrap();
        let changes = Arc::new(Mutex::new(0));
        let count = changes.clone();
        clients.on_change(move |_| *count.lock().unwrap() += 1);
        std::fs::remove_file(place.path("ann.key")).unwrap();
        thread::sleep(Duration::from_millis(1000));
        let user = |id: &str| {
            let mut user = User::new(id);
            user.key = Some(*keys.public());
            user
        };
        assert!(!clients.still_knows(&user("ann")), "ann's certificate is gone");
        assert!(clients.still_knows(&user("bob")));
    });
}

#[test]
fn a_certificate_that_is_replaced_by_one_of_the_same_age_and_size_is_noticed() {
    within_a_minute(|| {
        let place = Directory::new();
        let (old, new) = (curve::generate(), curve::generate());
        certificate(&place, "ann.key", old.public());
        certificate(&place, "new", new.public());
        let age = std::fs::metadata(place.path("ann.key")).unwrap().modified().unwrap();
        std::fs::File::options().write(true).open(place.path("new")).unwrap().set_modified(age).unwrap();
        let clients = KeyDirectory::open(place.path("")).unwrap();
        // As `cp -p`, `install -p`, `rsync -t` and archives with fixed times do.
        std::fs::rename(place.path("new"), place.path("ann.key")).unwrap();
        let mut user = User::new("ann");
        user.key = Some(*old.public());
        until("the old key is not known any more", || !clients.still_knows(&user));
    });
}

#[test]
fn a_changed_password_ends_the_connections_that_were_made_with_the_old_one() {
    within_a_minute(|| {
        let place = Directory::new();
        let file = place.path("users");
        let line = |password: &str| format!("ann:{}\n", hash_password(password.as_bytes()).unwrap());
        std::fs::write(&file, line("stolen")).unwrap();
        let passwords = Passwords::open(&file).unwrap();
        let engine = Engine::start().unwrap();
        let publisher = XPub::new(&engine, Options::new().plain_server(passwords.clone())).unwrap();
        let again = publisher.clone();
        passwords.on_change(move |_| again.reconsider());
        let thief = Sub::new(&engine, Options::new().plain_client("ann", "stolen")).unwrap();
        thief.subscribe("x").unwrap();
        thief.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
        until("it is in", || publisher.wanted("x"));
        std::fs::write(&file, line("another")).unwrap();
        until("it is out", || !publisher.wanted("x"));
    });
}

#[test]
fn a_long_prefix_that_is_allowed_is_allowed_under_curve_too() {
    within_a_minute(|| {
        for encrypted in [false, true] {
            let engine = Engine::start().unwrap();
            let server = curve::generate();
            let key = *server.public();
            let options = Options::new().prefix_length_max(1 << 20);
            let (ours, theirs) = match encrypted {
                false => (options, Options::new()),
                true => (
                    options.curve_server(server, oncue::AllowAny),
                    Options::new().curve_client(curve::generate(), key),
                ),
            };
            let publisher = XPub::new(&engine, ours).unwrap();
            let subscriber = Sub::new(&engine, theirs.prefix_length_max(1 << 20)).unwrap();
            let prefix = vec![b'x'; 300_000];
            subscriber.subscribe(&prefix).unwrap();
            subscriber.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
            until(if encrypted { "it is in force under CURVE" } else { "it is in force" }, || {
                publisher.wanted(&prefix)
            });
        }
    });
}

#[test]
fn an_authenticator_may_use_its_socket() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let socket: Arc<Mutex<Option<XPub>>> = Arc::default();
        let own = socket.clone();
        let server = curve::generate();
        let key = *server.public();
        let options = Options::new().curve_server(server, move |case: Case| {
            let socket = own.lock().unwrap().clone().unwrap();
            let _ = (socket.peers(), socket.stats(), socket.wanted("x"), socket.send("x"), socket.refused());
            socket.reconsider();
            let _ =
                (socket.bind("tcp://127.0.0.1:0"), socket.unbind("tcp://127.0.0.1:1"), socket.try_event());
            case.accept(User::new("ann"));
        });
        let publisher = XPub::new(&engine, options).unwrap();
        *socket.lock().unwrap() = Some(publisher.clone());
        let subscriber = Sub::new(&engine, Options::new().curve_client(curve::generate(), key)).unwrap();
        subscriber.subscribe("x").unwrap();
        subscriber.connect(&publisher.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
        until("she is in", || publisher.wanted("x"));
        socket.lock().unwrap().take();
    });
}

#[test]
fn a_client_that_is_put_off_comes_again() {
    within_a_minute(|| {
        let engine = Engine::start().unwrap();
        let count = AtomicUsize::new(0);
        let options =
            Options::new().plain_server(move |case: Case| match count.fetch_add(1, Ordering::SeqCst) {
                0..3 => case.put_off("busy"),
                _ => case.accept(User::new("ann")),
            });
        let publisher = XPub::new(&engine, options).unwrap();
        let at = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        // Without a word: libzmq's clients never come again after an ERROR.
        let mut peer = TcpStream::connect(at.strip_prefix("tcp://").unwrap()).unwrap();
        peer.write_all(&greeting(b"PLAIN")).unwrap();
        peer.write_all(b"\x04\x0c\x05HELLO\x03ann\x01x").unwrap();
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 64);
        let subscriber = Sub::new(&engine, Options::new().plain_client("ann", "x")).unwrap();
        subscriber.subscribe("x").unwrap();
        subscriber.connect(&at).unwrap();
        until("she is in", || publisher.wanted("x"));
    });
}
