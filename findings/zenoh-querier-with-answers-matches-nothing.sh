#!/usr/bin/env bash
# Zenoh 1.10.2 (eclipse-zenoh, Python): the matching status of a querier of q/* is false while a queryable of q/a answers it; that of
# a publisher of q/* is true with a subscriber of q/a.
#
# Behaviour: a querier counts a queryable only if the queryable's key expression includes the whole of the querier's, although its
# target is BEST_MATCHING, and its get() reaches every queryable whose key expression intersects. A publisher counts what
# intersects. An application that asks only while something matches never asks.
# Expected: the status is true when a get() can be answered, and both kinds decide by the same rule.
# Seen: q/a beside q/a:  publisher matching True, querier matching True, answers 1
#       q/a beside q/*:  publisher matching True, querier matching True, answers 1
#       q/* beside q/**: publisher matching True, querier matching True, answers 1
#       q/* beside q/a:  publisher matching True, querier matching False, answers 1
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

def matching(asked, offered):
    """Whether a publisher and a querier of `asked` are told of a subscriber and a queryable of `offered`, and the answers."""
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    router = session("router", listen=[endpoint])
    here, there = (session("client", connect=[endpoint]) for _ in range(2))
    subscriber = there.declare_subscriber(offered, lambda sample: None)
    queryable = there.declare_queryable(offered, lambda query: query.reply("q/a", "value"))
    time.sleep(0.5)
    publisher = here.declare_publisher(asked)
    querier = here.declare_querier(asked, target=zenoh.QueryTarget.BEST_MATCHING)
    time.sleep(1.5)
    told = publisher.matching_status.matching, querier.matching_status.matching
    answers = len(list(querier.get()))
    for each in (here, there, router):
        each.close()
    return *told, answers

expected = {
    ("q/a", "q/a"): (True, True, 1),
    ("q/a", "q/*"): (True, True, 1),
    ("q/*", "q/**"): (True, True, 1),
    ("q/*", "q/a"): (True, False, 1),
}
same = True
for (asked, offered), result in expected.items():
    seen = matching(asked, offered)
    print(f"{asked} beside {offered + ':':5} publisher matching {seen[0]}, querier matching {seen[1]}, answers {seen[2]}")
    same = same and seen == result
sys.exit(0 if same else "this has changed")
PYTHON
