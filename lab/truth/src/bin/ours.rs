//! Oncue's driver: the lines of lab/truth/src/driver.rs.

use std::io::{BufRead, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use oncue::{Engine, Error, Options, Proxy, Sub, XPub, XPubEvent, XSub};
use oncue_truth::driver::{hex, topic, unhex};

const HEARTBEAT: Duration = Duration::from_millis(300);
const ANYWHERE: &str = "tcp://127.0.0.1:*";
/// How often orders are looked for while the socket is silent.
const ORDERS_INTERVAL: Duration = Duration::from_millis(5);

enum One {
    None,
    Publisher(XPub),
    Subscriber(Sub),
    Proxy { _runs: Proxy, _frontend: XSub, _backend: XPub },
}

fn main() {
    let engine = Engine::start().expect("an engine");
    let orders = orders();
    let mut socket = One::None;
    loop {
        while let Ok(order) = orders.try_recv() {
            say(&match obey(&engine, &mut socket, &order) {
                Ok(text) => format!("ok {text}").trim_end().to_owned(),
                Err(why) => format!("no {why}"),
            });
        }
        match &socket {
            One::Publisher(socket) => match socket.event().wait_timeout(ORDERS_INTERVAL) {
                Some(Ok(event)) => say(&told(&event)),
                Some(Err(error)) => say(&format!("error {error}")),
                None => {}
            },
            One::Subscriber(_) | One::Proxy { .. } | One::None => std::thread::sleep(ORDERS_INTERVAL),
        }
    }
}

/// The lines of standard input. Its end ends the program.
fn orders() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines();
        let _ = lines.map_while(Result::ok).try_for_each(|line| sender.send(line));
        std::process::exit(0);
    });
    receiver
}

fn obey(engine: &Engine, socket: &mut One, order: &str) -> Result<String, String> {
    let words: Vec<&str> = order.split(' ').collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
    let text = |error: Error| error.to_string();
    match (words[0], socket) {
        ("about", _) => return Ok(format!("Oncue {}", env!("CARGO_PKG_VERSION"))),
        ("new", socket) => {
            let mut options = Options::new();
            if words.get(2) == Some(&"heartbeat") {
                options = options.heartbeat(HEARTBEAT, 2 * HEARTBEAT);
            }
            *socket = match words.get(1) {
                Some(&"xpub") => One::Publisher(XPub::new(engine, options).map_err(text)?),
                _ => One::Subscriber(Sub::new(engine, options).map_err(text)?),
            };
        }
        ("bind", One::Publisher(socket)) => return Ok(socket.bind(ANYWHERE).map_err(text)?.to_string()),
        ("connect", One::Publisher(socket)) => _ = socket.connect(words[1]).map_err(text)?,
        ("connect", One::Subscriber(socket)) => _ = socket.connect(words[1]).map_err(text)?,
        ("send", One::Publisher(socket)) => socket.send(unhex(words[1])).map_err(text)?,
        ("flood", One::Publisher(socket)) => {
            let message = vec![b'T'; number(2)];
            for _ in 0..number(1) {
                socket.send(&message).map_err(text)?;
            }
        }
        ("missed", One::Publisher(socket)) => {
            let stats = socket.stats();
            return Ok((stats.missed + stats.outbox_full).to_string());
        }
        ("list", One::Publisher(socket)) => {
            let wanted: Vec<String> = socket.demand().snapshot().iter().map(|prefix| hex(prefix)).collect();
            return Ok(wanted.join(" "));
        }
        ("subscribe_many", One::Subscriber(socket)) => {
            (0..number(1)).try_for_each(|at| socket.subscribe(topic(at)).map(|_| ())).map_err(text)?;
        }
        ("unsubscribe_many", One::Subscriber(socket)) => {
            (0..number(1)).try_for_each(|at| socket.unsubscribe(topic(at)).map(|_| ())).map_err(text)?;
        }
        ("proxy", socket) => {
            let (frontend, backend) = (XSub::new(engine, Options::new()), XPub::new(engine, Options::new()));
            let (frontend, backend) = (frontend.map_err(text)?, backend.map_err(text)?);
            let runs = Proxy::new(&frontend, &backend).map_err(text)?;
            let above = frontend.bind(words.get(1).unwrap_or(&ANYWHERE)).map_err(text)?;
            let below = backend.bind(words.get(2).unwrap_or(&ANYWHERE)).map_err(text)?;
            *socket = One::Proxy { _runs: runs, _frontend: frontend, _backend: backend };
            return Ok(format!("{above} {below}"));
        }
        (other, _) => return Err(format!("`{other}` is not to be had")),
    }
    Ok(String::new())
}

fn told(event: &XPubEvent) -> String {
    match event {
        XPubEvent::Wanted(prefix) => format!("+ {}", hex(prefix)),
        XPubEvent::Unwanted(prefix) => format!("- {}", hex(prefix)),
        XPubEvent::Message(message) => {
            let words: Vec<String> = message.frames().map(hex).collect();
            format!("message {}", words.join(" "))
        }
        other => unreachable!("it is not verbose: {other:?}"),
    }
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    // The other side may have gone: then the end of standard input ends this program.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}
