"""Runs state machines of AWS Step Functions, whose requests are signed.

An example of a Backend class that is used as it is: `docs/backends.md` says how. It
needs `pip install 'progrock[aws]'`; the credentials are found as botocore finds them.
Only standard workflows can be asked how they are, not express ones.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import botocore.session  # type: ignore[import-untyped]  # no stubs
import msgspec
from botocore.auth import SigV4Auth  # type: ignore[import-untyped]  # the same
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # the same

from actors import (
    AbsentError,
    BackendError,
    Failure,
    Handle,
    LostAnswerError,
    ParamsError,
    PythonBackend,
    Report,
    Setup,
    Started,
    Status,
)

NOT_NOW = (
    *("ThrottlingException", "TooManyRequestsException", "ServiceUnavailable"),
    *("ExpiredTokenException", "RequestExpired", "ExecutionLimitExceeded"),
)
LOOK_BACK = 25  # events, for the name of the present state

logger = logging.getLogger(__name__)


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """What the recipe says under `[options]`; `endpoint` is empty for AWS itself."""

    state_machine: str
    endpoint: str = ""


class StepFunctions(PythonBackend):
    """Executions of one state machine; each has the id of our job as its name.

    So AWS starts no second one if a start is sent again.
    """

    starts_once = False
    adopt_title = "ARN of the execution"

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options = setup.read_options(Options)
        parts = options.state_machine.split(":")
        if len(parts) != 7 or parts[:1] + parts[5:6] != ["arn", "stateMachine"]:
            raise ValueError("state_machine must be the ARN of a state machine")
        self._machine, self._region = options.state_machine, parts[3]
        self._executions = ":".join([*parts[:5], "execution", parts[6], ""])
        suffix = ".cn" if parts[1] == "aws-cn" else ""
        host = f"https://states.{self._region}.amazonaws.com{suffix}"
        self._url = (options.endpoint or host).rstrip("/") + "/"
        self._aws = botocore.session.get_session()
        self._http: aiohttp.ClientSession | None = None

    def check_ref(self, ref: str) -> str:
        name = ref.removeprefix(self._executions)
        if name == ref or not re.fullmatch(r"[\w-]{1,80}", name, re.ASCII):
            raise ParamsError("This is no execution of our state machine.")
        return ref

    async def start(self, job_id: str, params: Mapping[str, Any]) -> Started:
        asked = {
            "stateMachineArn": self._machine,
            "name": job_id,
            "input": json.dumps(dict(params)),
        }
        try:
            said = await self._call("StartExecution", asked)
        except _ThereAlreadyError:  # our own start, whose answer was lost; it has ended
            return Started(self._executions + job_id)
        return Started(said["executionArn"])

    async def report(self, job: Handle) -> Report:
        said = await self._call("DescribeExecution", {"executionArn": job.ref})
        match said["status"]:
            case "SUCCEEDED":
                return Report(status=Status.SUCCEEDED, result=_result(said))
            case "FAILED" | "TIMED_OUT":
                failure = Failure("backend_failed", _cause(said))
                return Report(status=Status.FAILED, error=failure)
            case "ABORTED":
                return Report(status=Status.CANCELLED)
        return Report(status=Status.RUNNING, message=await self._state(job.ref))

    async def cancel(self, job: Handle) -> None:
        await self._call("StopExecution", {"executionArn": job.ref})

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def _state(self, execution: str) -> str | None:
        """The name of the state that was entered last."""
        asked = {
            "executionArn": execution,
            "reverseOrder": True,
            "maxResults": LOOK_BACK,
            "includeExecutionData": False,
        }
        try:
            said = await self._call("GetExecutionHistory", asked)
        except BackendError as error:  # how the job is was told all the same
            logger.info("The state of %s is not known: %s", execution, error)
            return None
        newest_last = sorted(said["events"], key=lambda event: event["id"])
        entered = [
            event["stateEnteredEventDetails"]["name"]
            for event in newest_last
            if "stateEnteredEventDetails" in event
        ]
        return entered[-1] if entered else None

    async def _call(self, action: str, asked: Mapping[str, Any]) -> Any:
        body = json.dumps(asked).encode()
        # Signing may fetch credentials, which blocks.
        headers = await asyncio.to_thread(self._signed, action, body)
        if self._http is None:
            self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._http.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status, text = answer.status, await answer.read()
        except aiohttp.ClientConnectorError as error:
            said = f"{self.title} cannot be reached."
            raise BackendError("unreachable", said) from error
        except aiohttp.ClientError as error:
            said = f"{self.title} did not answer to the end."
            raise LostAnswerError("unreachable", said) from error
        if status == 200:
            return json.loads(text)
        raise self._refused(action, status, text)

    def _signed(self, action: str, body: bytes) -> dict[str, str]:
        """The headers of a request, with its signature."""
        credentials = self._aws.get_credentials()
        if credentials is None:
            raise BackendError("no_credentials", "There are no credentials for AWS.")
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AWSStepFunctions.{action}",
        }
        request = AWSRequest("POST", self._url, headers=headers, data=body)
        SigV4Auth(credentials, "states", self._region).add_auth(request)
        return dict(request.headers.items())

    def _refused(self, action: str, status: int, text: bytes) -> BackendError:
        try:
            said = json.loads(text)
            code = str(said.get("__type", "")).rpartition("#")[2]
        except (ValueError, AttributeError):  # a proxy's answer
            code = ""
        logger.warning("%s was refused (%d): %.300r", action, status, text)
        if code == "ExecutionDoesNotExist":
            return AbsentError(f"{self.title} no longer knows this job.")
        if code == "ExecutionAlreadyExists":
            return _ThereAlreadyError(code, "It was started before.")
        sentence = f"{self.title} refused it: {code or status}."
        if status >= 500 or status == 429 or code in NOT_NOW or not code:
            return BackendError(f"http_{status}", sentence)
        # Rights may be given while a job runs: a poll that is refused ends nothing.
        is_final = action in ("StartExecution", "StopExecution")
        return BackendError(code, sentence, permanent=is_final)


class _ThereAlreadyError(BackendError):
    """An execution with this name has ended, so it was not started again."""


def _result(said: Mapping[str, Any]) -> dict[str, Any]:
    output = json.loads(said.get("output") or "null")
    return output if isinstance(output, dict) else {"output": output}


def _cause(said: Mapping[str, Any]) -> str:
    told = said.get("cause") or said.get("error")
    return str(told or f"The execution is {said['status']}.")
