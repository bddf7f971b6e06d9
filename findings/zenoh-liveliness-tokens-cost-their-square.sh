#!/usr/bin/env bash
# Zenoh 1.10.2 (eclipse-zenoh, Python): what it costs until a liveliness subscriber knows n tokens of one session grows with the
# square of n, or faster, when they are siblings.
#
# Behaviour: two clients and a router in one process; CPU time from the first token declared to the last one known. Four times the
# tokens l/0, l/1 and so on cost about 20 times the time.
# Expected: a token costs about the same however many there are beside it.
# Seen: 2000 tokens: 0.32 s of CPU time, 159 us each
#       8000 tokens: 6.81 s of CPU time, 851 us each
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check eclipse-zenoh==1.10.2
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import json, socket, sys, time, zenoh

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

def cost(count):
    """Microseconds of CPU time for each of `count` tokens, until all are known, and the number of known ones."""
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    router = session("router", listen=[endpoint])
    here, there = (session("client", connect=[endpoint]) for _ in range(2))
    known = []
    subscriber = there.liveliness().declare_subscriber("l/*", lambda sample: known.append(1))
    time.sleep(0.5)
    begun, until = time.process_time(), time.monotonic() + 45
    tokens = [here.liveliness().declare_token(f"l/{number}") for number in range(count)]
    while len(known) < count and time.monotonic() < until:
        time.sleep(0.01)
    spent, complete = time.process_time() - begun, len(known) == count
    for each in (here, there, router):
        each.close()
    print(f"{count} tokens: {spent:.2f} s of CPU time, {spent / count * 1e6:.0f} us each")
    return spent / count, complete

(few, few_complete), (many, many_complete) = cost(2000), cost(8000)
sys.exit(0 if few_complete and many_complete and many > 2 * few else "this has changed")
PYTHON
