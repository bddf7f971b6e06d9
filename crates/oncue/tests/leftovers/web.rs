//! Clients over WebSocket and plain HTTP that come, misbehave and leave, while the socket stays.

use std::io::{Read, Write};
use std::net::TcpStream;

use oncue::{Engine, Options, Page, Sub, Web, XPub};

use crate::{fresh, scenes_within};

const ROUNDS: u32 = 150;
/// The buffers of the longest head, and of one page.
const BYTES_MORE_MAX: u64 = 192 << 10;
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

struct Place {
    publisher: XPub,
    endpoint: String,
}

impl Place {
    fn new() -> Place {
        let publisher = XPub::new(&Engine::start().unwrap(), Options::new().discard_messages(true)).unwrap();
        // Another path is answered by the end of its request.
        let pages = |request: oncue::PageRequest| {
            if request.path() == "/page" {
                request.answer(Page::new("text/plain", vec![b'x'; 64 << 10]));
            }
        };
        let endpoint = publisher.bind_web("ws://127.0.0.1:*", Web::new().pages(pages)).unwrap().to_string();
        Place { publisher, endpoint }
    }

    fn says(&self, bytes: &str) -> TcpStream {
        let place = self.endpoint.trim_start_matches("ws://").trim_end_matches('/');
        let mut stream = TcpStream::connect(place).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        stream
    }

    fn asks(&self, target: &str, fields: &str) -> TcpStream {
        self.says(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"))
    }

    /// Waits until all have left: nothing is wanted, and no peer is there.
    fn is_left(&self) {
        while !self.publisher.wanted_prefixes(1, 0).is_empty() || self.publisher.stats().peers > 0 {
            std::thread::yield_now();
        }
    }

    fn wanted(&self, topic: &str) {
        while !self.publisher.wanted(topic) {
            std::thread::yield_now();
        }
    }
}

fn to_the_end(mut stream: TcpStream) {
    let mut read = Vec::new();
    // An end without a word is one too.
    let _ = stream.read_to_end(&mut read);
}

#[test]
fn clients_of_websocket_and_of_http_leave_nothing_behind() {
    let place = Place::new();
    let of_subscriber = || {
        let (topic, engine) = (format!("t{}", fresh()), Engine::start().unwrap());
        let sub = Sub::new(&engine, Options::new()).unwrap();
        sub.subscribe(&topic).unwrap();
        sub.connect(&place.endpoint).unwrap();
        place.wanted(&topic);
        place.publisher.send((&topic, "1")).unwrap();
        sub.recv().wait().unwrap();
        drop(sub);
        place.is_left();
    };
    let stream_of_events = || {
        let topic = format!("t{}", fresh());
        let mut client = place.asks(&format!("/sub/{topic}"), "");
        place.wanted(&topic);
        place.publisher.send((&topic, "x".repeat(10_000))).unwrap();
        client.read_exact(&mut [0; 1000]).unwrap();
        drop(client);
        place.is_left();
    };
    let one_value = || {
        let topic = format!("t{}", fresh());
        let client = place.asks(&format!("/last/{topic}"), "");
        place.wanted(&topic);
        place.publisher.send((&topic, "1")).unwrap();
        to_the_end(client);
        place.is_left();
    };
    let value_that_nobody_waits_for = || {
        let topic = format!("t{}", fresh());
        let client = place.asks(&format!("/last/{topic}"), "");
        place.wanted(&topic);
        drop(client);
        place.is_left();
    };
    let half_upgraded = || {
        let mut client = place.asks("/", &format!("{UPGRADE}Sec-WebSocket-Protocol: ZWS2.0\r\n"));
        client.read_exact(&mut [0; 12]).unwrap();
        // The beginning of a frame.
        client.write_all(&[0x82, 0xfe, 0x7f]).unwrap();
    };
    scenes_within(
        BYTES_MORE_MAX,
        ROUNDS,
        &[
            ("a subscriber over ws", &of_subscriber),
            ("a stream of events", &stream_of_events),
            ("one value", &one_value),
            ("one value that nobody waits for", &value_that_nobody_waits_for),
            ("a page", &|| to_the_end(place.asks("/page", ""))),
            ("a page that is hardly read", &|| place.asks("/page", "").read_exact(&mut [0; 1]).unwrap()),
            ("no page", &|| to_the_end(place.asks("/none", ""))),
            ("half a head", &|| drop(place.says("GET / HTTP/1.1\r\nHost: lo"))),
            ("too long a head", &|| {
                to_the_end(place.says(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000))))
            }),
            ("no protocol", &|| to_the_end(place.asks("/", UPGRADE))),
            ("half of a frame", &half_upgraded),
        ],
    );
}
