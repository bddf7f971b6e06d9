//! Values produced only while somebody wants them, in three ways: on a clock, by a thread for each topic, and by hand.
//!
//! Run it with `cargo run --release -p oncue --example on_demand`, and subscribe with any ZeroMQ client:
//! `cargo run --release -- sub tcp://127.0.0.1:8888 --topic clock --topic prices/AAPL`.

use std::time::{Duration, SystemTime};

use oncue::OnDemand;
use oncue::demand::Change;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let on_demand = OnDemand::bind("tcp://127.0.0.1:8888")?
        // One value every half second, while anybody is subscribed to `clock` (or to a prefix of it).
        .route("clock")
        .every(Duration::from_millis(500), |_| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            format!("{:.1}", now.as_secs_f64())
        })
        // One thread for each symbol that is subscribed to; it goes on for two seconds after the last one left.
        .route("prices/{symbol}")
        .grace(Duration::from_secs(2))
        .thread(|feed| {
            println!("start {} (generation {})", feed.param("symbol"), feed.generation());
            let mut price = 100.0;
            while feed.publish(format!("{price:.2}")).is_ok() {
                price += 0.25;
                if feed.sleep(Duration::from_millis(200)).is_err() {
                    break;
                }
            }
            println!("stop {}", feed.param("symbol"));
            Ok(())
        })
        // Told when a topic starts and stops; publishes whenever it likes.
        .route("notes/{name}")
        .manual(|change| match change {
            Change::Started(feed) => {
                let greeting = format!("hello, you asked for {}", feed.param("name"));
                feed.publish(greeting).expect("a feed is active when it starts");
            }
            Change::Stopped(feed) => println!("nobody reads {} any more", feed.param("name")),
        })
        .start()?;
    println!("serving clock, prices/... and notes/... on {}", on_demand.endpoints()[0]);
    loop {
        std::thread::sleep(Duration::from_secs(10));
        println!("{:?}", on_demand.stats());
    }
}
