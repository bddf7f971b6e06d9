#!/usr/bin/env bash
# Zenoh 1.10.2 (eclipse-zenoh, Python; zenoh.ext): an advanced subscriber that asks for a history of one sample of a key gets one of each
# publisher's cache, and the older value can come last (in 2 to 7 of 12 rounds).
#
# Behaviour: two sessions publish the same key with a cache of one sample, "old" and 0.2 s later "new"; all sessions timestamp.
# A subscriber that comes afterwards with HistoryConfig(max_samples=1), documented as "how many samples to query for each
# resource", gets both, and the timestamp of the first one can be the greater. One that keeps what came last has the old value.
# Expected: the latest sample of the key, or both in the order of their timestamps.
# Seen: 12 of 12 subscribers got 2 samples, 7 of them the older one last
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check eclipse-zenoh==1.10.2
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import json, socket, sys, time, zenoh
import zenoh.ext

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
    config.insert_json5("timestamping/enabled", "true")
    return zenoh.open(config)

ROUNDS = 60

def history():
    """What a late subscriber gets of "old" and "new", in the order in which it comes, with the timestamps."""
    first, second, reader = (session("client", connect=[endpoint]) for _ in range(3))
    cache = zenoh.ext.CacheConfig(max_samples=1)
    publishers = [zenoh.ext.declare_advanced_publisher(each, "t/a", cache=cache) for each in (first, second)]
    for publisher, value in zip(publishers, ("old", "new")):
        publisher.put(value)
        time.sleep(0.2)
    received = []
    subscriber = zenoh.ext.declare_advanced_subscriber(
        reader, "t/a", received.append, history=zenoh.ext.HistoryConfig(max_samples=1))
    time.sleep(1)
    for each in (reader, first, second):
        each.close()
    return [(sample.payload.to_string(), sample.timestamp.get_time()) for sample in received]

endpoint = f"tcp/127.0.0.1:{free_port()}"
router = session("router", listen=[endpoint])
seen = []
is_older_last = lambda each: [value for value, _ in each] == ["new", "old"] and each[0][1] > each[1][1]
# At least 12 rounds, and more until it is seen: it depends on the order in which two answers come.
while len(seen) < ROUNDS and not (len(seen) >= 12 and any(map(is_older_last, seen))):
    seen.append(history())
router.close()
both = sum(len(each) == 2 for each in seen)
older_last = sum(map(is_older_last, seen))
print(f"{both} of {len(seen)} subscribers got 2 samples, {older_last} of them the older one last")
sys.exit(0 if both == len(seen) and older_last > 0 else "this has changed")
PYTHON
