//! The classic publisher: every half second it reads the pending subscriptions and cancels without blocking, updates the
//! set of wanted topics, and sends `"<topic> <n>"` for each of them.
//!
//! Run it with `cargo run --release -p oncue --example classic`, and subscribe with any ZeroMQ client:
//! `cargo run --release -- sub tcp://127.0.0.1:8888 --topic a`.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use oncue::{Engine, Options, XPub, XPubEvent};

fn main() -> oncue::Result<()> {
    let engine = Engine::start()?;
    let publisher = XPub::new(&engine, Options::new())?;
    publisher.bind("tcp://*:8888")?;
    let mut wanted = BTreeSet::new();
    for n in 1.. {
        while let Some(event) = publisher.try_event()? {
            match event {
                XPubEvent::Wanted(prefix) => drop(wanted.insert(prefix)),
                XPubEvent::Unwanted(prefix) => drop(wanted.remove(&prefix)),
                XPubEvent::Message(message) => eprintln!("a subscriber says {message:?}"),
                _ => {}
            }
        }
        for topic in &wanted {
            let value = [topic, format!(" {n}").as_bytes()].concat();
            publisher.send(value)?;
        }
        sleep(Duration::from_millis(500));
    }
    Ok(())
}
