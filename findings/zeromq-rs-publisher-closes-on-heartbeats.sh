#!/usr/bin/env bash
# zeromq 0.7.0 (Rust, zmq.rs) compared with libzmq 4.3.5 (pyzmq 27.1.0): a PUB closes the connection of every libzmq subscriber that has
# heartbeats on, at each PING.
#
# Behaviour: a libzmq SUB with ZMQ_HEARTBEAT_IVL=500 connects to a PUB of zeromq, which sends 20 messages a second. At the first PING the
# PUB closes ("Unknown command received"); the SUB connects again, and so on for ever: one connection each half second or so, with the
# messages between two connections lost. Neither user sees an error: the SUB just receives less. A PUB of libzmq answers the PINGs.
# Expected: that heartbeats make a connection more reliable; an unknown command that is ignored (as libzmq does); or, since zeromq
# announces ZMTP 3.0, that libzmq sends PING to peers of 3.1 alone, which are the first to know it.
# Seen: libzmq PUB, no heartbeats:  connected once, messages missing: False
#       libzmq PUB, heartbeats:     connected once, messages missing: False
#       zeromq PUB, no heartbeats:  connected once, messages missing: False
#       zeromq PUB, heartbeats:     connected again and again, messages missing: True
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0
mkdir -p "$folder/publisher/src"
cat >"$folder/publisher/Cargo.toml" <<'TOML'
[package]
name = "publisher"
version = "0.0.0"
edition = "2021"

[dependencies]
zeromq = "=0.7.0"
tokio = { version = "=1.48.0", features = ["rt-multi-thread", "macros", "time"] }

[workspace]
TOML
cat >"$folder/publisher/src/main.rs" <<'RUST'
use zeromq::{PubSocket, Socket, SocketSend};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut publisher = PubSocket::new();
    println!("{}", publisher.bind("tcp://127.0.0.1:0").await?);
    for number in 0.. {
        publisher.send(format!("T{number}").into()).await?;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(())
}
RUST
CARGO_TARGET_DIR="$folder/target" cargo build --quiet --manifest-path "$folder/publisher/Cargo.toml"
timeout 120 "$folder/venv/bin/python" - "$folder/target/debug/publisher" <<'PYTHON'
import subprocess, sys, threading, time, zmq
from zmq.utils.monitor import recv_monitor_message

SECONDS = 6
context = zmq.Context()
context.linger = 0
stop = threading.Event()

def theirs():
    """A PUB of libzmq that does the same."""
    publisher = context.socket(zmq.PUB)
    ports.append(publisher.bind_to_random_port("tcp://127.0.0.1"))
    ready.set()
    number = 0
    while not stop.is_set():
        publisher.send(b"T%d" % number)
        number += 1
        time.sleep(0.05)
    publisher.close()

def watch(endpoint, heartbeat):
    """How often a SUB is connected, and how many messages it misses between the first and the last that it receives."""
    subscriber = context.socket(zmq.SUB)
    if heartbeat:
        subscriber.heartbeat_ivl = 500
    monitor = subscriber.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    subscriber.subscribe(b"T")
    subscriber.connect(endpoint)
    assert subscriber.poll(5000), "the first message"
    connected, numbers = 0, []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if subscriber.poll(20):
            numbers.append(int(subscriber.recv()[1:]))
        while monitor.poll(0):
            recv_monitor_message(monitor)
            connected += 1
    subscriber.disable_monitor()
    subscriber.close()
    return connected, numbers[-1] - numbers[0] + 1 - len(numbers)

ports, ready = [], threading.Event()
thread = threading.Thread(target=theirs)
thread.start()
ready.wait()
program = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True)
endpoints = {"libzmq": f"tcp://127.0.0.1:{ports[0]}", "zeromq": program.stdout.readline().strip()}
seen = []
for name, endpoint in endpoints.items():
    for heartbeat in (False, True):
        connected, missing = watch(endpoint, heartbeat)
        times = "once" if connected == 1 else "again and again" if connected > 3 else f"{connected} times"
        with_or_without = "heartbeats:    " if heartbeat else "no heartbeats: "
        print(f"{name} PUB, {with_or_without} connected {times}, messages missing: {missing > 0}")
        seen.append((connected == 1, connected > 3, missing > 0))
stop.set()
thread.join()
program.kill()
sys.exit(seen != [(True, False, False)] * 3 + [(False, True, True)])
PYTHON
