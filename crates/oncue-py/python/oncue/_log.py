"""What is written to the logger ``oncue``: failures of producers, with their tracebacks."""

from __future__ import annotations

import logging

log = logging.getLogger("oncue")


def _name(topic: bytes) -> str:
    return topic.decode("utf-8", "backslashreplace")


def failed(topic: bytes, generation: int, why: BaseException | str) -> None:
    """The producer of a topic failed. The topic is stale until its feed has started again and published."""
    if isinstance(why, BaseException):
        log.error("the producer of %s failed", _name(topic), exc_info=why)
    else:
        log.error("the producer of %s failed: %s", _name(topic), why)


def list_failed(pattern: str, why: BaseException | str) -> None:
    """A catalogue could not be listed. The list before stays."""
    if isinstance(why, BaseException):
        log.error("the catalogue of %s could not be listed", pattern, exc_info=why)
    else:
        log.error("the catalogue of %s could not be listed: %s", pattern, why)


def admit_failed(prefix: str, why: BaseException) -> None:
    """A function that decides about subscriptions raised. The subscription is refused."""
    log.error("no decision about the subscription to %s, so it is refused", prefix, exc_info=why)


def replaced(what: str) -> None:
    """A cell of a notebook was run again."""
    log.info("%s is replaced by what the notebook starts now", what)


def unserved(topic: bytes, reason: str) -> None:
    """Somebody wants what no route produces."""
    log.info("%s is wanted and not served: %s", _name(topic), reason)


def clients_failed(address: str, why: BaseException) -> None:
    """A function that decides about clients raised. The client is refused."""
    log.error("no decision about the client at %s, so it is refused", address, exc_info=why)
