"""As in a notebook: cells that are run one after the other, and again, in one namespace."""

import ast
import asyncio
import inspect
import socket
import textwrap
import threading

import pytest

import oncue
from conftest import LIMIT, run, until


def free_endpoint():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{found.getsockname()[1]}"


class Notebook:
    """Runs cells, and keeps what their last line gives, as a notebook's ``Out`` does."""

    def __init__(self):
        self.names = {"__name__": "__main__", "ENDPOINT": free_endpoint()}
        self.out = []

    def _compiled(self, text, mode):
        tree = ast.parse(textwrap.dedent(text))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        codes = [compile(tree, "<cell>", "exec", flags)]
        if last is not None:
            codes.append(compile(ast.Expression(last.value), "<cell>", "eval", flags))
        return codes

    def cell(self, text):
        for code in self._compiled(text, "exec"):
            self.out.append(eval(code, self.names))

    async def cell_on_loop(self, text):
        for code in self._compiled(text, "exec"):
            value = eval(code, self.names)
            self.out.append(await value if inspect.iscoroutine(value) else value)


@pytest.fixture
def notebook():
    made = Notebook()
    made.cell("import asyncio, time, oncue")
    yield made
    if "on" in made.names:
        made.names["on"].stop()


SERVER = """
    on = oncue.OnDemand(ENDPOINT)

    @on.every("version", seconds=0.01)
    def version():
        return "{}"

    on.start()
"""


def test_a_cell_that_is_run_again_replaces_its_server_also_while_the_notebook_holds_the_old_one(notebook, sub):
    subscriber = sub(notebook.names["ENDPOINT"], "version")
    for version in ("one", "two", "three"):
        notebook.cell(SERVER.format(version))
        until(lambda: subscriber.recv(LIMIT)[1] == version.encode())
    assert len([value for value in notebook.out if isinstance(value, oncue.OnDemand)]) == 3
    assert [on.endpoint is None for on in notebook.out if isinstance(on, oncue.OnDemand)] == [True, True, False]


def test_the_same_in_one_expression(notebook, sub):
    subscriber = sub(notebook.names["ENDPOINT"], "v")
    for version in ("one", "two"):
        notebook.cell(
            f"""
            on = oncue.OnDemand(ENDPOINT)
            on.every("v", seconds=0.01)(lambda: {version!r})
            on = on.start()
            """
        )
        until(lambda: subscriber.recv(LIMIT)[1] == version.encode())


def test_the_same_under_a_running_loop_with_producers_of_both_kinds(notebook, sub):
    async def main():
        subscriber = sub(notebook.names["ENDPOINT"], "a", "s")
        for version in ("one", "two", "three"):
            await notebook.cell_on_loop(
                f"""
                on = oncue.OnDemand(ENDPOINT)

                @on.stream("a")
                async def a():
                    while True:
                        yield "a {version}"
                        await asyncio.sleep(0.01)

                @on.stream("s")
                def s():
                    while True:
                        yield "s {version}"
                        time.sleep(0.01)

                on.start()
                """
            )
            wanted = {f"a {version}".encode(), f"s {version}".encode()}
            while wanted:
                wanted.discard((await subscriber.arecv(LIMIT))[1])
        await notebook.cell_on_loop("on.stop()")

    run(main())


def test_a_cell_that_is_run_again_replaces_its_route_while_the_server_runs(notebook, sub):
    notebook.cell(SERVER.format("one"))
    subscriber = sub(notebook.names["ENDPOINT"], "version")
    route = """
        @on.every("version", seconds=0.01)
        def version():
            return "{}"
    """
    for version in ("two", "three"):
        notebook.cell(route.format(version))
        until(lambda: subscriber.recv(LIMIT)[1] == version.encode())
    assert len(notebook.names["on"].route_stats()) == 1


def test_a_route_takes_what_later_cells_change(notebook, sub):
    notebook.cell("factor = 1")
    notebook.cell(SERVER.format("{factor}").replace('return "{factor}"', "return str(factor)"))
    subscriber = sub(notebook.names["ENDPOINT"], "version")
    until(lambda: subscriber.recv(LIMIT)[1] == b"1")
    notebook.cell("factor = 2")
    until(lambda: subscriber.recv(LIMIT)[1] == b"2")


def test_a_cell_that_raises_leaves_the_server_at_work(notebook, sub):
    notebook.cell(SERVER.format("one"))
    with pytest.raises(oncue.MisuseError):
        notebook.cell('on.every("version/{x", seconds=1)(lambda: "")')
    with pytest.raises(NameError):
        notebook.cell("nonsense")
    assert sub(notebook.names["ENDPOINT"], "version").recv(LIMIT)[1] == b"one"


def test_a_publisher_and_a_subscriber_are_made_again_by_their_cells(notebook):
    for _ in range(3):
        notebook.cell("pub = oncue.Pub(); pub.close(0) if False else None")
        notebook.cell("pub = None; pub = oncue.Pub()\npub.bind(ENDPOINT)")
        notebook.cell("sub = oncue.Sub()\nsub.connect(ENDPOINT)\nsub.subscribe_wait('', timeout=20)")
        notebook.cell("pub.send('x', 'y')\nsub.recv(20)")
        assert notebook.out[-1] == (b"x", b"y")
        notebook.names["pub"] = notebook.names["sub"] = None


def test_top_level_await_receives_and_async_for_goes_on_in_the_next_cell(notebook):
    async def main():
        await notebook.cell_on_loop(
            """
            pub, sub = oncue.Pub(), oncue.Sub()
            sub.connect(pub.bind("tcp://127.0.0.1:0"))
            sub.subscribe_wait("", timeout=20)
            pub.send_many(["1", "2", "3"])
            """
        )
        await notebook.cell_on_loop("await sub.arecv(20)")
        assert notebook.out[-1] == (b"1",)
        await notebook.cell_on_loop("async for message in sub:\n    break\nmessage")
        assert notebook.out[-1] == (b"2",)
        await notebook.cell_on_loop("await sub.arecv(20)")
        assert notebook.out[-1] == (b"3",)
        await notebook.cell_on_loop("pub.close(); sub.close()")

    run(main())


def test_stop_and_start_in_one_cell_under_a_running_loop(notebook, sub):
    async def main():
        await notebook.cell_on_loop(
            """
            on = oncue.OnDemand(ENDPOINT)

            @on.stream("a")
            async def a():
                while True:
                    yield "a"
                    await asyncio.sleep(0.01)

            on.start()
            """
        )
        for _ in range(3):
            subscriber = sub(notebook.names["ENDPOINT"], "a")
            assert await subscriber.arecv(LIMIT) == (b"a", b"a")
            await notebook.cell_on_loop("on.stop()\non.start()")
        assert await sub(notebook.names["ENDPOINT"], "a").arecv(LIMIT) == (b"a", b"a")
        await notebook.cell_on_loop("on.stop()")
        await asyncio.sleep(0.05)

    run(main())


def test_a_server_of_a_module_is_not_replaced_by_another(sub):
    endpoint = free_endpoint()
    with oncue.OnDemand(endpoint) if False else _served(endpoint) as on:
        other = oncue.OnDemand(endpoint)
        other.every("v", seconds=1)(lambda: "other")
        with pytest.raises(oncue.IoError):
            other.start()
        assert sub(on.endpoint, "v").recv(LIMIT)[1] == b"first"


def _served(endpoint):
    on = oncue.OnDemand(endpoint)
    on.every("v", seconds=1)(lambda: "first")
    return on


def test_a_server_of_another_notebook_is_not_replaced(notebook, sub):
    notebook.cell(SERVER.format("one"))
    other = Notebook()
    other.names["ENDPOINT"] = notebook.names["ENDPOINT"]
    other.cell("import oncue")
    with pytest.raises(oncue.IoError):
        other.cell(SERVER.format("two"))
    assert sub(notebook.names["ENDPOINT"], "version").recv(LIMIT)[1] == b"one"


def test_a_cell_that_serves_in_a_task_is_interrupted_by_the_next(notebook, sub):
    async def main():
        for version in ("one", "two"):
            await notebook.cell_on_loop(
                f"""
                if "task" in globals():
                    task.cancel()
                    await asyncio.wait([task])
                on = oncue.OnDemand(ENDPOINT)
                on.every("v", seconds=0.01)(lambda: {version!r})
                task = asyncio.ensure_future(on.serve())
                """
            )
            subscriber = sub(notebook.names["ENDPOINT"], "v")
            assert await subscriber.arecv(LIMIT) == (b"v", version.encode())
        await notebook.cell_on_loop("task.cancel()")
        await asyncio.wait([notebook.names["task"]])

    run(main())


def test_no_thread_is_left_by_cells_that_are_run_again(notebook):
    notebook.cell(SERVER.format("zero"))
    before = threading.active_count()
    for n in range(5):
        notebook.cell(SERVER.format(n))
    until(lambda: threading.active_count() == before)
