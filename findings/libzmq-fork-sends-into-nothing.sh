#!/usr/bin/env bash
# libzmq 4.3.5 (in pyzmq 27.1.0): a send in the child of a fork succeeds, and nothing is sent.
#
# Set up: a PUB and a SUB of one process, connected over TCP; the process forks, as pre-forking servers do that were given a
# socket before the fork. The child sends five messages with the PUB, then ends.
# Behaviour: each send returns at once, without an error. The messages are queued for an I/O thread that the child does not have;
# no subscriber gets one. The parent's own messages before and after arrive.
# One would guess: an error. libzmq compares process ids where it waits for commands (signaler.cpp, HAVE_FORK), so it can tell a
# fork; a send does not say so.
# Output seen: the child's 5 sends: 5 succeed, 0 errors
#              received: 2 messages of the parent, 0 of the child
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0
cat > "$work/fork.py" <<'PY'
import os, time, zmq

context = zmq.Context()
publisher = context.socket(zmq.PUB)
subscriber = context.socket(zmq.SUB)
subscriber.subscribe(b"")
subscriber.connect(f"tcp://127.0.0.1:{publisher.bind_to_random_port('tcp://127.0.0.1')}")
while not subscriber.poll(20):
    publisher.send(b"hello")
while subscriber.poll(200):
    subscriber.recv()

publisher.send(b"of the parent, before")
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    outcomes = b""
    for number in range(5):
        try:
            publisher.send(b"of the child")
            outcomes += b"s"
        except zmq.ZMQError:
            outcomes += b"e"
    os.write(writer, outcomes)
    os._exit(0)
os.waitpid(child, 0)
outcomes = os.read(reader, 100)
publisher.send(b"of the parent, after")
received = []
while subscriber.poll(1000):
    received.append(subscriber.recv())
children = sum(message == b"of the child" for message in received)
print(f"libzmq {zmq.zmq_version()}")
print(f"the child's 5 sends: {outcomes.count(b's')} succeed, {outcomes.count(b'e')} errors")
print(f"received: {len(received) - children} messages of the parent, {children} of the child")
as_seen = outcomes == b"sssss" and children == 0 and len(received) == 2
print("as seen" if as_seen else "CHANGED")
raise SystemExit(0 if as_seen else 1)
PY
timeout 60 "$work/venv/bin/python" "$work/fork.py"
