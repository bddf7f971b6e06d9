"""A slow model: needs 0.2 s for each word of an answer. For examples/model.toml.

Run it alone to see what it writes: python3 examples/model.py how-much-is-6-times-7
"""
import sys
import time


def answer(question):
    words = question.replace("-", " ").split()
    numbers = [int(word) for word in words if word.isdigit()]
    if "times" in words and len(numbers) == 2:
        return f"{numbers[0]} times {numbers[1]} is {numbers[0] * numbers[1]}"
    return f"I have no answer to {' '.join(words)}"


for word in answer(sys.argv[1]).split():
    time.sleep(0.2)
    # Flush, so that subscribers see each word at once, not when a buffer is full.
    print(word, flush=True)
