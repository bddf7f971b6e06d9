#!/usr/bin/env bash
# mqttools 0.50.0 (Python; MQTT 5 broker) compared with amqtt 0.12.1: the broker makes a regular expression of a topic filter and escapes
# nothing, so x/# gets xy, x.y/+ gets xzy/1, and x(1)/+ never gets x(1)/a.
#
# Behaviour: one client publishes, one subscribes with one filter with a wildcard. amqtt delivers what the standard says.
# Expected (MQTT 5.0, 4.7.1.2): x/# matches x and all below it, no sibling whose name begins alike; all but # and + is literal.
# Seen: amqtt,    x/#     of x xy xy/z x/a:     x x/a
#       amqtt,    x.y/+   of x.y/1 xzy/1:       x.y/1
#       amqtt,    x(1)/+  of x(1)/a:            x(1)/a
#       mqttools, x/#     of x xy xy/z x/a:     x xy xy/z x/a
#       mqttools, x.y/+   of x.y/1 xzy/1:       x.y/1 xzy/1
#       mqttools, x(1)/+  of x(1)/a:
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mqttools==0.50.0 amqtt==0.12.1 gmqtt==0.8.0
timeout 120 "$folder/venv/bin/python" - <<'PYTHON'
import asyncio, logging, socket, sys
import gmqtt, mqttools
from amqtt.broker import Broker

logging.disable(logging.CRITICAL)

def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

async def start_amqtt(port):
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    return broker.shutdown

async def start_mqttools(port):
    task = asyncio.create_task(mqttools.Broker(("127.0.0.1", port)).serve_forever())
    await asyncio.sleep(0.5)

    async def stop():
        task.cancel()
        await asyncio.wait([task])

    return stop

async def client(port, name, version):
    topics, made = [], gmqtt.Client(name)

    def on_message(_client, topic, _payload, _qos, _properties):
        topics.append(topic)
        return 0

    made.on_message = on_message
    await asyncio.wait_for(made.connect("127.0.0.1", port, version=version), 5)
    return made, topics

async def delivered(port, version, wanted, published):
    publisher, _ = await client(port, "publisher", version)
    subscriber, topics = await client(port, "subscriber", version)
    subscriber.subscribe(wanted, qos=0)
    await asyncio.sleep(0.5)
    for topic in published:
        publisher.publish(topic, "value", qos=0)
    await asyncio.sleep(0.7)
    await subscriber.disconnect()
    await publisher.disconnect()
    return topics

FILTERS = {"x/#": ["x", "xy", "xy/z", "x/a"], "x.y/+": ["x.y/1", "xzy/1"], "x(1)/+": ["x(1)/a"]}
EXPECTED = {
    "amqtt": [["x", "x/a"], ["x.y/1"], ["x(1)/a"]],
    "mqttools": [["x", "xy", "xy/z", "x/a"], ["x.y/1", "xzy/1"], []],
}

async def main():
    same = True
    for name, start, version in (("amqtt", start_amqtt, 4), ("mqttools", start_mqttools, 5)):
        port = free_port()
        stop = await start(port)
        seen = [await delivered(port, version, wanted, published) for wanted, published in FILTERS.items()]
        await stop()
        for (wanted, published), topics in zip(FILTERS.items(), seen):
            print(f"{name + ',':9} {wanted:7} of {' '.join(published) + ':':18} {' '.join(topics)}".rstrip())
        same = same and seen == EXPECTED[name]
    sys.exit(0 if same else "this has changed")

asyncio.run(main())
PYTHON
