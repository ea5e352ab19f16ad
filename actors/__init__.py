"""The door: all that others may use. Importing it registers the actors, so that
`dramatiq actors` is the worker; it reads no environment and opens nothing."""

from .backends import (
    AbsentError,
    Adoptable,
    Backend,
    BackendError,
    Handle,
    Report,
    ResultFile,
    Started,
)
from .backends.failures import LostAnswerError
from .backends.python import BytesFile, PythonBackend, Setup, opened
from .backends.registry import Backends
from .broker import broker
from .clock import now_ms, timestamp
from .commands import NotPossibleError, adopt, attend, request, submit
from .job import Job
from .json_input import TooDeepError, parse_json
from .libraries import rely_on, replace
from .process import calm_garbage_collector
from .recipes.params import ParamsError
from .report import Step
from .requests import Action
from .settings import SettingError, Settings, owner_of_token
from .status import Failure, Status
from .store import KeyReusedError, Store, TooManyJobsError
from .store.blocking import require as require_redis
from .store.feed import CutOffError, Feed
from .store.redis import limited
from .store.values import Snapshot, announced
from .telemetry import traces
from .telemetry.logs import about, last_words, request_id, set_up as set_up_log
from .telemetry.sentry import report_errors
from .telemetry.serving import metrics
from .telemetry.tallies import Level, Spreads, Tally
from .worker.loop import UvLoop, WorkerProcess
from .worker.survival import Signals, ThreadWatch

__all__ = [
    "AbsentError",
    "Action",
    "Adoptable",
    "Backend",
    "BackendError",
    "Backends",
    "BytesFile",
    "CutOffError",
    "Failure",
    "Feed",
    "Handle",
    "Job",
    "KeyReusedError",
    "Level",
    "LostAnswerError",
    "NotPossibleError",
    "ParamsError",
    "PythonBackend",
    "Report",
    "ResultFile",
    "SettingError",
    "Settings",
    "Setup",
    "Snapshot",
    "Spreads",
    "Started",
    "Status",
    "Step",
    "Store",
    "Tally",
    "TooDeepError",
    "TooManyJobsError",
    "about",
    "adopt",
    "announced",
    "attend",
    "calm_garbage_collector",
    "connect_broker",
    "last_words",
    "limited",
    "metrics",
    "now_ms",
    "opened",
    "owner_of_token",
    "parse_json",
    "rely_on",
    "replace",
    "report_errors",
    "request",
    "request_id",
    "require_redis",
    "set_up_log",
    "submit",
    "timestamp",
    "traces",
]

connect_broker = broker.connect

for middleware in (UvLoop(), WorkerProcess(), Signals(), ThreadWatch()):
    broker.add_middleware(middleware)
