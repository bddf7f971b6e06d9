#!/usr/bin/env bash
# pyomq 0.21.0 compared with pyzmq 27.1.0 (libzmq 4.3.5): what a message costs a pyomq PUB grows with the subscribers that do not want it.
#
# Behaviour: one subscriber gets all messages; the others want topics that are never sent. Beside 1 of these a message takes about as
# long with either; beside 1,000 it takes pyomq 7 to 9 times as long, and libzmq hardly longer (1.0 to 2 times in four runs).
# Expected: prefixes of all subscribers are in one index, so that a message costs what its own receivers cost.
# Seen: zmq: 6.8 us a message beside 1 subscriber of something else, 13.9 us beside 1000
#       pyomq: 7.9 us a message beside 1 subscriber of something else, 53.6 us beside 1000
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.1.0 pyomq==0.21.0
cat >"$folder/scene.py" <<'PYTHON'
import importlib, sys, time

MESSAGES = 3000
OTHERS = 1000

def rate(library, others):
    """Messages a second that one subscriber gets, while `others` want topics that are never sent."""
    zmq = importlib.import_module(library)
    context = zmq.Context()
    pub = context.socket(zmq.PUB)
    pub.sndhwm = 100_000
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    subscribers = []
    for number in range(others + 1):
        sub = context.socket(zmq.SUB)
        sub.rcvhwm = 100_000
        sub.subscribe(b"wanted" if number == 0 else b"never sent %d" % number)
        sub.connect(f"tcp://127.0.0.1:{port}")
        subscribers.append(sub)
    reader = subscribers[0]
    time.sleep(2)
    begun = time.monotonic()
    for number in range(MESSAGES):
        pub.send(b"wanted %d" % number)
    sent = time.monotonic()
    for _ in range(MESSAGES):
        if not reader.poll(10000):
            break
        reader.recv()
    ended = time.monotonic()
    for socket in [pub, *subscribers]:
        socket.close(linger=0)
    return (ended - begun) / MESSAGES * 1e6

slower = {}
for library in ["zmq", "pyomq"]:
    few, many = rate(library, 1), rate(library, OTHERS)
    slower[library] = many / few
    print(f"{library}: {few:.1f} us a message beside 1 subscriber of something else, {many:.1f} us beside {OTHERS}")
sys.exit(0 if slower["pyomq"] > 3 and slower["pyomq"] > 2 * slower["zmq"] else "this has changed")
PYTHON
"$folder/venv/bin/python" "$folder/scene.py"
