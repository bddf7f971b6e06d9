"""Lets every Python process that has this folder on its path import oncue.zmq as ``zmq``, and nothing else by that name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

NAME = "zmq"
STAND_IN = "oncue.zmq"


class StandIn(MetaPathFinder, Loader):
    """Finds ``zmq`` and ``zmq.x`` as ``oncue.zmq`` and ``oncue.zmq.x``: the same modules, by two names."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != NAME and not fullname.startswith(f"{NAME}."):
            return None
        real = importlib.util.find_spec(STAND_IN + fullname[len(NAME) :])
        if real is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        spec = ModuleSpec(fullname, self, origin=real.origin, is_package=real.submodule_search_locations is not None)
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(STAND_IN + spec.name[len(NAME) :])
        # The import system writes its own into the module; it gets the first one back.
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = importlib.util.find_spec(module.__name__) or self._spec

    def get_code(self, fullname: str) -> CodeType | None:
        """For ``python -m zmq.x``."""
        real = importlib.util.find_spec(STAND_IN + fullname[len(NAME) :])
        return real.loader.get_code(real.name) if real is not None else None  # type: ignore[union-attr]


sys.meta_path.insert(0, StandIn())
