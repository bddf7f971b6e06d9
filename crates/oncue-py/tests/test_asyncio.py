"""The sockets on an event loop."""

import asyncio
import contextlib
import gc
import os
import threading
import time

import pytest
import zmq
import zmq.asyncio

import oncue
from conftest import LIMIT, run, until


def test_arecv_waits_for_a_message_while_other_tasks_run(pair):
    pub, sub = pair

    async def main():
        waiting = asyncio.ensure_future(sub.arecv(LIMIT))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        pub.send("x", "1")
        assert await waiting == (b"x", b"1")

    run(main())


def test_arecv_many_gives_all_that_came(pair):
    pub, sub = pair

    async def main():
        got = []
        pub.send_many([str(n) for n in range(300)])
        while len(got) < 300:
            got += await sub.arecv_many(LIMIT)
        return got

    assert run(main()) == [(str(n).encode(),) for n in range(300)]


def test_async_for_ends_when_the_socket_is_closed(pair):
    pub, sub = pair

    async def main():
        got = []
        pub.send_many(["1", "2", "3"])
        async for message in sub:
            got.append(message[0])
            if len(got) == 3:
                asyncio.get_running_loop().call_later(0.01, lambda: sub.close(wait=False))
        return got

    assert run(main()) == [b"1", b"2", b"3"]


def test_close_in_another_thread_ends_what_is_awaited(pair):
    _, sub = pair

    async def main():
        waiting = [asyncio.ensure_future(sub.arecv()) for _ in range(5)] + [asyncio.ensure_future(sub.arecv_many())]
        await asyncio.sleep(0.01)
        await asyncio.to_thread(sub.close)
        for each in waiting:
            with pytest.raises(oncue.ClosedError):
                await each

    run(main())


def test_the_time_limit_is_kept_also_when_others_take_what_comes(pair):
    pub, sub = pair

    async def main():
        async def take_all():
            while True:
                await sub.arecv()

        def send():
            pub.send("x")
            timer[0] = loop.call_later(0.02, send)

        loop = asyncio.get_running_loop()
        # It is the first that is woken each time.
        taker = asyncio.ensure_future(take_all())
        await asyncio.sleep(0)
        timer = [None]
        send()
        start = time.monotonic()
        for _ in range(3):
            with contextlib.suppress(oncue.TimeoutError):
                await sub.arecv(0.1)
        assert time.monotonic() - start < 5
        timer[0].cancel()
        taker.cancel()

    run(main())


def test_a_time_limit_passes_and_is_ours(pair):
    _, sub = pair

    async def main():
        with pytest.raises(oncue.TimeoutError):
            await sub.arecv(0.02)
        with pytest.raises(oncue.TimeoutError):
            await sub.arecv(0)
        with pytest.raises(TimeoutError):
            await sub.arecv_many(0.02)

    run(main())


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon"])
def test_a_time_that_is_none_is_refused_as_without_a_loop(pair, timeout):
    _, sub = pair

    async def main():
        with pytest.raises((ValueError, TypeError)):
            await sub.arecv(timeout)
        with pytest.raises((ValueError, TypeError)):
            await sub.arecv_many(timeout)

    run(main())


def test_a_task_that_is_cancelled_while_it_waits_loses_no_message(pair):
    pub, sub = pair

    async def main():
        for n in range(50):
            waiting = asyncio.ensure_future(sub.arecv())
            await asyncio.sleep(0)
            pub.send(str(n))
            if n % 2:
                await asyncio.sleep(0.001)
            waiting.cancel()
            try:
                got = await waiting
            except asyncio.CancelledError:
                got = await sub.arecv(LIMIT)
            assert got == (str(n).encode(),)

    run(main())


def test_several_tasks_wait_for_one_socket_and_each_message_comes_once(pair):
    pub, sub = pair

    async def main():
        got = []

        async def take():
            async for message in sub:
                got.append(int(message[0]))

        tasks = [asyncio.ensure_future(take()) for _ in range(5)]
        for n in range(200):
            pub.send(str(n))
            if n % 10 == 0:
                await asyncio.sleep(0)
        while len(got) < 200:
            await asyncio.sleep(0.005)
        sub.close()
        await asyncio.gather(*tasks)
        return got

    assert sorted(run(main())) == list(range(200))


def test_a_task_that_receives_all_the_time_lets_others_run(pair):
    pub, sub = pair

    async def main():
        pub.send_many(["x"] * 1000)
        other = asyncio.ensure_future(asyncio.sleep(0))
        for _ in range(900):
            await sub.arecv(LIMIT)
        assert other.done()

    run(main())


def test_async_with_closes_the_socket():
    async def main():
        async with oncue.Pub() as pub, oncue.Sub() as sub:
            sub.connect(pub.bind("tcp://127.0.0.1:0"))
            assert sub.subscribe_wait("", timeout=LIMIT).in_force == 1
            pub.send("x")
            assert await sub.arecv(LIMIT) == (b"x",)
        assert pub.closed and sub.closed

    run(main())


def test_an_xpub_awaits_its_events(sub):
    async def main():
        async with oncue.XPub() as xpub:
            subscriber = sub(xpub.bind("tcp://127.0.0.1:0"), "a")
            assert await xpub.aevent(LIMIT) == oncue.Wanted(b"a")
            subscriber.unsubscribe("a")
            async for event in xpub:
                assert event == oncue.Unwanted(b"a")
                break
            with pytest.raises(oncue.TimeoutError):
                await xpub.aevent(0.01)

    run(main())


def test_watches_are_async_iterators_until_the_close(sub):
    async def main():
        xpub = oncue.XPub()
        demand, events, subscriptions = xpub.demand(), xpub.events(), xpub.subscriptions()
        sub(xpub.bind("tcp://127.0.0.1:0"), "a")
        async for event in demand:
            assert event == oncue.Wanted(b"a")
            break
        async for event in subscriptions:
            assert event.prefix == b"a"
            break
        xpub.close()
        assert [event.kind async for event in events][:2] == ["bound", "accepted"]

    run(main())


def test_one_socket_serves_one_loop_after_the_other(pair):
    pub, sub = pair

    async def main():
        waiting = asyncio.ensure_future(sub.arecv(LIMIT))
        await asyncio.sleep(0)
        pub.send("x")
        return await waiting

    assert run(main()) == run(main()) == (b"x",)


def test_two_loops_in_two_threads_wait_for_one_socket(pair):
    pub, sub = pair
    got = []

    async def main():
        while True:
            try:
                got.append(await sub.arecv(LIMIT))
            except oncue.ClosedError:
                return

    threads = [threading.Thread(target=run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        pub.send("x")
    until(lambda: len(got) == 100)
    sub.close()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_a_loop_that_is_closed_while_a_task_waits_leaves_nothing_behind(pair):
    _, sub = pair
    loop = asyncio.new_event_loop()
    task = loop.create_task(sub.arecv())
    loop.run_until_complete(asyncio.sleep(0.01))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
    del task, loop
    gc.collect()
    assert len(oncue._sockets._waiting_of) == 0


def test_the_descriptor_of_a_closed_socket_is_not_watched_any_more():
    async def main():
        sub = oncue.Sub()
        fd = sub.fileno()
        waiting = asyncio.ensure_future(sub.arecv())
        await asyncio.sleep(0)
        sub.close()
        with pytest.raises(oncue.ClosedError):
            await waiting
        del sub, waiting
        # The loop still knows the last one that was awaited.
        await asyncio.sleep(0.01)
        gc.collect()
        # The number may belong to something else now.
        assert asyncio.get_running_loop().remove_reader(fd) is False
        with pytest.raises(OSError):
            os.fstat(fd)

    run(main())


def test_pyzmqs_async_sub_gets_what_we_send():
    async def main():
        context = zmq.asyncio.Context()
        peer = context.socket(zmq.SUB)
        async with oncue.XPub() as xpub:
            peer.connect(xpub.bind("tcp://127.0.0.1:0"))
            peer.subscribe("a")
            assert await xpub.aevent(LIMIT) == oncue.Wanted(b"a")
            xpub.send("a", "1")
            assert await asyncio.wait_for(peer.recv_multipart(), LIMIT) == [b"a", b"1"]
            peer.close(0)
        context.term()

    run(main())
