"""Options as attributes."""

from __future__ import annotations

import errno
from typing import Any

from .. import constants
from ..error import ZMQError


class AttributeSetter:
    """Gives a class its options as attributes, in upper or lower case.

    Any other attribute must be declared by the class or a subclass, so that a mistyped option is an error.
    """

    _option_names: frozenset[str] = frozenset()

    def __setattr__(self, key: str, value: Any) -> None:
        if any(_declares(owner, key) for owner in type(self).__mro__):
            object.__setattr__(self, key, value)
            return
        option = getattr(constants, key.upper(), None) if not key.startswith("_") else None
        if not isinstance(option, int):
            raise AttributeError(f"{self.__class__.__name__} has no such option: {key.upper()}")
        self._set_attr_opt(key, option, value)

    def __getattr__(self, key: str) -> Any:
        name = key.upper()
        option = getattr(constants, name, None) if not key.startswith("_") else None
        if not isinstance(option, int):
            raise AttributeError(f"{self.__class__.__name__} has no such option: {name}")
        try:
            return self._get_attr_opt(key, option)
        except ZMQError as error:
            if error.errno in {errno.EINVAL, errno.EFAULT}:
                raise AttributeError(f"{key} attribute is write-only") from None
            raise

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._option_names})

    def _set_attr_opt(self, name: str, opt: int, value: Any) -> None:
        self.set(opt, value)

    def _get_attr_opt(self, name: str, opt: int) -> Any:
        return self.get(opt)

    def get(self, opt: int) -> Any:
        """The value of an option."""
        raise NotImplementedError

    def set(self, opt: int, value: Any) -> None:
        """Sets an option."""
        raise NotImplementedError


def _declares(owner: type, key: str) -> bool:
    return key in owner.__dict__ or key in getattr(owner, "__annotations__", ())


__all__ = ["AttributeSetter"]
