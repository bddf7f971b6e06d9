"""Values that are produced only while somebody subscribes to them, from Python.

    pip install .                      # in the root of the repository
    python examples/on_demand.py
    oncue sub tcp://127.0.0.1:8888 --topic sql/users --count 2
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterator

import oncue

DATABASE = f"{tempfile.gettempdir()}/oncue-example.db"
on = oncue.OnDemand("tcp://127.0.0.1:8888", grace=2)


@on.every("sql/{table:word}", seconds=5, keep_last=True, fresh_for=30)
def rows(table: str) -> str:
    """How many rows a table has. `word` lets nothing through that could be more than a name."""
    with sqlite3.connect(DATABASE) as db:
        (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    return f"{count} rows"


@on.stream("count/{step:int}")
def count(step: int) -> Iterator[str]:
    """Runs from the first subscriber to the last one; then `finally` runs."""
    n = 0
    try:
        while True:
            yield str(n)
            n += step
            time.sleep(0.5)
    finally:
        print(f"nobody counts by {step} any more, at {n}")


@on.stream("ticks/{symbol}")
async def ticks(symbol: str) -> AsyncIterator[str]:
    """A coroutine: cancelled when nobody wants it any more."""
    price = 100
    while True:
        yield f"{symbol} {price}"
        price += 1
        await asyncio.sleep(0.2)


@on.batch("quotes/{symbol}", seconds=0.5, catalogue=["AAPL", "MSFT", "NVDA"])
def quotes(topics: list[oncue.Feed]) -> dict[bytes, str]:
    """One call for all that is wanted now."""
    return {feed.topic: f"the quote of {feed.params['symbol']}" for feed in topics}


if __name__ == "__main__":
    with sqlite3.connect(DATABASE) as db:
        db.execute("CREATE TABLE IF NOT EXISTS users (name TEXT)")
    on.run()
