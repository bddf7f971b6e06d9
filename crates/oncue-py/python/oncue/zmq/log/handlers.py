"""A handler of ``logging`` that publishes, and a logger whose records have a topic."""

from __future__ import annotations

import logging
from copy import copy
from typing import Any

from ..constants import SocketType
from ..sugar.context import Context
from ..sugar.socket import Socket

# Divides a topic from the text, at the beginning of a message.
TOPIC_DELIM = "::"


class PUBHandler(logging.Handler):
    """Publishes each record: its topic (root topic, level, topic of the text) and its text, as two frames."""

    socket: Any
    ctx: Any

    def __init__(self, interface_or_socket: str | Socket, context: Context | None = None, root_topic: str = "") -> None:
        super().__init__()
        self.root_topic = root_topic
        self.formatters = {
            logging.DEBUG: logging.Formatter("%(levelname)s %(filename)s:%(lineno)d - %(message)s\n"),
            logging.INFO: logging.Formatter("%(message)s\n"),
            logging.WARNING: logging.Formatter("%(levelname)s %(filename)s:%(lineno)d - %(message)s\n"),
            logging.ERROR: logging.Formatter("%(levelname)s %(filename)s:%(lineno)d - %(message)s - %(exc_info)s\n"),
            logging.CRITICAL: logging.Formatter("%(levelname)s %(filename)s:%(lineno)d - %(message)s\n"),
        }
        if isinstance(interface_or_socket, Socket):
            self.socket = interface_or_socket
            self.ctx = self.socket.context
        else:
            self.ctx = context or Context()
            self.socket = self.ctx.socket(SocketType.PUB)
            self.socket.bind(interface_or_socket)

    @property
    def root_topic(self) -> Any:
        """What all topics begin with."""
        return self._root_topic

    @root_topic.setter
    def root_topic(self, value: str | bytes) -> None:
        self.setRootTopic(value)

    def setRootTopic(self, root_topic: str | bytes) -> None:
        """Sets what all topics begin with."""
        self._root_topic = root_topic.decode("utf8") if isinstance(root_topic, bytes) else root_topic

    def setFormatter(self, fmt: logging.Formatter | None, level: int = logging.NOTSET) -> None:
        """Sets the formatter of one level, or of all."""
        if fmt is None:
            raise ValueError("a formatter is needed")
        if level == logging.NOTSET:
            for known in self.formatters:
                self.formatters[known] = fmt
        else:
            self.formatters[level] = fmt

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        return self.formatters[record.levelno].format(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Publishes a record."""
        topic = None
        if isinstance(record.msg, str) and TOPIC_DELIM in record.msg:
            # A copy: other handlers get the record, too.
            record = copy(record)
            topic, record.msg = str(record.msg).split(TOPIC_DELIM, 1)
        try:
            text = self.format(record).encode("utf8")
        except Exception:
            self.handleError(record)
            return
        parts = [self.root_topic, record.levelname, topic]
        self.socket.send_multipart([".".join(part for part in parts if part).encode("utf8"), text])


class TopicLogger(logging.Logger):
    """A logger whose methods take a topic before the message."""

    def log(self, level: int, topic: str, msg: str, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Logs a message with a topic."""
        super().log(level, f"{topic}{TOPIC_DELIM}{msg}", *args, **kwargs)


def _of_level(name: str) -> Any:
    plain = getattr(logging.Logger, name)

    def method(self: TopicLogger, topic: str, msg: str, *args: Any, **kwargs: Any) -> None:
        plain(self, f"{topic}{TOPIC_DELIM}{msg}", *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"As ``Logger.{name}``, with a topic."
    return method


for _name in ("debug", "info", "warning", "error", "exception", "critical", "fatal"):
    setattr(TopicLogger, _name, _of_level(_name))

__all__ = ["PUBHandler", "TOPIC_DELIM", "TopicLogger"]
