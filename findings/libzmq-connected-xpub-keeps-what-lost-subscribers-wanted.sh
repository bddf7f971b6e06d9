#!/usr/bin/env bash
# libzmq 4.3.5 (pyzmq 27.1.0): an XPUB that connects to its subscribers is never told that one of them has gone, unless
# ZMQ_IMMEDIATE is set.
#
# Behaviour: a SUB binds, an XPUB connects to it, the SUB wants A and closes. No \x00A comes within 3 s. A SUB that binds the same port
# later and wants B alone is taken for the same peer: the XPUB's user still has A, and messages on A are sent to it. With IMMEDIATE=1, whose
# documentation speaks only of queueing messages while there is no connection, the cancel comes, and A is not sent.
# Expected: as where the XPUB binds: the loss of a subscriber cancels its subscriptions, whatever side has connected.
# Seen: XPUB binds:                  told [b'\x01A'], after the loss [b'\x00A']
#       XPUB connects:               told [b'\x01A'], after the loss [], after the return [b'\x01B'], sent to it [b'A', b'B']
#       XPUB connects, IMMEDIATE=1:  told [b'\x01A'], after the loss [b'\x00A'], after the return [b'\x01B'], sent to it [b'B']
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import socket, sys, time, zmq

context = zmq.Context()
context.linger = 0
GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x00NULL" + bytes(48)
BODY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
READY = b"\x04" + bytes([len(BODY)]) + BODY

def told(publisher, subscriber=None, seconds=3):
    """What the XPUB's user receives; the SUB makes progress only inside its user's calls."""
    end, notes = time.monotonic() + seconds, []
    while time.monotonic() < end:
        if subscriber is not None:
            subscriber.poll(0)
        if publisher.poll(20):
            notes.append(publisher.recv())
    return notes

def binds():
    publisher, subscriber = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    subscriber.connect(f"tcp://127.0.0.1:{publisher.bind_to_random_port('tcp://127.0.0.1')}")
    subscriber.subscribe(b"A")
    first = told(publisher, subscriber, 1)
    subscriber.close()
    return first, told(publisher)

def connects(immediate):
    publisher, subscriber = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    publisher.immediate = immediate
    port = subscriber.bind_to_random_port("tcp://127.0.0.1")
    publisher.connect(f"tcp://127.0.0.1:{port}")
    subscriber.subscribe(b"A")
    first = told(publisher, subscriber, 1)
    subscriber.close()
    lost = told(publisher)
    # A SUB filters again what it receives, so a plain ZMTP 3.0 peer takes its place and counts what is sent.
    listener = socket.create_server(("127.0.0.1", port))
    listener.settimeout(5)
    peer, _ = listener.accept()
    peer.settimeout(1)
    peer.sendall(GREETING)
    received = b""
    while len(received) < 64:
        received += peer.recv(64 - len(received))
    peer.sendall(READY)
    peer.sendall(b"\x00\x02\x01B")
    returned = told(publisher, None, 1)
    for topic in (b"A", b"B"):
        publisher.send(topic)
    received = b""
    try:
        while b"\x00\x01B" not in received:
            received += peer.recv(4096)
    except TimeoutError:
        pass
    sent = [topic for topic in (b"A", b"B") if b"\x00\x01" + topic in received]
    return first, lost, returned, sent

first, lost = binds()
print(f"XPUB binds:                  told {first}, after the loss {lost}")
seen = [(first, lost)]
for immediate, name in ((0, ":              "), (1, ", IMMEDIATE=1: ")):
    first, lost, returned, sent = connects(immediate)
    print(f"XPUB connects{name} told {first}, after the loss {lost}, after the return {returned}, sent to it {sent}")
    seen.append((first, lost, returned, sent))
sys.exit(seen != [
    ([b"\x01A"], [b"\x00A"]),
    ([b"\x01A"], [], [b"\x01B"], [b"A", b"B"]),
    ([b"\x01A"], [b"\x00A"], [b"\x01B"], [b"B"]),
])
PYTHON
