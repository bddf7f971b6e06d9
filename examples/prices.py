"""Prices of the wanted topics: reads `+topic` and `-topic`, writes `topic<TAB>value`. For examples/prices.toml.

Run it alone and type `+prices/AAPL` to see its output.
"""
import random
import sys
import threading
import time

wanted = {}
changed = threading.Condition()


def listen():
    for line in sys.stdin:
        sign, topic = line[0], line[1:].rstrip("\n")
        with changed:
            if sign == "+":
                wanted[topic] = random.uniform(50, 150)
            else:
                wanted.pop(topic, None)
            changed.notify()


threading.Thread(target=listen, daemon=True).start()
while True:
    with changed:
        # Wait while no topic is wanted.
        changed.wait_for(lambda: wanted)
        for topic, price in wanted.items():
            wanted[topic] = price * random.uniform(0.999, 1.001)
            print(f"{topic}\t{wanted[topic]:.2f}")
    sys.stdout.flush()
    time.sleep(0.2)
