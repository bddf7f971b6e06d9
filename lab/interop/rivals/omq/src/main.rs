//! A socket of omq, driven by lines on standard input as `lab/interop/py/peer.py` is.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Duration;

use omq_tokio::options::ReconnectPolicy;
use omq_tokio::{
    CurveKeypair, CurvePublicKey, CurveSecretKey, CurveServerOptions, Message, Options, Socket, SocketType,
};

/// An error of the library, as text.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const RECONNECT: Duration = Duration::from_millis(20);

/// A socket, and what is set before there is one: omq takes its options when the socket is made, which is at the first endpoint.
#[derive(Default)]
struct Peer {
    kind: String,
    keys: HashMap<String, String>,
    is_server: bool,
    let_in: Vec<CurvePublicKey>,
    early: Vec<Vec<u8>>,
    socket: Option<Socket>,
}

impl Peer {
    fn key(&self, name: &str) -> Outcome<&str> {
        Ok(self.keys.get(name).ok_or(format!("{name} is not set"))?)
    }

    fn own_keys(&self) -> Outcome<CurveKeypair> {
        let public = CurvePublicKey::from_z85(self.key("CURVE_PUBLICKEY")?)?;
        Ok(CurveKeypair { public, secret: CurveSecretKey::from_z85(self.key("CURVE_SECRETKEY")?)? })
    }

    fn options(&self) -> Outcome<Options> {
        // Without xpub_nodrop it drops what is sent in a burst.
        let options =
            Options { reconnect: ReconnectPolicy::Fixed(RECONNECT), xpub_nodrop: true, ..Options::default() };
        if self.is_server {
            let known: Vec<[u8; 32]> = self.let_in.iter().map(|key| *key.as_bytes()).collect();
            let admission = CurveServerOptions::new()
                .authenticator(move |peer| known.is_empty() || known.contains(&peer.public_key));
            return Ok(options.curve_server_with_options(self.own_keys()?, admission));
        }
        match self.keys.get("CURVE_SERVERKEY") {
            Some(server) => Ok(options.curve_client(self.own_keys()?, CurvePublicKey::from_z85(server)?)),
            None => Ok(options),
        }
    }

    async fn open(&mut self) -> Outcome<&Socket> {
        if self.socket.is_none() {
            let kind = match &self.kind[..] {
                "PUB" => SocketType::Pub,
                "XPUB" => SocketType::XPub,
                "SUB" => SocketType::Sub,
                _ => SocketType::XSub,
            };
            let socket = Socket::try_new(kind, self.options()?)?;
            for prefix in self.early.drain(..) {
                socket.subscribe(prefix).await?;
            }
            self.socket = Some(socket);
        }
        self.there()
    }

    fn there(&self) -> Outcome<&Socket> {
        Ok(self.socket.as_ref().ok_or("there is no socket before it is bound or connected")?)
    }

    async fn obey(&mut self, order: &str, words: &[&str]) -> Outcome<String> {
        match order {
            "new" => self.kind = word(words, 0)?.to_owned(),
            "set" => self.is_server = word(words, 0)? == "CURVE_SERVER" && word(words, 1)? == "1",
            "set_bytes" => {
                let value = String::from_utf8(unhex(word(words, 1)?)?)?;
                self.keys.insert(word(words, 0)?.to_owned(), value);
            }
            "let_in_curve" => {
                for key in words {
                    self.let_in.push(CurvePublicKey::from_z85(std::str::from_utf8(&unhex(key)?)?)?);
                }
            }
            "bind" => return Ok(self.open().await?.bind(word(words, 0)?).await?.to_string()),
            "connect" => self.open().await?.connect(word(words, 0)?).await?,
            "disconnect" => self.there()?.disconnect(word(words, 0)?).await?,
            "subscribe" => match &self.socket {
                Some(socket) => socket.subscribe(unhex(word(words, 0)?)?).await?,
                None => self.early.push(unhex(word(words, 0)?)?),
            },
            "unsubscribe" => self.there()?.unsubscribe(unhex(word(words, 0)?)?).await?,
            "send" => {
                let frames = words.iter().map(|frame| unhex(frame)).collect::<Outcome<Vec<_>>>()?;
                self.there()?.send(Message::multipart(frames)).await?;
            }
            "recv" => {
                let time = Duration::from_millis(word(words, 0)?.parse()?);
                return Ok(match tokio::time::timeout(time, self.there()?.recv()).await {
                    Err(_) => "none".to_owned(),
                    Ok(message) => {
                        let frames: Vec<String> = message?.iter().map(|frame| hexed(&frame)).collect();
                        format!("message {}", frames.join(" "))
                    }
                });
            }
            "close" => {
                if let Some(socket) = self.socket.take() {
                    socket.close().await?;
                }
            }
            other => return Err(format!("`{other}` is not an order of this driver").into()),
        }
        Ok(String::new())
    }
}

fn word<'a>(words: &[&'a str], at: usize) -> Outcome<&'a str> {
    Ok(words.get(at).ok_or("a word is missing")?)
}

fn hexed(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if bytes.is_empty() {
        return "-".to_owned();
    }
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
    bytes.iter().flat_map(digits).collect()
}

fn unhex(text: &str) -> Outcome<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or("not hexadecimal");
    let pairs = text.as_bytes().chunks_exact(2).filter(|_| text != "-");
    pairs.map(|pair| Ok((digit(pair[0])? << 4 | digit(pair[1])?) as u8)).collect()
}

#[tokio::main]
async fn main() {
    let mut peer = Peer::default();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.split(' ');
        let order = words.next().unwrap_or_default();
        let answer = match peer.obey(order, &words.collect::<Vec<_>>()).await {
            Ok(answer) => format!("ok {answer}"),
            Err(error) => format!("error {}", error.to_string().replace('\n', " ")),
        };
        let mut output = std::io::stdout().lock();
        if writeln!(output, "{}", answer.trim_end()).and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}
