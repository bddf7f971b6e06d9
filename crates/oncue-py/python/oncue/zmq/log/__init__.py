"""Logging to a PUB socket."""
