"""What can be a value: text, bytes, and anything that shows its memory."""

import array
import ctypes
import mmap
import threading

import numpy as np
import pytest

import oncue
from conftest import LIMIT


class Tensor:
    """As a tensor of torch: no buffer, but an ``__array__`` that shares its memory."""

    def __init__(self, data, error=None):
        self.data, self.error, self.asked = data, error, 0

    def __array__(self, *args, **kwargs):
        self.asked += 1
        if self.error:
            raise self.error
        return self.data


def through(pair, value):
    pub, sub = pair
    pub.send("t", value)
    return sub.recv(LIMIT)[1]


@pytest.mark.parametrize(
    "value",
    [
        b"bytes",
        bytearray(b"bytes"),
        memoryview(b"bytes"),
        array.array("i", [1, 2, 3]),
        (ctypes.c_int * 3)(1, 2, 3),
        np.arange(10),
        np.arange(12.0).reshape(3, 4),
        np.zeros(0),
        np.float64(1.5),
        np.array(7),
        np.array([(1, 2.5)], dtype=[("a", "i4"), ("O", "f8")]),
        memoryview(np.arange(6).reshape(2, 3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_contiguous_buffer_is_sent_as_it_stands_in_memory(pair, value):
    assert through(pair, value) == memoryview(value).tobytes()


def test_an_array_in_fortrans_order_is_sent_as_it_stands_in_memory(pair):
    value = np.asfortranarray(np.arange(12).reshape(3, 4))
    got = np.frombuffer(through(pair, value), value.dtype).reshape(3, 4, order="F")
    assert (got == value).all()


@pytest.mark.parametrize("value", [np.arange(10)[::2], np.arange(12).reshape(3, 4)[:, 1:3], memoryview(b"abcdef")[::2]])
def test_what_is_not_contiguous_is_refused_and_the_text_says_what_to_do(pair, value):
    with pytest.raises(ValueError, match="ascontiguousarray"):
        pair[0].send("t", value)


def test_an_array_of_objects_is_refused_since_it_holds_addresses(pair):
    for value in (np.array([object(), None]), np.array([(1, None)], dtype=[("n", "i4"), ("o", "O")])):
        with pytest.raises(TypeError, match="references to objects"):
            pair[0].send("t", value)


def test_a_tensor_is_sent_by_its_array(pair):
    tensor = Tensor(np.arange(5, dtype="f4"))
    assert through(pair, tensor) == np.arange(5, dtype="f4").tobytes()
    assert tensor.asked == 1


def test_what_a_tensor_raises_is_passed_on(pair):
    with pytest.raises(RuntimeError, match="requires grad"):
        pair[0].send("t", Tensor(None, RuntimeError("requires grad")))
    with pytest.raises(TypeError):
        pair[0].send("t", Tensor(5))
    with pytest.raises(ValueError, match="contiguous"):
        pair[0].send("t", Tensor(np.arange(10)[::2]))


def test_a_memoryview_that_was_released_is_refused(pair):
    view = memoryview(b"x")
    view.release()
    with pytest.raises(ValueError):
        pair[0].send("t", view)


def test_no_export_stays_behind_after_a_send_or_a_failed_one(pair):
    pub, _ = pair
    data = bytearray(100_000)
    pub.send("t", data)
    pub.send_last("t", data)
    pub.send_many([("t", data)])
    with pytest.raises(TypeError):
        pub.send("t", data, 5)
    # Impossible while somebody holds an export.
    data.append(1)
    mapped = mmap.mmap(-1, 4096)
    pub.send("t", mapped)
    mapped.close()


def test_a_value_of_many_megabytes_arrives_whole(pair):
    value = np.random.default_rng(1).integers(0, 255, 64 << 20, dtype="u1")
    assert through(pair, value) == value.tobytes()


def test_other_threads_run_while_a_large_value_is_sent(pair):
    pub, sub = pair
    value, turns, done = bytes(32 << 20), [], threading.Event()

    def count():
        while not done.is_set():
            turns.append(1)
            done.wait(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    for _ in range(3):
        pub.send("t", value)
        sub.recv(LIMIT)
    done.set()
    thread.join(LIMIT)
    assert turns


def test_values_of_a_route_are_any_of_these(on, sub):
    values = {
        "text": ("grün", ("grün".encode(),)),
        "bytes": (b"b", (b"b",)),
        "array": (np.arange(4.0), (np.arange(4.0).tobytes(),)),
        "fortran": (np.asfortranarray(np.eye(2)), (np.eye(2).tobytes(),)),
        "tensor": (Tensor(np.arange(3)), (np.arange(3).tobytes(),)),
        "large": (bytearray(5 << 20), (bytes(5 << 20),)),
        "frames": (("a", b"b", np.arange(2)), (b"a", b"b", np.arange(2).tobytes())),
        "list": (["a", bytes(100_000)], (b"a", bytes(100_000))),
        "empty": ("", (b"",)),
    }

    @on.every("v/{name}", seconds=60)
    def value(name):
        return values[name][0]

    @on.stream("s/{name}")
    def stream(name, feed):
        yield values[name][0]
        feed.wait_stopped(LIMIT)

    on.start()
    for name, (_, frames) in values.items():
        for kind in "vs":
            topic = f"{kind}/{name}"
            assert sub(on.endpoint, topic).recv(LIMIT) == (topic.encode(), *frames)


@pytest.mark.parametrize("value", [5, {}, object(), np.arange(10)[::2], ("a", 5), np.array([None])], ids=repr)
def test_a_value_of_another_kind_is_a_failure_that_says_so(sub, value):
    failures = []
    on = oncue.OnDemand("tcp://127.0.0.1:0", on_failure=lambda *told: failures.append(told))
    on.every("v", seconds=60, backoff=None)(lambda: value)
    with on:
        assert sub(on.endpoint, "v").state(LIMIT).state in ("stale", "closed")
    (topic, generation, why), *_ = failures
    assert topic == b"v" and generation >= 0
    assert isinstance(why, (TypeError, ValueError))


def test_the_memory_of_a_value_is_free_once_it_is_published(on, sub):
    data = bytearray(100_000)

    @on.stream("v")
    def value(feed):
        yield data
        data.append(1)
        yield "free"
        feed.wait_stopped(LIMIT)

    on.start()
    subscriber = sub(on.endpoint, "v")
    assert len(subscriber.recv(LIMIT)[1]) == 100_000
    assert subscriber.recv(LIMIT)[1] == b"free"


def test_a_parameter_that_is_not_utf_8_can_be_a_value_again():
    on = oncue.OnDemand("tcp://127.0.0.1:0")

    @on.every("echo/{x}", seconds=60)
    def echo(x):
        return f"it is {x}"

    with on, oncue.Sub() as sub:
        sub.connect(on.endpoint)
        sub.subscribe(b"echo/\xff\xc3")
        assert sub.recv(timeout=10) == (b"echo/\xff\xc3", b"it is \xff\xc3")


def test_other_surrogates_are_an_error():
    with oncue.Pub() as pub, pytest.raises(UnicodeEncodeError):
        pub.send("\ud800")
