//! The driver of the crate zeromq (zmq.rs).

use truth_rivals::{Outcome, answer, event, number, orders, topic, unhex, version_of};
use zeromq::{Socket, SocketRecv, SocketSend, SubSocket, XPubSocket, XSubSocket, ZmqMessage};

const ANYWHERE: &str = "tcp://127.0.0.1:0";

enum One {
    None,
    Publisher(XPubSocket),
    Subscriber(SubSocket),
}

#[tokio::main]
async fn main() {
    let mut orders = orders();
    let mut socket = One::None;
    loop {
        let received = async {
            match &mut socket {
                One::Publisher(socket) => socket.recv().await,
                One::Subscriber(socket) => socket.recv().await,
                One::None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => answer(obey(&mut socket, &order).await),
                None => return,
            },
            message = received => match message {
                Ok(message) => event(&message.into_vec().iter().map(|frame| frame.to_vec()).collect::<Vec<_>>()),
                // A connection that broke; the socket goes on.
                Err(error) => truth_rivals::say(&format!("error {error}")),
            },
        }
    }
}

async fn obey(socket: &mut One, order: &str) -> Outcome<String> {
    let words: Vec<&str> = order.split(' ').collect();
    match (words[0], socket) {
        ("about", _) => return Ok(format!("zeromq {}", version_of("zeromq"))),
        ("new", _) if words.get(2) == Some(&"heartbeat") => return Err("it has no heartbeats".into()),
        ("new", socket) if words.get(1) == Some(&"xpub") => *socket = One::Publisher(XPubSocket::new()),
        ("new", socket) => *socket = One::Subscriber(SubSocket::new()),
        ("bind", One::Publisher(socket)) => return Ok(socket.bind(ANYWHERE).await?.to_string()),
        ("bind", One::Subscriber(socket)) => return Ok(socket.bind(ANYWHERE).await?.to_string()),
        ("connect", One::Publisher(socket)) => socket.connect(words[1]).await?,
        ("connect", One::Subscriber(socket)) => socket.connect(words[1]).await?,
        ("send", One::Publisher(socket)) => socket.send(ZmqMessage::from(unhex(words[1])?)).await?,
        ("flood", One::Publisher(socket)) => {
            let (count, size) = (number(words.get(1))?, number(words.get(2))?);
            for _ in 0..count {
                socket.send(ZmqMessage::from(vec![b'T'; size])).await?;
            }
        }
        ("subscribe_many", One::Subscriber(socket)) => {
            for at in 0..number(words.get(1))? {
                socket.subscribe(&topic(at)).await?;
            }
        }
        ("unsubscribe_many", One::Subscriber(socket)) => {
            for at in 0..number(words.get(1))? {
                socket.unsubscribe(&topic(at)).await?;
            }
        }
        ("proxy", _) => {
            let (mut frontend, mut backend) = (XSubSocket::new(), XPubSocket::new());
            let above = frontend.bind(words.get(1).unwrap_or(&ANYWHERE)).await?;
            let below = backend.bind(words.get(2).unwrap_or(&ANYWHERE)).await?;
            // Its future is not `Send`.
            let runtime = tokio::runtime::Handle::current();
            std::thread::spawn(move || {
                if let Err(error) = runtime.block_on(zeromq::proxy(frontend, backend, None)) {
                    truth_rivals::say(&format!("error {error}"));
                }
            });
            return Ok(format!("{above} {below}"));
        }
        (other, _) => return Err(format!("`{other}` is not to be had").into()),
    }
    Ok(String::new())
}
