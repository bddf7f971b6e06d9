//! Values produced only while they have subscribers, in three ways: on a clock, by a thread for each topic, and by hand.
//!
//! Run it with `cargo run --release -p oncue --example on_demand`, and subscribe with any ZeroMQ client:
//! `cargo run --release -- sub tcp://127.0.0.1:8888 --topic clock --topic prices/AAPL`.

use std::time::{Duration, SystemTime};

use oncue::OnDemand;
use oncue::demand::Change;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let on_demand = OnDemand::bind("tcp://127.0.0.1:8888")?
        // One value every half second, while `clock` (or a prefix of it) has a subscriber.
        .route("clock")
        .every(Duration::from_millis(500), |_| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            format!("{:.1}", now.as_secs_f64())
        })
        // One thread for each symbol with a subscriber; it continues for two seconds after the last one has left.
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
        // Called when a topic starts and stops; may publish at any time.
        .route("notes/{name}")
        .manual(|change| match change {
            Change::Started(feed) => {
                let greeting = format!("hello, you asked for {}", feed.param("name"));
                feed.publish(greeting).expect("a feed is active when it starts");
            }
            Change::Stopped(feed) => println!("{} has no subscribers left", feed.param("name")),
        })
        .start()?;
    println!("serving clock, prices/... and notes/... on {}", on_demand.endpoints()[0]);
    loop {
        std::thread::sleep(Duration::from_secs(10));
        println!("{:?}", on_demand.stats());
    }
}
