#!/usr/bin/env bash
# Zenoh 1.10.2 (eclipse-zenoh, Python): two sessions in mode "peer" that are connected only to the same router never exchange a
# message; two in mode "client" do.
#
# Behaviour: a subscriber and a publisher of one key, each in a session that lists the router and does not listen. As clients the
# publisher's matching status is true and all messages arrive. As peers it stays false and nothing arrives, with
# gossip off and with gossip on: a router does not relay between its peers, and these cannot dial each other. No error is raised.
# Expected: sessions that are connected to one router can communicate through it, whatever their mode.
# Seen: client, gossip off: matching True, received 5 of 5
#       peer, gossip off:   matching False, received 0 of 5
#       peer, gossip on:    matching False, received 0 of 5
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

def session(mode, gossip, connect=(), listen=()):
    config = zenoh.Config()
    config.insert_json5("mode", json.dumps(mode))
    config.insert_json5("connect/endpoints", json.dumps(connect))
    config.insert_json5("listen/endpoints", json.dumps(listen))
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("scouting/gossip/enabled", json.dumps(gossip))
    return zenoh.open(config)

def exchange(mode, gossip):
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    router = session("router", gossip, listen=[endpoint])
    here, there = (session(mode, gossip, connect=[endpoint]) for _ in range(2))
    received = []
    subscriber = there.declare_subscriber("t/a", lambda sample: received.append(sample))
    publisher = here.declare_publisher("t/a")
    time.sleep(3)
    matching = publisher.matching_status.matching
    for _ in range(5):
        publisher.put("value")
        time.sleep(0.1)
    time.sleep(1)
    for each in (here, there, router):
        each.close()
    return matching, len(received)

seen = [exchange("client", False), exchange("peer", False), exchange("peer", True)]
for label, (matching, received) in zip(("client, gossip off:", "peer, gossip off:  ", "peer, gossip on:   "), seen):
    print(f"{label} matching {matching}, received {received} of 5")
sys.exit(0 if seen == [(True, 5), (False, 0), (False, 0)] else "this has changed")
PYTHON
