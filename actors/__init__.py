"""The door: what the outside may use. Importing it registers the actors, so that
`dramatiq actors` is the worker."""

from .backends.registry import Backends
from .broker import broker
from .commands import NotPossibleError, attend, cancel, submit
from .job import Job, Status
from .settings import settings
from .worker.loop import Signals, ThreadWatch, WorkerProcess

__all__ = ["Job", "NotPossibleError", "Status", "attend", "cancel", "submit"]

for middleware in (
    WorkerProcess(settings, Backends.read(settings)),
    Signals(),
    ThreadWatch(),
):
    broker.add_middleware(middleware)
