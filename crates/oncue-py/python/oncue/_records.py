"""Plain data: what sockets and the on-demand layer tell. All times are seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._oncue import PeerKey


@dataclass(frozen=True, slots=True)
class SocketStats:
    """Counts of what a socket has done, and of what is now (``peers``, ``peers_full``, ``last_values``)."""

    peers: int
    sent: int
    outbox_full: int
    delivered: int
    missed: int
    undelivered: int
    received: int
    received_missed: int
    received_replaced: int
    peers_lost: int
    peers_refused: int
    peers_turned_away: int
    accepts_paused: int
    subscriptions_rejected: int
    subscriptions_deferred: int
    subscriptions_revoked: int
    states_missed: int
    peers_full: int
    peers_evicted: int
    last_values: int
    last_values_bytes: int
    last_values_dropped: int
    last_values_offered: int


@dataclass(frozen=True, slots=True)
class User:
    """A client that was let in: its name or the text of its key, its public key under CURVE, and what is known of it besides."""

    id: str
    key: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A client that waits to be let in.

    ``mechanism`` is "CURVE", with the ``key`` of which it has proved that it has the secret one, or "PLAIN", with the ``user`` and the
    ``password`` that it says.
    """

    address: str
    mechanism: str
    key: str | None = None
    user: str | None = None
    password: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class UsersChanged:
    """What has changed in a folder of certificates or a file of passwords.

    ``added`` are users that are new, or whose key or password is; ``removed`` are those that are gone, or whose former one is.
    ``problems``: what could not be read; what was known of it before stays in force.
    """

    added: list[str]
    removed: list[str]
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Peer:
    """What does not change of a peer.

    Its key, address, type of socket, version of ZMTP, the endpoint, its READY metadata, and who it is if clients must say so.
    """

    key: PeerKey
    address: str
    socket_type: str
    zmtp: tuple[int, int]
    endpoint: str
    metadata: dict[str, bytes]
    user: User | None = None


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A peer, and what it wants, has queued, got and missed."""

    peer: Peer
    prefixes: int
    prefix_bytes: int
    requests: int
    queued: int
    queued_bytes: int
    delivered: int
    missed: int
    received: int
    connected_for: float
    silent_for: float


@dataclass(frozen=True, slots=True)
class RefusedPeer:
    """A peer that was refused, and why."""

    address: str
    cause: str
    text: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What publishers have said about a subscription: how many have it in force, and how many say something else."""

    in_force: int
    received: int
    refused: int
    unknown: int
    deferred: int
    unanswered: int

    @property
    def is_complete(self) -> bool:
        """Whether each publisher has said what it can say."""
        return self.deferred == 0 and self.unanswered == 0


@dataclass(frozen=True, slots=True)
class TopicState:
    """What a publisher says about a topic, or about a prefix that this socket has subscribed to."""

    topic: bytes
    state: str
    text: str
    is_of_prefix: bool


@dataclass(frozen=True, slots=True)
class Missed:
    """What a publisher dropped for this socket, or that a connection was lost and made again."""

    endpoint: str
    address: str
    messages: int
    unseen: int
    reconnected: bool
    topics: dict[bytes, int]


@dataclass(frozen=True, slots=True)
class PublisherStats:
    """What came from one publisher, and what it says was missed."""

    endpoint: str
    address: str | None
    connected: bool
    connections: int
    received: int
    bytes: int
    missed: int
    unseen: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A prefix has its first subscriber. The subscription is in force: what is sent from now on arrives."""

    prefix: bytes


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The last subscriber of a prefix has cancelled it, or is gone."""

    prefix: bytes


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A peer has subscribed to a prefix."""

    peer: Peer
    prefix: bytes


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """A peer's subscription to a prefix has ended."""

    peer: Peer
    prefix: bytes


@dataclass(frozen=True, slots=True)
class Repeated:
    """A peer has subscribed to what it has."""

    peer: Peer
    prefix: bytes


@dataclass(frozen=True, slots=True)
class Requested:
    """A peer asks for a prefix, and the socket's user decides: ``admit``, ``reject`` or ``subscribe_for``."""

    peer: Peer
    prefix: bytes


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A peer has cancelled what it asked for, or is gone."""

    peer: Peer
    prefix: bytes


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """What happened to a connection.

    ``kind`` is one of "bound", "unbound", "accepting_paused", "accepted", "refused", "disconnected", "connecting", "waiting",
    "connected", "failed", "lost", "stopped". ``cause`` is the cause in a few words, ``text`` the whole error. After
    "failed" and "lost" the socket tries again in ``retry_after`` seconds, if that is not None.
    """

    endpoint: str
    kind: str
    peer: PeerKey | None
    address: str | None
    cause: str | None
    text: str | None
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Passed:
    """Messages, bytes and batches that a proxy has passed one way."""

    messages: int
    bytes: int
    batches: int


@dataclass(frozen=True, slots=True)
class ProxyStats:
    """What a proxy has done: ``down`` to subscribers, ``up`` to publishers."""

    down: Passed
    up: Passed
    up_dropped: int
    capture_missed: int
    missed: int
    waits: int
    subscribed: int
    unsubscribed: int
    prefixes_refused: int
    prefixes_in_grace: int
    states: int


@dataclass(frozen=True, slots=True)
class FeedCounts:
    """How many topics are in each state now."""

    wanted: int
    running: int
    in_grace: int
    stopping: int
    waiting: int
    failing: int
    listed: int


@dataclass(frozen=True, slots=True)
class Done:
    """What feeds have done since the start."""

    started: int
    produced: int
    offered: int
    late: int
    refused: int
    superseded: int
    failed: int
    ticks_skipped: int
    ticks_congested: int
    ticks_fresh: int
    producing: float


@dataclass(frozen=True, slots=True)
class OnDemandStats:
    """Counts of all routes: ``now``, and since the start."""

    now: FeedCounts
    done: Done
    stopped: int
    ended: int
    revived: int
    unserved: int
    unserved_total: int
    lists_failed: int


@dataclass(frozen=True, slots=True)
class RouteStats:
    """Counts of one route. ``avoided``: values that were not produced since nobody wanted them."""

    pattern: str
    now: FeedCounts
    done: Done
    avoided: int
    first_values: int
    first_value_time: float
    first_value_time_longest: float


@dataclass(frozen=True, slots=True)
class TopicStats:
    """Counts of one feed that runs."""

    topic: bytes
    generation: int
    subscribers: int
    done: Done
    first_value_time: float | None


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """A peer's request for a prefix that it does not have; with ``in_force`` one that it has, and that is asked about again.

    ``user`` is who it is, if clients must say so.
    """

    peer: PeerKey
    address: str
    prefix: bytes
    user: User | None = None
    in_force: bool = False
