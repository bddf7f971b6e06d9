"""Utilities that pyzmq has beside its sockets."""
