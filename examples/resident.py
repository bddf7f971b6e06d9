"""A model that takes 5 s to load, and answers at once then. For examples/resident.toml.

Run it alone and type {"wanted":"model/the-answer"} to see what it writes.
"""
import json
import os
import sys
import time

# Loading: LOAD_SECONDS makes it shorter, for a try.
time.sleep(float(os.environ.get("LOAD_SECONDS", "5")))


def answer(question):
    return f"{question.replace('-', ' ')}?\n42, says process {os.getpid()}"


def say(**what):
    print(json.dumps(what), flush=True)


for line in sys.stdin:
    topic = json.loads(line).get("wanted")
    if topic:
        try:
            say(topic=topic, value=answer(topic.split("/", 1)[1]))
            say(topic=topic, end=True)
        except Exception as error:
            # One question has failed, not the model: it is asked again after a while.
            say(topic=topic, error=str(error))
