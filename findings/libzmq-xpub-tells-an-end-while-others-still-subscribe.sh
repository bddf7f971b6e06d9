#!/usr/bin/env bash
# libzmq 4.3.5 (pyzmq 27.1.0) with a peer of pyomq 0.21.0: an XPUB tells its user that a topic is no longer wanted while a subscriber of
# it is connected and goes on receiving it.
#
# Behaviour: a SUB wants A. An XSUB, which never subscribed to A, sends \x00A. An XSUB of libzmq keeps such a cancel to itself. One of
# pyomq sends it, and the XPUB of libzmq hands it to its user as \x00A, although it removes nothing: the SUB still receives A. The only
# subscription of a topic and an end that ends nothing look the same, so a publisher that stops when it is told starves the SUB.
# Expected: the last unsubscription is told, as XPUB's documentation says, and not one that no subscription of its sender stood behind.
# Seen: SUB subscribes:           XPUB told [b'\x01A']
#       XSUB of libzmq cancels:   XPUB told [], SUB receives True
#       XSUB of pyomq cancels:    XPUB told [b'\x00A'], SUB receives True
#       SUB unsubscribes:         XPUB told [b'\x00A']
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0 pyomq==0.21.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import os, sys, time, pyomq, zmq

context = zmq.Context()
publisher, subscriber = context.socket(zmq.XPUB), context.socket(zmq.SUB)
endpoint = f"tcp://127.0.0.1:{publisher.bind_to_random_port('tcp://127.0.0.1')}"
subscriber.connect(endpoint)

def told():
    end, notes = time.monotonic() + 2, []
    while time.monotonic() < end:
        if publisher.poll(100):
            notes.append(publisher.recv())
    return notes

def still_received():
    publisher.send(b"A1")
    return bool(subscriber.poll(2000)) and subscriber.recv() == b"A1"

subscriber.subscribe(b"A")
seen = [told()]
print(f"SUB subscribes:           XPUB told {seen[-1]}")
for module, name in ((zmq, "libzmq"), (pyomq, "pyomq")):
    other = module.Context().socket(module.XSUB)
    other.connect(endpoint)
    time.sleep(1)
    other.send(b"\x00A")
    seen.append((told(), still_received()))
    of = f"XSUB of {name} cancels:"
    print(f"{of:25} XPUB told {seen[-1][0]}, SUB receives {seen[-1][1]}")
subscriber.unsubscribe(b"A")
seen.append(told())
print(f"SUB unsubscribes:         XPUB told {seen[-1]}")
sys.stdout.flush()
# Without waiting for either library to end its context.
os._exit(seen != [[b"\x01A"], ([], True), ([b"\x00A"], True), [b"\x00A"]])
PYTHON
