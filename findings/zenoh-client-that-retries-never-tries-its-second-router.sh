#!/usr/bin/env bash
# Zenoh 1.10.2 (eclipse-zenoh, Python): a client that lists two routers, the first of which is down, connects at once when it may
# not retry (connect/timeout_ms 0), and fails when it may retry for 3 s: it then never tries the second one.
#
# Behaviour: with a timeout the client retries the first endpoint until the time is over, and the error says that it could not
# connect to any of the two. In the other order, or without a timeout, it connects within 0.1 s. Reported for 1.0.2 and closed
# (eclipse-zenoh/zenoh issue 1602).
# Expected: more time can only help; each endpoint is tried in each round.
# Seen: timeout 0,    dead first:  connected
#       timeout 3000, alive first: connected
#       timeout 3000, dead first:  failed after 3.0 s
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

def session(mode, connect=(), listen=(), **settings):
    config = zenoh.Config()
    config.insert_json5("mode", json.dumps(mode))
    config.insert_json5("connect/endpoints", json.dumps(connect))
    config.insert_json5("listen/endpoints", json.dumps(listen))
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("scouting/gossip/enabled", "false")
    for key, value in settings.items():
        config.insert_json5(key.replace("__", "/"), json.dumps(value))
    return zenoh.open(config)

def outcome(timeout_ms, dead_first):
    alive, dead = (f"tcp/127.0.0.1:{free_port()}" for _ in range(2))
    router = session("router", listen=[alive])
    begun = time.monotonic()
    try:
        session("client", connect=[dead, alive] if dead_first else [alive, dead], connect__timeout_ms=timeout_ms).close()
        return "connected"
    except zenoh.ZError:
        return f"failed after {time.monotonic() - begun:.1f} s"
    finally:
        router.close()

seen = [outcome(0, True), outcome(3000, False), outcome(3000, True)]
for label, result in zip(("timeout 0,    dead first: ", "timeout 3000, alive first:", "timeout 3000, dead first: "), seen):
    print(f"{label} {result}")
sys.exit(0 if seen[:2] == ["connected"] * 2 and seen[2].startswith("failed") else "this has changed")
PYTHON
