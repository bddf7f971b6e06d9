#!/usr/bin/env bash
# pyomq 0.21.0 compared with pyzmq 27.1.0 (libzmq 4.3.5): a pyomq XPUB is not told that a subscriber has closed.
#
# Behaviour: two SUBs subscribe to one topic and close, one after the other. libzmq's XPUB reports the first subscription and the
# end of the last one. pyomq's XPUB reports both subscriptions (it does not filter duplicates across peers), and no end at all:
# a publisher that tracks demand with it produces forever without subscribers. The implementation of the SUBs does not matter.
# Expected: the same notifications, as the package calls itself a drop-in replacement for pyzmq.
# Seen: libzmq XPUB: two subscribe [b'\x01T'], both close [b'\x00T']
#       pyomq XPUB:  two subscribe [b'\x01T', b'\x01T'], both close []
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0 pyomq==0.21.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import os, sys, time, pyomq, zmq

def notifications(module):
    here, there = module.Context(), zmq.Context()
    publisher = here.socket(module.XPUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")

    def told():
        end, notes = time.monotonic() + 3, []
        while time.monotonic() < end:
            if publisher.poll(100):
                notes.append(publisher.recv())
        return notes

    subscribers = [there.socket(zmq.SUB) for _ in range(2)]
    for subscriber in subscribers:
        subscriber.connect(f"tcp://127.0.0.1:{port}")
        subscriber.subscribe(b"T")
    came = told()
    for subscriber in subscribers:
        subscriber.close(0)
    return came, told()

theirs, ours = notifications(zmq), notifications(pyomq)
print(f"libzmq XPUB: two subscribe {theirs[0]}, both close {theirs[1]}")
print(f"pyomq XPUB:  two subscribe {ours[0]}, both close {ours[1]}")
sys.stdout.flush()
expected = theirs == ([b"\x01T"], [b"\x00T"]) and ours == ([b"\x01T", b"\x01T"], [])
if not expected:
    print("this has changed", file=sys.stderr)
os._exit(0 if expected else 1)
PYTHON
