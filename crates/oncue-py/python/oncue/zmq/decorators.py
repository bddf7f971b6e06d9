"""Decorators that give a function a context or a socket, which end with the call."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from .sugar.context import Context

F = TypeVar("F", bound=Callable[..., Any])


def _given(make: Callable[..., Any], name: str | None, of: Callable[[tuple[Any, ...], dict[str, Any]], Any]) -> Any:
    """A decorator that passes what ``make`` makes: by this name, or else as the last positional argument."""

    def decorate(function: F) -> F:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with make(of(args, kwargs)) as made:
                if name is None:
                    return function(*args, made, **kwargs)
                if name in kwargs:
                    raise TypeError(f"{function.__name__}() got multiple values for argument '{name}'")
                return function(*args, **kwargs, **{name: made})

        return call  # type: ignore[return-value]

    return decorate


def context(*args: Any, **kwargs: Any) -> Callable[[F], F]:
    """Gives the function a new context: ``@context()``, ``@context("name")``, ``@context(name="name", io_threads=2)``."""
    name, args = _name(args, kwargs)
    return _given(lambda _: Context(*args, **kwargs), name, lambda *_: None)  # type: ignore[no-any-return]


def socket(*args: Any, **kwargs: Any) -> Callable[[F], F]:
    """Gives the function a new socket: ``@socket(zmq.PUB)``, ``@socket("name", zmq.SUB)``.

    It is of the context among the function's arguments (``context_name``, by default ``context``), or of
    ``Context.instance()``.
    """
    context_name = kwargs.pop("context_name", "context")
    name, args = _name(args, kwargs)

    def found(given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if isinstance(named.get(context_name), Context):
            return named[context_name]
        for value in given:
            if isinstance(value, Context):
                return value
        return Context.instance()

    return _given(lambda of: of.socket(*args, **kwargs), name, found)  # type: ignore[no-any-return]


def _name(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str | None, tuple[Any, ...]]:
    """The name among the arguments of a decorator, and the others."""
    if "name" in kwargs:
        return kwargs.pop("name"), args
    if args and isinstance(args[0], str):
        return args[0], args[1:]
    return None, args


__all__ = ["context", "socket"]
