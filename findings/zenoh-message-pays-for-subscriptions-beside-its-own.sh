#!/usr/bin/env bash
# Zenoh 1.10.2 (eclipse-zenoh, Python) compared with pyzmq 27.1.0 (libzmq 4.3.5): what a message costs grows with the number of
# subscriptions that do not match it, when they are its siblings.
#
# Behaviour: one subscriber of the key (t/last/**), and others of t/0$*, t/1$* and so on, which no message matches. CPU time
# of the whole process (two clients and a router; with libzmq an XPUB and a SUB), for each message until it has been received.
# Expected: subscriptions are in an index, so that a message costs what its own receivers cost, as with prefixes in libzmq.
# Seen: zenoh, 1 subscription beside it: 11 us; 3000: 1732 us
#       zmq, 1 subscription beside it: 2 us; 3000: 3 us
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check eclipse-zenoh==1.10.2 pyzmq==27.1.0
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import json, socket, sys, time, zenoh, zmq

def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

def session(mode, connect=(), listen=()):
    config = zenoh.Config()
    config.insert_json5("mode", json.dumps(mode))
    config.insert_json5("connect/endpoints", json.dumps(connect))
    config.insert_json5("listen/endpoints", json.dumps(listen))
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("scouting/gossip/enabled", "false")
    return zenoh.open(config)

MESSAGES = 1000
OTHERS = 3000

def with_zenoh(others):
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    router = session("router", listen=[endpoint])
    here, there = (session("client", connect=[endpoint]) for _ in range(2))
    subscribers = [there.declare_subscriber(f"t/{number}$*", lambda sample: None) for number in range(others)]
    received = []
    subscribers.append(there.declare_subscriber("t/last/**", lambda sample: received.append(1)))
    probe = here.declare_publisher("t/last/probe")
    while not probe.matching_status.matching:
        time.sleep(0.01)
    time.sleep(1)
    begun = time.process_time()
    for number in range(MESSAGES):
        here.put("t/last/0", "value", congestion_control=zenoh.CongestionControl.BLOCK)
    while len(received) < MESSAGES:
        time.sleep(0.001)
    spent = time.process_time() - begun
    for each in (here, there, router):
        each.close()
    return spent / MESSAGES * 1e6

def with_zmq(others):
    context = zmq.Context()
    publisher, subscriber = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    publisher.hwm = subscriber.hwm = 0
    subscriber.connect(f"tcp://127.0.0.1:{publisher.bind_to_random_port('tcp://127.0.0.1')}")
    for prefix in [*(f"t/{number}" for number in range(others)), "t/last/"]:
        subscriber.subscribe(prefix)
    while publisher.recv() != b"\x01t/last/":
        pass
    begun = time.process_time()
    for _ in range(20 * MESSAGES):
        publisher.send(b"t/last/0 value")
    for _ in range(20 * MESSAGES):
        subscriber.recv()
    spent = time.process_time() - begun
    context.destroy(0)
    return spent / (20 * MESSAGES) * 1e6

dearer = {}
for name, cost in (("zenoh", with_zenoh), ("zmq", with_zmq)):
    few, many = cost(1), cost(OTHERS)
    dearer[name] = many - few
    print(f"{name}, 1 subscription beside it: {few:.0f} us; {OTHERS}: {many:.0f} us")
sys.exit(0 if dearer["zenoh"] > 300 and dearer["zmq"] < 30 else "this has changed")
PYTHON
