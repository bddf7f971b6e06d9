#!/usr/bin/env bash
# libzmq 4.3.5 (pyzmq 27.1.0): ZMQ_CONFLATE on a PUB also conflates the incoming subscriptions.
#
# Behaviour: a SUB subscribes to a, b and c; a PUB with CONFLATE=1 sends all three topics, slowly, ten times. The SUB
# receives only c: of several subscriptions that arrive together the PUB keeps only the last one.
# Expected: CONFLATE keeps the last *message* for each subscriber; every subscription stays in force.
# Seen: without CONFLATE: received [b'a', b'b', b'c']
#       with CONFLATE:    received [b'c']
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import sys, time, zmq

context = zmq.Context()
TOPICS = (b"a", b"b", b"c")

def received(conflate):
    publisher = context.socket(zmq.PUB)
    publisher.setsockopt(zmq.CONFLATE, conflate)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    subscriber = context.socket(zmq.SUB)
    for topic in TOPICS:
        subscriber.subscribe(topic)
    subscriber.connect(f"tcp://127.0.0.1:{port}")
    time.sleep(0.5)
    topics = set()
    for _ in range(10):
        for topic in TOPICS:
            publisher.send(topic)
            while subscriber.poll(50):
                topics.add(subscriber.recv())
    publisher.close(0)
    subscriber.close(0)
    return sorted(topics)

plain, conflated = received(0), received(1)
print(f"libzmq {zmq.zmq_version()}")
print(f"without CONFLATE: received {plain}")
print(f"with CONFLATE:    received {conflated}")
context.destroy(0)
sys.exit(0 if plain == sorted(TOPICS) and conflated == [b"c"] else "this has changed")
PYTHON
