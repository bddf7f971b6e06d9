"""Prices of whatever is wanted: reads `+topic` and `-topic`, writes `topic<TAB>value`. For examples/prices.toml.

Run it alone, type `+prices/AAPL`, and see what it writes.
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
        # Nothing is computed while nobody wants anything.
        changed.wait_for(lambda: wanted)
        for topic, price in wanted.items():
            wanted[topic] = price * random.uniform(0.999, 1.001)
            print(f"{topic}\t{wanted[topic]:.2f}")
    sys.stdout.flush()
    time.sleep(0.2)
