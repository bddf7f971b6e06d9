#!/usr/bin/env bash
# pyzmq 27.3.0 (libzmq 4.3.5): a SUB that binds tells a new publisher its subscriptions only when its owner calls it.
#
# Behaviour: a SUB subscribes to "a" and binds, and its owner does something else. An XPUB connects; the handshake is done, and the
# XPUB hears nothing for 3 seconds. When the owner of the SUB polls it once, the XPUB hears the subscription. A SUB that connects
# tells it at once, whatever its owner does.
# Expected: the I/O thread does the handshake and sends the subscriptions, with which the owner has nothing to do: a publisher that
# produces on demand would start.
# Seen: the SUB connects: the XPUB hears b'\x01a' within 3 s
#       the SUB binds: handshake done; the XPUB hears None within 3 s; after a poll of the SUB b'\x01a'
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.3.0
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import os, sys, zmq
from zmq.utils.monitor import recv_monitor_message

here, there = zmq.Context(), zmq.Context()

def heard(publisher):
    return publisher.recv() if publisher.poll(3000) else None

subscriber, publisher = here.socket(zmq.SUB), there.socket(zmq.XPUB)
subscriber.subscribe(b"a")
port = publisher.bind_to_random_port("tcp://127.0.0.1")
subscriber.connect(f"tcp://127.0.0.1:{port}")
connecting = heard(publisher)
print(f"the SUB connects: the XPUB hears {connecting!r} within 3 s")

subscriber, publisher = here.socket(zmq.SUB), there.socket(zmq.XPUB)
subscriber.subscribe(b"a")
port = subscriber.bind_to_random_port("tcp://127.0.0.1")
monitor = publisher.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
publisher.connect(f"tcp://127.0.0.1:{port}")
done = bool(monitor.poll(3000)) and recv_monitor_message(monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
idle = heard(publisher)
subscriber.poll(0)
called = heard(publisher)
text = "handshake done" if done else "no handshake"
print(f"the SUB binds: {text}; the XPUB hears {idle!r} within 3 s; after a poll of the SUB {called!r}")
sys.stdout.flush()
same = (connecting, done, idle, called) == (b"\x01a", True, None, b"\x01a")
if not same:
    print("this has changed", file=sys.stderr)
os._exit(0 if same else 1)
PYTHON
