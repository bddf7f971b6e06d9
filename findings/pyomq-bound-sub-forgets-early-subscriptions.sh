#!/usr/bin/env bash
# pyomq 0.21.0 compared with pyzmq 27.3.0 (libzmq 4.3.5): a SUB that subscribes and binds after that is never heard.
#
# Behaviour: a SUB subscribes to "a", then binds; an XPUB connects. A SUB of pyzmq tells the XPUB its subscription; one of pyomq
# does not, and gets nothing. If it binds first and subscribes then, or uses XSUB, it works.
# Expected: the order of subscribe and bind does not matter: a socket tells each new peer what it is subscribed to.
# Seen: pyzmq: subscribe, then bind: the XPUB hears b'\x01a'
#       pyzmq: bind, then subscribe: the XPUB hears b'\x01a'
#       pyomq: subscribe, then bind: the XPUB hears None
#       pyomq: bind, then subscribe: the XPUB hears b'\x01a'
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.3.0 pyomq==0.21.0
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import os, socket, sys, time, pyomq, zmq

def heard(module, early):
    here, there = module.Context(), zmq.Context()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    subscriber = here.socket(module.SUB)
    if early:
        subscriber.setsockopt(module.SUBSCRIBE, b"a")
    subscriber.bind(endpoint)
    if not early:
        subscriber.setsockopt(module.SUBSCRIBE, b"a")
    publisher = there.socket(zmq.XPUB)
    publisher.connect(endpoint)
    for _ in range(30):
        # A SUB of libzmq sends to a new peer only while it is called.
        subscriber.poll(10)
        if publisher.poll(100):
            return publisher.recv()
    return None

seen = {}
for name, module in (("pyzmq", zmq), ("pyomq", pyomq)):
    for early in (True, False):
        order = "subscribe, then bind" if early else "bind, then subscribe"
        seen[name, early] = heard(module, early)
        print(f"{name}: {order}: the XPUB hears {seen[name, early]!r}")
sys.stdout.flush()
same = list(seen.values()) == [b"\x01a", b"\x01a", None, b"\x01a"]
if not same:
    print("this has changed", file=sys.stderr)
os._exit(0 if same else 1)
PYTHON
