"""Shipped recipes against the real servers, each through the whole of ProgRock."""
