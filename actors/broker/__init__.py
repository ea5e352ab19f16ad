"""Dramatiq's broker, made punctual and hard to hurt."""

from .redis_broker import broker

__all__ = ["broker"]
