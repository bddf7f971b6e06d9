"""Proxies that run in the background, on threads."""

from __future__ import annotations

from .basedevice import Device, ThreadDevice
from .monitoredqueue import monitored_queue
from .monitoredqueuedevice import MonitoredQueue, ThreadMonitoredQueue
from .proxydevice import Proxy, ThreadProxy

__all__ = [
    "Device",
    "MonitoredQueue",
    "Proxy",
    "ThreadDevice",
    "ThreadMonitoredQueue",
    "ThreadProxy",
    "monitored_queue",
]
