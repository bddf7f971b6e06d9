#!/usr/bin/env bash
# Zenoh 1.10.2 (eclipse-zenoh, Python): a client's session.put() on a key without a publisher crosses the link to the router although
# nobody subscribes to anything, even below a declared publisher of the wildcard; the put of a declared publisher stays at home.
#
# Behaviour: 20,000 puts of 64 bytes, no subscriber anywhere, and TCP's bytes_sent (by ss) of the client's only link. A declared
# key expression changes nothing. A publisher of exactly that key makes session.put() silent too; one of t/** does not.
# Expected: all puts are filtered alike at the writer, or a publisher of t/** covers the keys below it.
# Seen: session.put, nothing declared:            1440539 bytes
#       session.put, key expression declared:     1440217 bytes
#       session.put, publisher of t/** declared:  1423297 bytes
#       session.put, publisher of t/a declared:   3 bytes
#       put of the publisher of t/a:              3 bytes
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check eclipse-zenoh==1.10.2
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import json, re, socket, subprocess, sys, time, zenoh

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

def sent(port):
    connections = subprocess.run(["ss", "-tinH", "dport", "=", f":{port}"], capture_output=True, text=True, check=True).stdout
    return sum(map(int, re.findall(r"bytes_sent:(\d+)", connections)))

VALUE = b"x" * 64

def cost(declare, put):
    """Bytes that a client sends to the router for 20,000 puts that nobody wants."""
    port = free_port()
    endpoint = f"tcp/127.0.0.1:{port}"
    router, client = session("router", listen=[endpoint]), session("client", connect=[endpoint])
    declared = declare(client)
    time.sleep(1)
    before = sent(port)
    for _ in range(20_000):
        put(client, declared)
    time.sleep(2)
    spent = sent(port) - before
    client.close()
    router.close()
    return spent

def session_put(client, declared):
    client.put(declared if isinstance(declared, zenoh.KeyExpr) else "t/a", VALUE)

def publisher_put(_, publisher):
    publisher.put(VALUE)

scenes = {
    "session.put, nothing declared:           ": (lambda client: None, session_put, True),
    "session.put, key expression declared:    ": (lambda client: client.declare_keyexpr("t/a"), session_put, True),
    "session.put, publisher of t/** declared: ": (lambda client: client.declare_publisher("t/**"), session_put, True),
    "session.put, publisher of t/a declared:  ": (lambda client: client.declare_publisher("t/a"), session_put, False),
    "put of the publisher of t/a:             ": (lambda client: client.declare_publisher("t/a"), publisher_put, False),
}
same = True
for label, (declare, put, crosses) in scenes.items():
    spent = cost(declare, put)
    print(f"{label} {spent} bytes")
    same = same and (spent > 1_000_000 if crosses else spent < 1_000)
sys.exit(0 if same else "this has changed")
PYTHON
