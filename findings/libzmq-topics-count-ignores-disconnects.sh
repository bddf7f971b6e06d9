#!/usr/bin/env bash
# libzmq 4.3.5 (pyzmq 27.1.0): ZMQ_TOPICS_COUNT of an XPUB decreases with unsubscriptions, but not with disconnections.
#
# Behaviour: after the only subscriber of two topics has closed, and the XPUB's user has read both unsubscribe
# notifications, TOPICS_COUNT is still 2. After an explicit unsubscribe() it decreases as expected.
# Expected: the count is the number of topics in force; both ways of leaving lower it.
# Seen: 2 topics subscribed: 2, unsubscribed: 0
#       2 topics subscribed: 2, subscriber closed: 2 (after the notifications [b'\x00a', b'\x00b'])
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import sys, zmq

context = zmq.Context()

def counts(leave):
    publisher = context.socket(zmq.XPUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    subscriber = context.socket(zmq.SUB)
    subscriber.connect(f"tcp://127.0.0.1:{port}")
    for topic in (b"a", b"b"):
        subscriber.subscribe(topic)
    wanted = [publisher.recv(), publisher.recv()]
    before = publisher.getsockopt(zmq.TOPICS_COUNT)
    leave(subscriber)
    unwanted = sorted([publisher.recv(), publisher.recv()])
    publisher.poll(200)
    after = publisher.getsockopt(zmq.TOPICS_COUNT)
    publisher.close(0)
    subscriber.close(0)
    return before, after, unwanted

def unsubscribe(subscriber):
    subscriber.unsubscribe(b"a")
    subscriber.unsubscribe(b"b")

by_cancel = counts(unsubscribe)
by_close = counts(lambda subscriber: subscriber.close(0))
print(f"libzmq {zmq.zmq_version()}")
print(f"2 topics subscribed: {by_cancel[0]}, unsubscribed: {by_cancel[1]}")
print(f"2 topics subscribed: {by_close[0]}, subscriber closed: {by_close[1]} (after the notifications {by_close[2]})")
context.destroy(0)
sys.exit(0 if by_cancel[:2] == (2, 0) and by_close[:2] == (2, 2) else "this has changed")
PYTHON
