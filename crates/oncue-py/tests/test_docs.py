"""The guide: its examples are Python, and what it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import oncue

ROOT = Path(__file__).resolve().parents[3]
PAGES = ["README.md", "docs/PYTHON.md"]


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_every_example_of_a_page_is_python(page: str) -> None:
    assert blocks(page)
    for block in blocks(page):
        compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("page", PAGES)
def test_everything_that_a_page_takes_from_oncue_exists(page: str) -> None:
    for block in blocks(page):
        for name in re.findall(r"\boncue\.([A-Za-z_]+)", block):
            assert hasattr(oncue, name) or name == "zmq", name


def test_every_setting_of_a_route_in_the_guide_is_accepted() -> None:
    values = {
        "grace": 2, "keep_last": True, "keep_last_age": 1, "keep_last_bytes": 100, "keep_last_outlive": True, "fresh_for": 30,
        "once": True, "catalogue": ["a"], "catalogue_seconds": 60, "min_run": 1, "feeds_max": 5, "backoff": (0.1, 5),
        "min_interval": 0.1, "on_full": "latest", "frames": ["{topic}", "{n}", "{value}"], "fill": lambda n: n,
        "admit": lambda request: True, "pace": 1, "key": "k",
    }  # fmt: skip
    page = (ROOT / "docs" / "PYTHON.md").read_text()
    table = page[page.index("| setting of a route |") : page.index("A decorator may come after")]
    rows = [row for row in table.splitlines()[2:] if row]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)(?:=[^`]*)?`", row.split("|")[1])}
    named |= set(re.findall(r"`(keep_last_[a-z]+|catalogue_seconds)", table))
    assert named == set(values)
    for name, value in values.items():
        on = oncue.OnDemand("tcp://127.0.0.1:0")
        needed = {"keep_last": True} if name in {"fresh_for", "once"} else {}
        on.every("x/{n}", seconds=1, **{name: value}, **needed)(lambda n: n)


def test_the_five_lines_of_the_guide_serve_a_directory() -> None:
    [lines] = [block for block in blocks("docs/PYTHON.md") if "usage" in block]
    lines = lines.replace("tcp://127.0.0.1:8888", "tcp://127.0.0.1:0").split("on.run()")[0]
    space: dict[str, object] = {}
    exec(compile(lines, "docs/PYTHON.md", "exec"), space)
    on = space["on"]
    assert isinstance(on, oncue.OnDemand)
    with on, oncue.Sub() as sub:
        sub.connect(on.endpoint or "")
        sub.subscribe("du/bin")
        topic, value = sub.recv(timeout=60)
        assert topic == b"du/bin" and value.split()[1] == b"/bin"
