#!/usr/bin/env bash
# libzmq 4.3.5 (pyzmq 27.1.0): an XPUB with XPUB_NODROP polls as writable while every send is refused.
#
# Behaviour: while the queue of its only subscriber is full, poll(POLLOUT) reports "writable" each time and send(DONTWAIT)
# raises Again each time, so an event loop that waits for POLLOUT spins.
# Expected: the behaviour of PUSH, which polls as not writable while its only peer is full.
# Seen: XPUB with NODROP: polled writable 1000 of 1000 times, refused 1000 sends
#       PUSH:             polled writable 0 of 1000 times, refused 0 sends
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import sys, time, zmq

context = zmq.Context()

def refused_after_poll(sender, receiver):
    publisher = context.socket(sender)
    if sender == zmq.XPUB:
        publisher.setsockopt(zmq.XPUB_NODROP, 1)
    publisher.sndhwm = 10
    publisher.setsockopt(zmq.SNDBUF, 4096)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    reader = context.socket(receiver)
    reader.rcvhwm = 10
    reader.setsockopt(zmq.RCVBUF, 4096)
    reader.connect(f"tcp://127.0.0.1:{port}")
    if receiver == zmq.SUB:
        reader.subscribe(b"")
        publisher.recv()
    else:
        publisher.poll(5000, zmq.POLLOUT)
    quiet = 0
    while quiet < 100:  # until no message was taken for half a second
        try:
            publisher.send(bytes(1000), zmq.DONTWAIT)
            quiet = 0
        except zmq.Again:
            quiet += 1
            time.sleep(0.005)
    writable = refused = 0
    for _ in range(1000):
        if publisher.poll(0, zmq.POLLOUT):
            writable += 1
            try:
                publisher.send(b"x", zmq.DONTWAIT)
            except zmq.Again:
                refused += 1
    publisher.close(0)
    reader.close(0)
    return writable, refused

xpub = refused_after_poll(zmq.XPUB, zmq.SUB)
push = refused_after_poll(zmq.PUSH, zmq.PULL)
print(f"libzmq {zmq.zmq_version()}")
print(f"XPUB with NODROP: polled writable {xpub[0]} of 1000 times, refused {xpub[1]} sends")
print(f"PUSH:             polled writable {push[0]} of 1000 times, refused {push[1]} sends")
context.destroy(0)
sys.exit(0 if xpub == (1000, 1000) and push == (0, 0) else "this has changed")
PYTHON
