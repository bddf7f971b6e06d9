#!/usr/bin/env bash
# libzmq 4.3.5 (pyzmq 27.1.0): a SUB that once reached a socket of another type at its endpoint never connects again.
#
# Behaviour: a SUB connects to a port where a REP is bound by mistake. The REP goes and a PUB binds the same port, but the SUB stays
# silent for ever; its monitor shows CONNECTED, DISCONNECTED and nothing after: neither a HANDSHAKE_FAILED event nor a
# CONNECT_RETRIED.
# Expected: as after every other lost connection, that the SUB tries again, and finds the PUB that has come meanwhile.
# Seen: XPUB, then PUB: the SUB receives; connected 2 times, retried True, handshake failed False
#       REP, then PUB:  the SUB receives nothing in 5 s; connected 1 times, retried False, handshake failed False
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import sys, time, zmq
from zmq.utils.monitor import recv_monitor_message

context = zmq.Context()
context.linger = 0

def after(first):
    subscriber = context.socket(zmq.SUB)
    subscriber.subscribe(b"")
    monitor = subscriber.get_monitor_socket()
    wrong = context.socket(first)
    port = wrong.bind_to_random_port("tcp://127.0.0.1")
    subscriber.connect(f"tcp://127.0.0.1:{port}")
    time.sleep(1)
    wrong.close()
    time.sleep(0.3)
    publisher = context.socket(zmq.PUB)
    publisher.bind(f"tcp://127.0.0.1:{port}")
    received, end = False, time.monotonic() + 5
    while not received and time.monotonic() < end:
        publisher.send(b"value")
        received = bool(subscriber.poll(100))
    events = []
    while monitor.poll(0):
        events.append(zmq.Event(recv_monitor_message(monitor)["event"]).name or "")
    subscriber.disable_monitor()
    subscriber.close()
    publisher.close()
    failed = any(name.startswith("HANDSHAKE_FAILED") for name in events)
    text = "receives" if received else "receives nothing in 5 s"
    return f"the SUB {text}; connected {events.count('CONNECTED')} times, retried {'CONNECT_RETRIED' in events}, handshake failed {failed}"

right, wrong = after(zmq.XPUB), after(zmq.REP)
print(f"XPUB, then PUB: {right}")
print(f"REP, then PUB:  {wrong}")
same = right == "the SUB receives; connected 2 times, retried True, handshake failed False" and wrong == \
    "the SUB receives nothing in 5 s; connected 1 times, retried False, handshake failed False"
sys.exit(None if same else "this has changed")
PYTHON
