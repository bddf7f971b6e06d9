#!/usr/bin/env bash
# pyomq 0.21.0 compared with pyzmq 27.1.0 (libzmq 4.3.5): a pyomq SUB that subscribed twice ends the topic at the first
# unsubscribe.
#
# Behaviour: subscribe(T) twice, unsubscribe(T) once. A libzmq SUB counts and still receives T; a pyomq SUB has cancelled it.
# Expected: as libzmq's documentation says, each unsubscription cancels one subscription.
# Seen: pyzmq SUB: received after 2 subscribes and 1 unsubscribe: True
#       pyomq SUB: received after 2 subscribes and 1 unsubscribe: False
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0 pyomq==0.21.0
timeout 60 "$folder/venv/bin/python" - <<'PYTHON'
import os, sys, time, pyomq, zmq

def still_received(module):
    here, there = zmq.Context(), module.Context()
    publisher = here.socket(zmq.PUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    subscriber = there.socket(module.SUB)
    subscriber.connect(f"tcp://127.0.0.1:{port}")
    for option in (module.SUBSCRIBE, module.SUBSCRIBE, module.UNSUBSCRIBE):
        subscriber.setsockopt(option, b"T")
    time.sleep(1)
    publisher.send(b"T1")
    return bool(subscriber.poll(1000))

libzmq, omq = still_received(zmq), still_received(pyomq)
print(f"pyzmq SUB: received after 2 subscribes and 1 unsubscribe: {libzmq}")
print(f"pyomq SUB: received after 2 subscribes and 1 unsubscribe: {omq}")
sys.stdout.flush()
if (libzmq, omq) != (True, False):
    print("this has changed", file=sys.stderr)
os._exit(0 if (libzmq, omq) == (True, False) else 1)
PYTHON
