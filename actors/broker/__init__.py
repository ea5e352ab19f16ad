"""Dramatiq's broker, made punctual and hard to hurt: one for each process."""

import dramatiq

from .punctual import PunctualBroker

__all__ = ["PunctualBroker", "broker"]

broker = PunctualBroker()
dramatiq.set_broker(broker)
