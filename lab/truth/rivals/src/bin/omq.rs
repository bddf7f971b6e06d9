//! The driver of omq-tokio.

use std::time::Duration;

use omq_tokio::options::ReconnectPolicy;
use omq_tokio::{Message, Options, Socket, SocketType};
use truth_rivals::{Outcome, answer, event, number, orders, topic, unhex, version_of};

const HEARTBEAT: Duration = Duration::from_millis(300);
const RECONNECT: Duration = Duration::from_millis(50);
const ANYWHERE: &str = "tcp://127.0.0.1:0";

#[tokio::main]
async fn main() {
    let mut orders = orders();
    let mut socket: Option<Socket> = None;
    loop {
        // Read only while no order is carried out, as a program with one loop does.
        let received = async {
            match &socket {
                Some(socket) => socket.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => answer(obey(&mut socket, &order).await),
                None => return,
            },
            message = received => match message {
                Ok(message) => event(&message.iter().map(|part| part.to_vec()).collect::<Vec<_>>()),
                Err(error) => truth_rivals::say(&format!("error {error}")),
            },
        }
    }
}

fn options(heartbeat: bool) -> Options {
    let options = Options { reconnect: ReconnectPolicy::Fixed(RECONNECT), ..Options::default() };
    match heartbeat {
        true => options.heartbeat_interval(HEARTBEAT).heartbeat_timeout(HEARTBEAT),
        false => options,
    }
}

async fn obey(socket: &mut Option<Socket>, order: &str) -> Outcome<String> {
    let words: Vec<&str> = order.split(' ').collect();
    let there = || socket.as_ref().ok_or("there is no socket");
    match words[0] {
        "about" => return Ok(format!("omq-tokio {}", version_of("omq-tokio"))),
        "new" => {
            let kind = match words.get(1) {
                Some(&"xpub") => SocketType::XPub,
                _ => SocketType::Sub,
            };
            *socket = Some(Socket::try_new(kind, options(words.get(2) == Some(&"heartbeat")))?);
        }
        "bind" => return Ok(there()?.bind(ANYWHERE).await?.to_string()),
        "connect" => there()?.connect(words[1]).await?,
        "send" => there()?.send(Message::from_slice(&unhex(words[1])?)).await?,
        "flood" => {
            let (count, size) = (number(words.get(1))?, number(words.get(2))?);
            for _ in 0..count {
                there()?.send(Message::single(vec![b'T'; size])).await?;
            }
        }
        "subscribe_many" => {
            for at in 0..number(words.get(1))? {
                there()?.subscribe(topic(at)).await?;
            }
        }
        "unsubscribe_many" => {
            for at in 0..number(words.get(1))? {
                there()?.unsubscribe(topic(at)).await?;
            }
        }
        "proxy" => {
            let frontend = Socket::try_new(SocketType::XSub, options(false))?;
            let backend = Socket::try_new(SocketType::XPub, options(false))?;
            let above = frontend.bind(*words.get(1).unwrap_or(&ANYWHERE)).await?;
            let below = backend.bind(*words.get(2).unwrap_or(&ANYWHERE)).await?;
            tokio::spawn(omq_tokio::proxy::proxy(frontend, backend, None));
            return Ok(format!("{above} {below}"));
        }
        other => return Err(format!("`{other}` is not to be had").into()),
    }
    Ok(String::new())
}
