"""How the function of a route wants to be called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ._errors import MisuseError

Function = Callable[..., Any]


def adapted(function: Function, pattern: str, names: list[str]) -> tuple[Function, list[str]]:
    """The function, and the names of what it is called with, in order: parameters of the route, and ``feed``.

    An argument of the function that has a default and is no parameter of the route keeps its default; ``**kwargs`` gets all
    parameters that are not named.
    """
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        # Written in C, without a signature.
        return function, names
    known = {*names, "feed"}
    taken: list[str] = []
    in_order = True
    for at, argument in enumerate(arguments):
        if argument.kind is argument.VAR_KEYWORD:
            taken += [name for name in names if name not in taken]
            in_order = False
        elif argument.kind is argument.VAR_POSITIONAL:
            raise _wrong(function, f"*{argument.name}", pattern, names)
        elif argument.name in known:
            taken.append(argument.name)
            in_order = in_order and argument.kind is not argument.KEYWORD_ONLY and len(taken) == at + 1
        elif argument.default is argument.empty:
            raise _wrong(function, argument.name, pattern, names)
    if in_order:
        return function, taken
    return _by_name(function, tuple(taken)), taken


def _by_name(function: Function, names: tuple[str, ...]) -> Function:
    def call(*values: Any) -> Any:
        return function(**dict(zip(names, values)))

    return call


def _wrong(function: Function, argument: str, pattern: str, names: list[str]) -> MisuseError:
    of = getattr(function, "__qualname__", repr(function))
    have = ", ".join([*names, "feed"])
    return MisuseError(f"{of} has the argument {argument}, which the route {pattern} cannot give; it can give {have}")


def is_async(function: Function) -> bool:
    """Whether calling it makes a coroutine or an async generator."""
    target = _called(function)
    return inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)


def is_generator(function: Function) -> bool:
    """Whether calling it makes a generator, of either kind."""
    target = _called(function)
    return inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)


def _called(function: Function) -> Function:
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else getattr(function, "__call__", function)
