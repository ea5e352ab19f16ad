"""`progrock recipe new --openapi`: documents of different shapes become recipes."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from actors.recipes.format import Recipe
from actors.recipes.load import load_recipe
from actors.status import Status
from tests.test_command import progrock

JOB_S = 2.0


def answer(schema: str, code: str = "200") -> dict[str, Any]:
    where = {"$ref": f"#/components/schemas/{schema}"}
    return {
        code: {"description": "", "content": {"application/json": {"schema": where}}}
    }


def body(schema: str) -> dict[str, Any]:
    [content] = answer(schema).values()
    return {"required": True, "content": content["content"]}


# As FastAPI 0.115 writes it: anyOf with null, `$ref` to an enum, titles everywhere.
JOBS: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Scans", "version": "0.1.0"},
    "paths": {
        "/jobs": {
            "get": {"operationId": "list_jobs", "responses": answer("JobList")},
            "post": {
                "summary": "Create Job",
                "operationId": "create_job_jobs_post",
                "requestBody": body("JobIn"),
                "responses": {**answer("Job", "202"), **answer("Problem", "422")},
            },
        },
        "/jobs/{job_id}": {
            "get": {"operationId": "get_job", "responses": answer("Job")},
        },
        "/jobs/{job_id}/cancel": {
            "post": {"operationId": "cancel_job", "responses": answer("Job")},
        },
        "/token": {"post": {"operationId": "login", "responses": answer("Job")}},
    },
    "components": {
        "schemas": {
            "JobIn": {
                "type": "object",
                "title": "JobIn",
                "required": ["pages"],
                "properties": {
                    "pages": {"type": "integer", "minimum": 1, "title": "Pages"},
                    "note": {
                        "anyOf": [{"type": "string"}, {"type": "null"}],
                        "description": "For ${HOME}.",
                        "title": "Note",
                    },
                },
            },
            "JobList": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}},
            "State": {
                "type": "string",
                "enum": ["PENDING", "RUNNING", "DONE", "FAILED", "CANCELLED"],
            },
            "Base": {"type": "object", "properties": {"id": {"type": "string"}}},
            "Job": {
                "allOf": [{"$ref": "#/components/schemas/Base"}],
                "type": "object",
                "properties": {
                    "state": {"$ref": "#/components/schemas/State"},
                    "progress": {"type": "number", "minimum": 0, "maximum": 100},
                    "message": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                },
            },
            "Problem": {"type": "object", "properties": {"detail": {"type": "array"}}},
        }
    },
}

# The shape of Prefect's: a flow run is begun below its deployment, asked for elsewhere.
FLOWS: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Flows"},
    "servers": [{"url": "https://{host}/api", "variables": {"host": {"default": "f"}}}],
    "security": [{"key": []}],
    "paths": {
        "/deployments/{id}/create_flow_run": {
            "post": {
                "operationId": "create_flow_run_from_deployment",
                "parameters": [
                    {
                        "name": "id",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "format": "uuid"},
                    }
                ],
                "requestBody": body("RunIn"),
                "responses": answer("Run", "201"),
            }
        },
        "/flow_runs/filter": {"post": {"responses": answer("Run")}},
        "/flow_runs/{id}": {
            "get": {"responses": answer("Run")},
            "delete": {"responses": {"204": {"description": ""}}},
        },
        "/deployments/{id}": {"get": {"responses": answer("Deployment")}},
    },
    "components": {
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        "schemas": {
            "RunIn": {"type": "object", "properties": {"name": {"type": "string"}}},
            "Deployment": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "status": {"type": "string", "enum": ["READY", "NOT_READY"]},
                },
            },
            "Run": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "state_type": {
                        "type": "string",
                        "enum": [
                            *("SCHEDULED", "PENDING", "RUNNING", "COMPLETED"),
                            *("FAILED", "CANCELLED", "CRASHED", "MYSTERIOUS"),
                        ],
                    },
                    "estimated_progress": {"type": "number", "maximum": 1},
                },
            },
        },
    },
}

# 202 with a Location, a form, a key in a header; no enum for the state.
EXPORTS: dict[str, Any] = {
    "openapi": "3.0.0",
    "info": {"title": "Exports"},
    "servers": [{"url": "/v2/"}],
    "paths": {
        "/exports": {
            "post": {
                "security": [{"key": []}],
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {"properties": {"table": {"type": "string"}}}
                        }
                    }
                },
                "responses": {
                    "202": {
                        "description": "",
                        "headers": {"Location": {"schema": {"type": "string"}}},
                    }
                },
            }
        },
        "/operations/{operation}": {
            "get": {"responses": answer("Operation")},
            "delete": {"responses": {"204": {"description": ""}}},
        },
    },
    "components": {
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
        "schemas": {
            "Operation": {
                "type": "object",
                "properties": {
                    "status": {"type": "string"},
                    "percentComplete": {"type": "integer"},
                    "error": {
                        "type": "object",
                        "properties": {"message": {"type": "string"}},
                    },
                },
            }
        },
    },
}


class Scans:
    """The service of JOBS, for real: a job takes some seconds."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._stopped: set[str] = set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/openapi.json", self._document)
        app.router.add_post("/jobs", self._start)
        app.router.add_get("/jobs/{job}", self._show)
        app.router.add_post("/jobs/{job}/cancel", self._stop)
        return app

    async def _document(self, _: web.Request) -> web.Response:
        return web.json_response(JOBS)

    async def _start(self, request: web.Request) -> web.Response:
        if (await request.json()).keys() != {"pages"}:
            raise web.HTTPUnprocessableEntity
        name = str(len(self._began))
        self._began[name] = time.monotonic()
        return web.json_response(self._job(name), status=202)

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(self._job(request.match_info["job"]))

    async def _stop(self, request: web.Request) -> web.Response:
        self._stopped.add(request.match_info["job"])
        return await self._show(request)

    def _job(self, name: str) -> dict[str, Any]:
        if name not in self._began:
            raise web.HTTPNotFound
        share = min(1, (time.monotonic() - self._began[name]) / JOB_S)
        state = "DONE" if share == 1 else "RUNNING"
        state = "CANCELLED" if name in self._stopped else state
        return {"id": name, "state": state, "progress": share * 100, "message": "Hm."}


def drafted(tmp_path: Path, document: Any, *flags: str) -> tuple[int, str, Path]:
    source, path = tmp_path / "openapi.json", tmp_path / "it.toml"
    text = document if isinstance(document, str) else json.dumps(document)
    source.write_text(text)
    arguments = ("recipe", "new", "--openapi", str(source), str(path), *flags)
    code, said = progrock(*arguments)
    return code, said, path


def words(recipe: Recipe, status: Status) -> tuple[Any, ...]:
    return recipe.status.states.get(status, ())


async def test_the_draft_for_a_running_service_is_proved_unchanged(
    tmp_path: Path,
) -> None:
    async with TestServer(Scans().app()) as server:
        code, said, path = await asyncio.to_thread(drafted, tmp_path, JOBS)
        check = ("recipe", "check", str(path), "-p", "pages=3")
        url = str(server.make_url("/"))
        proved, seen = await asyncio.to_thread(progrock, *check, IT_URL=url)

    assert code == 0, said
    assert "start    POST /jobs  (also: POST /" in said
    assert f"progrock recipe check {path} -p pages=…" in said
    assert proved == 0, seen + path.read_text()
    assert "holds     cancel: the job becomes cancelled" in seen
    assert "holds     status.percent" in seen


def test_a_run_that_is_begun_below_something_else_is_found(tmp_path: Path) -> None:
    code, said, path = drafted(tmp_path, FLOWS)
    recipe = load_recipe(path, {"IT_TOKEN": "secret"})
    text = path.read_text()

    assert code == 0, said
    assert 'request = "POST /deployments/{params.id}/create_flow_run"' in text
    assert 'request = "GET /flow_runs/{ref}"' in text
    assert 'Authorization = "Bearer ${IT_TOKEN}"' in text
    assert 'json = { name = "{params.name}" }' in text
    assert recipe.url == "https://f/api"
    assert recipe.status.fraction is not None
    assert words(recipe, Status.FAILED) == ("FAILED", "CRASHED")
    assert "# check: which are MYSTERIOUS?" in text
    assert "# check: does this stop the job, or only forget it?" in text


def test_an_operation_at_a_location_is_asked_there(tmp_path: Path) -> None:
    code, said, path = drafted(tmp_path, EXPORTS)
    recipe = load_recipe(path, {"IT_KEY": "secret"})
    text = path.read_text()

    assert code == 0, said
    assert recipe.url == "http://127.0.0.1:8000/v2"
    assert recipe.headers == {"X-Key": "secret"}
    assert recipe.start.form is not None
    assert recipe.start.ref.header == "Location"
    assert 'request = "GET {ref}"' in text
    assert recipe.status.error is not None
    assert recipe.status.error.text == "error.message"
    assert recipe.status.message is None
    assert "# check: the document does not say the words." in text


def test_another_operation_can_be_chosen(tmp_path: Path) -> None:
    code, said, _ = drafted(tmp_path, JOBS, "--start", "POST /token")

    assert code == 0, said
    assert "start    POST /token" in said


def cyclic() -> dict[str, Any]:
    """Schemas that refer to themselves in each way that there is."""
    again = {"$ref": "#/components/schemas/Job"}
    job = {
        "allOf": [again] * 20,
        "anyOf": [again],
        "properties": {f"part{n}": again for n in range(30)} | {"x": {"items": again}},
    }
    loop = {"$ref": "#/components/schemas/State"}
    schemas = {**JOBS["components"]["schemas"], "Job": job, "JobIn": job, "State": loop}
    return {**JOBS, "components": {"schemas": schemas}}


def large() -> dict[str, Any]:
    """More than 3 MB, of 3,000 kinds of things."""
    long = {"description": "x" * 500}
    more = {
        f"/things{n}/{{id}}": {"get": {**long, "responses": answer("Job")}}
        for n in range(3000)
    } | {
        f"/things{n}": {"post": {**long, "responses": answer("Job")}}
        for n in range(3000)
    }
    return {**JOBS, "paths": {**more, **JOBS["paths"]}}


@pytest.mark.parametrize("document", [cyclic(), large()], ids=["cyclic", "large"])
def test_a_document_without_end_still_gives_a_recipe(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    code, said, path = drafted(tmp_path, document)

    assert code == 0, said
    assert load_recipe(path, {}).start.request.method == "POST"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("openapi: 3.0.0", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"openapi": "3.0.0", "x": NaN}', "is not JSON"),
        ("[]", "no OpenAPI 3"),
        ({"swagger": "2.0", "paths": {}}, "no OpenAPI 3"),
        ({"openapi": "3.0.0"}, "looks like the start"),
        ({"openapi": "3.1.0", "paths": []}, "looks like the start"),
        ({"openapi": "3.0.0", "paths": {"/a": {"post": {}}}}, "looks like the status"),
        ({"openapi": "3.0.0", "paths": {"/a": {"$ref": "#/paths/~1a"}}}, "the start"),
    ],
)
def test_no_document_ends_with_2_and_one_line(
    tmp_path: Path, document: Any, reason: str
) -> None:
    code, said, path = drafted(tmp_path, document)

    assert code == 2, said
    assert reason in said
    assert len(said.strip().splitlines()) == 1
    assert not path.exists()


@pytest.mark.parametrize("key", ["title", "note", "state", "path"])
def test_texts_of_the_document_stay_texts(tmp_path: Path, key: str) -> None:
    evil = '"\n[login]\n\x7f\ud800 ${HOME} {ref} {params.x}'
    text = json.dumps(JOBS)
    names = {
        "title": ('"Scans"', json.dumps(evil)),
        "note": ('"For ${HOME}."', json.dumps(evil)),
        "state": ('"DONE"', json.dumps("DONE") + "," + json.dumps(evil)),
        "path": ("/jobs/{job_id}/cancel", "/jobs/{job_id}/cancel/{x y}"),
    }

    code, said, path = drafted(tmp_path, text.replace(*names[key]))

    assert code == 0 or (key == "path" and "was not written" in said), said
    if code == 0:
        assert load_recipe(path, {}).login is None
