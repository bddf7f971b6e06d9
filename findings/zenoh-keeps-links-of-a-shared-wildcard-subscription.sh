#!/usr/bin/env bash
# Zenoh 1.10.2 (eclipse-zenoh, Python): a router keeps each client that has ended, if it had subscribed to a key with a wildcard to
# which another client is still subscribed.
#
# Behaviour: resident memory of a router in a process of its own, while clients connect, subscribe to t/* and close, one after another;
# another client stays subscribed to t/* or to t, which is what the others subscribe to.
# Expected: the router holds as much after the clients as before.
# Seen: t/*: 3222 bytes for each of 1500 clients that have ended
#       t: 167 bytes for each of 1500 clients that have ended
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check eclipse-zenoh==1.10.2
cat > "$folder/clients.py" <<'PYTHON'
import ctypes, json, socket, subprocess, sys, time, zenoh

def session(mode, connect=(), listen=()):
    config = zenoh.Config()
    config.insert_json5("mode", json.dumps(mode))
    config.insert_json5("connect/endpoints", json.dumps(connect))
    config.insert_json5("listen/endpoints", json.dumps(listen))
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("scouting/gossip/enabled", "false")
    return zenoh.open(config)

def play_router(endpoint):
    """Says how many kB it has resident, whenever it is asked. What was freed is given back first."""
    router = session("router", listen=[endpoint])
    print("ready", flush=True)
    for _ in sys.stdin:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        lines = open("/proc/self/status").read().splitlines()
        print(next(line.split()[1] for line in lines if line.startswith("VmRSS")), flush=True)
    router.close()

def grown(key):
    """How many bytes a router grows by for each client."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        endpoint = f"tcp/127.0.0.1:{listener.getsockname()[1]}"
    line = [sys.executable, __file__, endpoint]
    router = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    router.stdout.readline()

    def resident():
        time.sleep(1)
        print(file=router.stdin, flush=True)
        return int(router.stdout.readline()) * 1024

    stays = session("client", connect=[endpoint])
    subscriber = stays.declare_subscriber(key, lambda sample: None)

    def clients(count):
        for _ in range(count):
            client = session("client", connect=[endpoint])
            client.declare_subscriber(key, lambda sample: None)
            time.sleep(0.005)
            client.close()

    clients(300)
    before = resident()
    clients(CLIENTS)
    each = (resident() - before) / CLIENTS
    stays.close()
    router.stdin.close()
    router.wait()
    print(f"{key}: {each:.0f} bytes for each of {CLIENTS} clients that have ended")
    return each

CLIENTS = 1500
if len(sys.argv) > 1:
    play_router(sys.argv[1])
else:
    wild, plain = grown("t/*"), grown("t")
    sys.exit(0 if wild > 1000 and plain < 500 else "this has changed")
PYTHON
timeout 200 "$folder/venv/bin/python" "$folder/clients.py"
