//! (e) How much later a message comes at another site than through one proxy.

use super::{LIMIT, Rows, joined, quantile, received, subscribe, told};
use crate::Outcome;
use crate::process::{Launch, Process};
use crate::protocol::{Answer, Ask, Flow, Role, SocketRole};
use crate::scene::{Scene, Setting, System, port};

const FLOW: Flow = Flow { size: 64, per_second: 1_000, millis: 5_000, topics: 100 };

pub(super) fn measure(system: System, rows: &mut Rows) -> Outcome<()> {
    let (p50, p99) = through_proxy()?;
    let mut scene = Scene::start(Setting::new(system))?;
    joined(&mut scene)?;
    subscribe(&mut scene, "b", "load/")?;
    told(&mut scene, &["a"], 1)?;
    send(scene.producers.get_mut("a").expect("each site has one").process())?;
    let mut ages = received(&mut scene, "b")?.ages;
    let (mesh50, mesh99) = (quantile(&mut ages, 0.5), quantile(&mut ages, 0.99));
    let title = |what: &str| format!("(e) 1,000 messages/s of 64 B: {what}");
    rows.add(&title("through one proxy, p50 / p99"), "", system, format!("{p50:.3} / {p99:.3} ms"));
    rows.add(&title("site to site, p50 / p99"), "", system, format!("{mesh50:.3} / {mesh99:.3} ms"));
    rows.add(&title("added, p50"), "0.3 ms", system, format!("{:.3} ms", mesh50 - p50));
    Ok(())
}

fn through_proxy() -> Outcome<(f64, f64)> {
    let [sources, local] = [port()?, port()?].map(|port| format!("tcp://127.0.0.1:{port}"));
    let role = Role::Proxy { sources: sources.clone(), local: local.clone() };
    let _proxy = Launch::role("proxy", &role)?.start()?;
    let user = |endpoint| SocketRole { endpoints: vec![endpoint], timeout_ms: 2_000 };
    let mut producer = Launch::role("producer", &Role::Producer(user(sources)))?.start()?;
    let mut subscriber = Launch::role("subscriber", &Role::Subscriber(user(local)))?.start()?;
    subscriber.ask(&Ask::Change { socket: 0, subscribe: vec!["load/".to_owned()], cancel: vec![] })?;
    producer.tell(&Ask::DemandCount(1))?;
    producer.done(LIMIT)?;
    send(&mut producer)?;
    match subscriber.ask(&Ask::Received)? {
        Answer::Received(mut received) => {
            Ok((quantile(&mut received.ages, 0.5), quantile(&mut received.ages, 0.99)))
        }
        other => Err(format!("the subscriber says {other:?}")),
    }
}

fn send(producer: &mut Process) -> Outcome<()> {
    producer.tell(&Ask::Publish(FLOW))?;
    match producer.answer(LIMIT)? {
        Answer::Sent(_) => {
            std::thread::sleep(std::time::Duration::from_millis(200));
            Ok(())
        }
        other => Err(format!("the producer says {other:?}")),
    }
}
