"""Tunnels through ssh."""
