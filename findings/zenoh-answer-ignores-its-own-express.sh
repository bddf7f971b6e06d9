#!/usr/bin/env bash
# Zenoh 1.10.2 (eclipse-zenoh, Python): an answer has the `express` of its question; what the queryable passes to reply(express=...)
# is ignored, without the deprecation warning that `priority` and `congestion_control` give there.
#
# Behaviour: the sample of the answer is express exactly when the get() was.
# Expected: the queryable decides how the answer is sent, or is told that the argument has no effect.
# Seen: reply express False, get express False: the answer's express is False
#       reply express False, get express True:  the answer's express is True
#       reply express True,  get express False: the answer's express is False
#       reply express True,  get express True:  the answer's express is True
#       warnings: 0 of 4 for express, 4 of 4 for priority
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check eclipse-zenoh==1.10.2
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import json, socket, sys, time, warnings, zenoh

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

def answer(told, question, **reply):
    """The answer to a get() with `question`, from a queryable that replies with `reply`; warnings go to `told`."""
    def respond(query):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            query.reply("t/a", "value", **reply)
        told.append(any(next(iter(reply)) in str(each.message) for each in caught))

    queryable = there.declare_queryable("t/a", respond)
    time.sleep(0.3)
    (only,) = here.get("t/a", **question)
    queryable.undeclare()
    return only.ok

endpoint = f"tcp/127.0.0.1:{free_port()}"
router = session("router", listen=[endpoint])
here, there = (session("client", connect=[endpoint]) for _ in range(2))
of_express, of_priority, same = [], [], True
for reply in (False, True):
    for question in (False, True):
        seen = answer(of_express, {"express": question}, express=reply).express
        answer(of_priority, {"express": question}, priority=zenoh.Priority.REAL_TIME)
        print(f"reply express {str(reply) + ',':6} get express {str(question) + ':':6} the answer's express is {seen}")
        same = same and seen == question
for each in (here, there, router):
    each.close()
print(f"warnings: {sum(of_express)} of 4 for express, {sum(of_priority)} of 4 for priority")
sys.exit(0 if same and sum(of_express) == 0 and sum(of_priority) == 4 else "this has changed")
PYTHON
