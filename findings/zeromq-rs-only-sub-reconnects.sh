#!/usr/bin/env bash
# zeromq 0.7.0 (Rust, zmq.rs): of the sockets that connect, a SUB connects again after a loss; a PUB and an XPUB never do.
#
# Behaviour: a socket connects to a ZMTP peer that closes 100 ms after the handshake, each time, and goes on listening. Within 8 s a SUB
# comes back several times; a PUB and an XPUB do not, while their sends succeed and no call returns an error. A publisher that connects
# to a proxy, which is the usual arrangement, is silent for ever after the proxy's first restart.
# Expected: that every socket that connects "SHOULD reconnect after a suitable delay" (RFC 23 and 37), as all of libzmq do; or an error.
# Seen: SUB:  comes back True, sends fail False
#       PUB:  comes back False, sends fail False
#       XPUB: comes back False, sends fail False
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/src"
cat >"$folder/Cargo.toml" <<'TOML'
[package]
name = "connects"
version = "0.0.0"
edition = "2021"

[dependencies]
zeromq = "=0.7.0"
tokio = { version = "=1.48.0", features = ["rt-multi-thread", "macros", "time"] }

[workspace]
TOML
cat >"$folder/src/main.rs" <<'RUST'
//! connects KIND ENDPOINT: connects, and sends or receives for 8 s. Prints `failed` if a send fails.
use std::time::{Duration, Instant};
use zeromq::{PubSocket, Socket, SocketRecv, SocketSend, SubSocket, XPubSocket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let (kind, endpoint) = (arguments[1].as_str(), arguments[2].as_str());
    let end = Instant::now() + Duration::from_secs(8);
    let pause = Duration::from_millis(50);
    match kind {
        "SUB" => {
            let mut socket = SubSocket::new();
            socket.connect(endpoint).await?;
            socket.subscribe("T").await?;
            while Instant::now() < end {
                let _ = tokio::time::timeout(pause, socket.recv()).await;
            }
        }
        "PUB" => {
            let mut socket = PubSocket::new();
            socket.connect(endpoint).await?;
            while Instant::now() < end {
                if socket.send("T".into()).await.is_err() {
                    println!("failed");
                }
                tokio::time::sleep(pause).await;
            }
        }
        _ => {
            let mut socket = XPubSocket::new();
            socket.connect(endpoint).await?;
            while Instant::now() < end {
                let _ = tokio::time::timeout(pause, socket.recv()).await;
                if socket.send("T".into()).await.is_err() {
                    println!("failed");
                }
            }
        }
    }
    Ok(())
}
RUST
CARGO_TARGET_DIR="$folder/target" cargo build --quiet --manifest-path "$folder/Cargo.toml"
timeout 120 python3 - "$folder/target/debug/connects" <<'PYTHON'
import socket, subprocess, sys, threading, time

GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x00NULL" + bytes(48)

def serve(listener, theirs, connections):
    """Accepts, does the handshake, subscribes to T if the other side publishes, and closes after 100 ms."""
    ours = b"PUB" if theirs == "SUB" else b"SUB"
    body = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03" + ours
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer:
            peer.settimeout(2)
            peer.sendall(GREETING)
            received = b""
            while len(received) < 64:
                received += peer.recv(64 - len(received))
            peer.sendall(b"\x04" + bytes([len(body)]) + body)
            if ours == b"SUB":
                peer.sendall(b"\x00\x02\x01T")
            connections.append(theirs)
            time.sleep(0.1)

seen = []
for kind in ("SUB", "PUB", "XPUB"):
    listener = socket.create_server(("127.0.0.1", 0))
    connections = []
    threading.Thread(target=serve, args=(listener, kind, connections), daemon=True).start()
    endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    run = subprocess.run([sys.argv[1], kind, endpoint], stdout=subprocess.PIPE, text=True)
    assert run.returncode == 0 and connections, kind
    listener.close()
    back, failed = len(connections) > 1, "failed" in run.stdout
    print(f"{kind + ':':5} comes back {back}, sends fail {failed}")
    seen.append((back, failed))
sys.exit(seen != [(True, False), (False, False), (False, False)])
PYTHON
