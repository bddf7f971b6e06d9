"""The package as such: its names, its texts, its exceptions."""

import builtins
import copy
import dataclasses
import importlib.metadata
import inspect
import pickle
import re
import subprocess
import sys

import pytest

import oncue

NAMES = [name for name in oncue.__all__ if name != "DEFER"]
ERRORS = [oncue.MisuseError, oncue.PeerError, oncue.FullError, oncue.ClosedError, oncue.TimeoutError, oncue.Stopped]


def test_all_names_what_is_there_and_nothing_of_the_machinery():
    assert sorted(oncue.__all__) == oncue.__all__ == [name for name in dir(oncue) if name in oncue.__all__]
    for name in oncue.__all__:
        assert not inspect.ismodule(getattr(oncue, name))
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", oncue.__version__)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_and_its_methods_have_a_docstring(name):
    public = getattr(oncue, name)
    assert public.__doc__ and public.__doc__.strip()
    for attribute in dir(public):
        method = inspect.getattr_static(public, attribute)
        is_own = callable(method) or isinstance(method, property)
        if attribute.startswith("_") or not is_own or attribute in dir(Exception) or dataclasses.is_dataclass(public):
            continue
        assert (getattr(public, attribute).__doc__ or "").strip(), f"{name}.{attribute}"


@pytest.mark.parametrize("kind", [oncue.Pub, oncue.Sub, oncue.XPub, oncue.XSub], ids=lambda kind: kind.__name__)
def test_the_options_of_a_socket_are_in_its_help_as_its_errors_say(kind):
    with pytest.raises(TypeError, match=re.escape("help(oncue.Pub)")):
        kind(nonsense=1)
    for option in ("send_hwm", "linger", "heartbeat", "reconnect", "on_full", "keep", "message_bytes_max", "ipc_mode"):
        assert option in kind.__doc__


def test_every_option_that_the_help_names_is_one():
    named = re.findall(r"``(\w+)``", oncue._sockets.OPTIONS)
    assert len(named) > 40
    for option in set(named) - {"None", "send", "engine", "Engine"}:
        try:
            oncue.XPub(**{option: object()}).close()
        except (TypeError, ValueError, OverflowError) as error:
            assert "there is no option" not in str(error)


def test_signatures_can_be_read():
    for kind in (oncue.Sub, oncue.Pub, oncue.XPub, oncue.OnDemand, oncue.Feed):
        for name, method in inspect.getmembers(kind, callable):
            if not name.startswith("_"):
                inspect.signature(method)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_errors_can_be_pickled_and_copied(error):
    raised = error("what and why")
    for again in (pickle.loads(pickle.dumps(raised)), copy.copy(raised)):
        assert type(again) is error and str(again) == "what and why"


def test_an_io_error_keeps_its_number_when_it_is_pickled():
    again = pickle.loads(pickle.dumps(oncue.IoError("in use", 98)))
    assert (str(again), again.errno) == ("in use", 98)


def test_all_errors_have_one_base_and_fit_pythons_own():
    assert all(issubclass(error, oncue.Error) for error in [*ERRORS, oncue.IoError])
    assert issubclass(oncue.TimeoutError, builtins.TimeoutError)
    assert issubclass(oncue.MisuseError, ValueError)


def test_an_exception_of_a_subclass_of_a_socket_shows_the_library_in_no_odd_way():
    with pytest.raises(oncue.ClosedError) as raised:
        sub = oncue.Sub()
        sub.close()
        sub.recv()
    assert repr(raised.value).startswith("ClosedError(")
    assert type(raised.value).__module__.startswith("oncue")


def test_records_are_compared_printed_and_pickled_by_their_values():
    state = oncue.TopicState(b"a", "stale", "why", False)
    assert state == oncue.TopicState(b"a", "stale", "why", False) and state != oncue.TopicState(b"a", "active", "", False)
    assert repr(state) == "TopicState(topic=b'a', state='stale', text='why', is_of_prefix=False)"
    assert pickle.loads(pickle.dumps(state)) == state
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.text = "other"
    with oncue.Pub() as pub:
        assert pickle.loads(pickle.dumps(pub.stats())) == pub.stats()
        assert dataclasses.asdict(pub.stats())["peers"] == 0


def test_what_cannot_be_pickled_says_so():
    with oncue.Pub() as pub, pytest.raises(TypeError, match="pickle"):
        pickle.dumps(pub)
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(oncue.Engine())


def test_classes_that_nobody_makes_by_hand_cannot_be_made():
    for kind in (oncue.Socket, oncue.Feed, oncue.PeerKey, oncue.DemandWatch, oncue.ConnectionEvents, oncue._oncue.Publisher):
        with pytest.raises(TypeError):
            kind()
        with pytest.raises(TypeError):
            object.__new__(kind)


def test_the_command_runs_as_a_module():
    try:
        installed = importlib.metadata.files("oncue")
    except importlib.metadata.PackageNotFoundError:
        installed = None
    if not installed:
        pytest.skip("the package is not installed")
    ran = subprocess.run([sys.executable, "-m", "oncue", "--version"], capture_output=True, text=True, check=True)
    assert oncue.__version__ in ran.stdout


def test_without_the_command_the_module_says_what_to_do():
    if "oncue" in {each.metadata["Name"] for each in importlib.metadata.distributions()}:
        pytest.skip("the package is installed")
    ran = subprocess.run([sys.executable, "-m", "oncue", "--version"], capture_output=True, text=True)
    assert ran.returncode == 1 and "install it with pip" in ran.stderr and "Traceback" not in ran.stderr
