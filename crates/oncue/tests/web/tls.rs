//! `wss://`: WebSocket inside of TLS. The certificates in `certificates/` are those of an authority for these tests alone, which
//! has signed one for localhost and 127.0.0.1.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use oncue::{
    AllowAny, Cause, ConnectionEventKind, ErrorKind, OnFull, Options, Sub, Web, XPub, XPubEvent, curve,
};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;

use crate::peer::{SOON, engine, event, port, request_with};

const AUTHORITY: &str = include_str!("certificates/authority.pem");
const CERTIFICATE: &str = include_str!("certificates/certificate.pem");
const KEY: &str = include_str!("certificates/key.pem");

fn server() -> Options {
    Options::new().web(Web::new().certificate(CERTIFICATE, KEY))
}

fn client() -> Options {
    Options::new().web(Web::new().roots(AUTHORITY))
}

#[test]
fn values_go_in_both_directions_with_and_without_curve() {
    let keys = curve::generate();
    let public = *keys.public();
    let sealed = (server().curve_server(keys, AllowAny), client().curve_client(curve::generate(), public));
    for (server, client) in [(server(), client()), sealed] {
        for publisher_binds in [true, false] {
            let engine = engine();
            let (ours, theirs) = match publisher_binds {
                true => (server.clone(), client.clone()),
                false => (client.clone(), server.clone()),
            };
            let publisher = XPub::new(&engine, ours).unwrap();
            let subscriber = Sub::new(&engine, theirs).unwrap();
            subscriber.subscribe("t").unwrap();
            match publisher_binds {
                true => subscriber.connect(&publisher.bind("wss://127.0.0.1:*/x").unwrap().to_string()),
                false => publisher.connect(&subscriber.bind("wss://localhost:*/x").unwrap().to_string()),
            }
            .unwrap();
            assert!(matches!(event(&publisher), XPubEvent::Wanted(_)));
            for size in [0, 1, 300, 16_384, 70_000, 3_000_000] {
                publisher.send(("t", vec![7_u8; size])).unwrap();
                let message = subscriber.recv().wait_timeout(SOON).expect("a value").unwrap();
                assert_eq!(message.frame(1).map(<[u8]>::len), Some(size));
            }
            subscriber.unsubscribe("t").unwrap();
            assert!(matches!(event(&publisher), XPubEvent::Unwanted(_)));
        }
    }
}

#[test]
fn everything_arrives_in_order_while_the_reader_is_slow() {
    let engine = engine();
    let publisher = XPub::new(&engine, server().on_full(OnFull::Refuse)).unwrap();
    let subscriber = Sub::new(&engine, client().recv_hwm(1)).unwrap();
    subscriber.subscribe("").unwrap();
    subscriber.connect(&publisher.bind("wss://127.0.0.1:*").unwrap().to_string()).unwrap();
    event(&publisher);
    let sender = std::thread::spawn(move || {
        for n in 0..2000_u32 {
            let body = vec![n as u8; if n % 100 == 0 { 1 << 20 } else { 100 }];
            publisher.send_wait((n.to_be_bytes(), body)).wait().unwrap();
        }
        publisher
    });
    for n in 0..2000_u32 {
        let message = subscriber.recv().wait_timeout(SOON).expect("a message").unwrap();
        assert_eq!(message.topic(), n.to_be_bytes());
        assert!(message.frame(1).unwrap().iter().all(|byte| *byte == n as u8));
        if n % 100 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    sender.join().unwrap();
}

/// Why a client that connects to the endpoint fails.
fn failure(options: Options, endpoint: &str) -> Cause {
    let subscriber = Sub::new(&engine(), options).unwrap();
    let events = subscriber.events();
    subscriber.connect(endpoint).unwrap();
    loop {
        let event = events.next().wait_timeout(SOON).expect("an event").unwrap();
        if let ConnectionEventKind::Failed { cause, .. } = event.kind {
            return cause;
        }
    }
}

#[track_caller]
fn is_tls(cause: &Cause, part: &str) {
    assert!(matches!(cause, Cause::Tls(why) if why.contains(part)) && cause.is_refusal(), "{cause:?}");
}

#[test]
fn a_certificate_is_checked_with_its_name_and_both_sides_say_what_is_wrong() {
    let publisher = XPub::new(&engine(), server()).unwrap();
    let events = publisher.events();
    let at = publisher.bind("wss://127.0.0.1:*/x").unwrap().to_string();
    // The system's roots, or a certificate that is not the authority's.
    is_tls(&failure(Options::new().web(Web::new().roots(CERTIFICATE)), &at), "UnknownIssuer");
    let refused = loop {
        let event = events.next().wait_timeout(SOON).expect("an event").unwrap();
        if let ConnectionEventKind::Refused { cause, .. } = event.kind {
            break cause;
        }
    };
    is_tls(&refused, "UnknownCA");
    let at = publisher.bind("wss://[::1]:*/x").unwrap().to_string();
    is_tls(&failure(client(), &at), "not valid for name");
    // Without TLS on one side.
    is_tls(
        &failure(client(), &publisher.bind("tcp://127.0.0.1:*").unwrap().to_string().replace("tcp", "wss")),
        "",
    );
    let plain = failure(Options::new(), &at.replace("wss", "ws"));
    assert!(!matches!(plain, Cause::Tls(_)), "{plain:?}");
}

#[test]
fn certificates_are_validated_before_anything_listens() {
    let engine = engine();
    let without = XPub::new(&engine, Options::new()).unwrap();
    let error = without.bind("wss://127.0.0.1:*/x").unwrap_err();
    assert!(error.kind() == ErrorKind::Misuse && error.to_string().contains("Web::certificate"), "{error}");
    without.bind_web("wss://127.0.0.1:*/x", Web::new().certificate(CERTIFICATE, KEY)).unwrap();
    for (web, part) in [
        (Web::new().certificate("nothing", KEY), "no certificate in PEM"),
        (Web::new().certificate(CERTIFICATE, CERTIFICATE), "not a key in PEM"),
        (Web::new().certificate(AUTHORITY, KEY), "cannot be used"),
        (Web::new().roots(KEY), "no certificate in PEM"),
    ] {
        let error = Options::new().web(web.clone()).check().unwrap_err();
        assert!(error.kind() == ErrorKind::Misuse && error.to_string().contains(part), "{part}: {error}");
        assert!(without.bind_web("wss://127.0.0.1:*/x", web.clone()).is_err());
        assert!(!format!("{web:?}").contains("BEGIN"));
    }
}

#[test]
fn a_page_of_the_same_host_may_connect() {
    let publisher = XPub::new(&engine(), server()).unwrap();
    let port = port(&publisher.bind("wss://127.0.0.1:*/x").unwrap());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    for (origin, status) in [("https", "101"), ("http", "403")] {
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        let fields = format!("Sec-WebSocket-Protocol: ZWS2.0\r\nOrigin: {origin}://localhost\r\n");
        let request = request_with(port, "/x", &fields);
        tls.write_all(request.replace(&format!("127.0.0.1:{port}"), "localhost:443").as_bytes()).unwrap();
        let mut head = [0; 12];
        tls.read_exact(&mut head).unwrap();
        assert_eq!(&head[9..], status.as_bytes(), "{origin}");
    }
}
