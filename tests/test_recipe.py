"""Recipes: a good one gives a backend, and each mistake in one is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.backends.http import HttpBackend
from actors.backends.registry import Backends
from actors.job import Status
from actors.recipes.expression import Expression
from actors.recipes.format import Recipe
from actors.recipes.load import RecipeError, load_recipe
from actors.recipes.params import Params, ParamsError
from actors.recipes.template import Values
from actors.settings import SHIPPED_RECIPES, SettingError, Settings

GOOD = """
title = "Oven"
url = "http://oven.example"

[params.properties.loaves]
type = "integer"
minimum = 1
default = 2

[start]
request = "POST /loaves"
ref.body = "id"

[status]
request = "GET /loaves/{ref}"
state = "state"

[status.states]
running = ["baking"]
succeeded = ["baked"]
failed = ["burnt"]
"""

Load = Callable[..., Recipe]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str | bytes, environ: Mapping[str, str] | None = None) -> Recipe:
        path = tmp_path / "oven.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_recipe(path, environ or {})

    return load


def with_recipes(*folders: Path, default: str = "render") -> Settings:
    return Settings.read(
        {
            "REDIS_URL": "redis://localhost",
            "PROGROCK_RECIPES": ":".join(map(str, folders)),
            "PROGROCK_DEFAULT_BACKEND": default,
        }
    )


@pytest.mark.parametrize("name", ["counter", "counter-bulk", "render"])
def test_a_shipped_recipe_makes_a_backend(name: str) -> None:
    recipe = load_recipe(SHIPPED_RECIPES / f"{name}.toml", {})

    backend = HttpBackend(name, recipe, 200, 2000)

    assert backend.name == name
    assert backend.title
    assert backend.can == ("cancel",)
    assert backend.check({})


def test_what_a_recipe_does_not_say_has_a_default(load: Load) -> None:
    recipe = load(GOOD)

    assert recipe.title == "Oven"
    assert (recipe.timeout_s, recipe.concurrency) == (5, 200)
    assert recipe.status.final == (404, 410)
    assert dict(recipe.status.words) == {
        "baking": Status.RUNNING,
        "baked": Status.SUCCEEDED,
        "burnt": Status.FAILED,
    }
    assert recipe.bulk is None
    assert recipe.cancel is None
    assert HttpBackend("oven", recipe, 200, 2000).can == ()


def test_a_recipe_may_pause_and_resume(load: Load) -> None:
    recipe = load(RESTING + PAUSE + RESUME)

    assert HttpBackend("oven", recipe, 200, 2000).can == ("pause", "resume")


def test_a_param_may_have_any_shape(load: Load) -> None:
    rule = "[params.properties]\nnote = true\n[params.properties.loaves]"
    recipe = load(changed("[params.properties.loaves]", rule))

    backend = HttpBackend("oven", recipe, 200, 2000)

    assert backend.check({"note": [1]}) == {"note": [1], "loaves": 2}


def test_a_recipe_may_set_its_own_pace(load: Load) -> None:
    recipe = load("poll_interval_ms = 3000\n" + GOOD)

    backend = HttpBackend("oven", recipe, 200, 2000)

    assert (backend.poll_interval_ms, backend.idle_interval_ms) == (3000, 3000)


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


BULK = '[bulk]\nrequest = "GET /loaves?ids={refs}"\nitems = "@"\nref = "id"\n'

PAUSE = '[pause]\nrequest = "POST /loaves/{ref}/pause"\n'
RESUME = '[resume]\nrequest = "POST /loaves/{ref}/resume"\n'
RESTING = changed("[status.states]", '[status.states]\npaused = ["resting"]')
# A start whose own keys go between the two.
START, _, REST = GOOD.partition('ref.body = "id"\n')
START += 'ref.body = "id"\n'
MISTAKES: dict[str, tuple[str | bytes, str]] = {
    "TOML syntax": (changed("[start]", "[start"), "line 10"),
    "not UTF-8": (b'title = "\xff"', "utf-8"),
    "empty": ("", "title"),
    "unknown key": ("colour = 1\n" + GOOD, "colour"),
    "unknown nested key": (changed("[status]", "[status]\nspeed = 1"), "$.status"),
    "unknown table": (GOOD + "[hold]\n", "hold"),
    "action without a ref": (GOOD + '[cancel]\nrequest = "POST /stop"\n', "$.cancel"),
    "pause without a word": (GOOD + PAUSE + RESUME, "$.status.states"),
    "pause without resume": (RESTING + PAUSE, "$.resume"),
    "resume without pause": (RESTING + RESUME, "$.pause"),
    "missing key": (changed('state = "state"', ""), "state"),
    "missing table": (GOOD.partition("[status]")[0], "status"),
    "wrong type": (changed('"Oven"', "7"), "$.title"),
    "text for a number": ('timeout_s = "long"\n' + GOOD, "$.timeout_s"),
    "number out of range": ("timeout_s = 0\n" + GOOD, "$.timeout_s"),
    "pace too fast": ("poll_interval_ms = 10\n" + GOOD, "$.poll_interval_ms"),
    "bad JMESPath": (changed('state = "state"', 'state = "a["'), "$.status.state"),
    "empty JMESPath": (changed('state = "state"', 'state = ""'), "$.status.state"),
    "JMESPath of a wrong type": (
        changed('state = "state"', "state = 3"),
        "$.status.state",
    ),
    "bad request line": (changed('"POST /loaves"', '"/loaves"'), "$.start.request"),
    "unknown method": (changed('"POST /', '"BAKE /'), "$.start.request"),
    "full address as a path": (
        changed("POST /loaves", "POST http://other.example/"),
        "$.start.request",
    ),
    "space in a path": (changed("POST /loaves", "POST /lo aves"), "$.start.request"),
    "request of a wrong type": (changed('"POST /loaves"', "[]"), "$.start.request"),
    "no place for the ref": (changed("GET /loaves/{ref}", "GET /loaves"), "{ref}"),
    "two refs": (
        changed('ref.body = "id"', 'ref.body = "id"\nref.header = "Location"'),
        "$.start.ref",
    ),
    "no ref": (changed('ref.body = "id"', "ref = {}"), "$.start.ref"),
    "unknown status": (changed("running =", "jogging ="), "$.status.states"),
    "no word for success": (
        changed('succeeded = ["baked"]', ""),
        "succeeded - at `$.status.states`",
    ),
    "no word for failure": (
        changed('failed = ["burnt"]', ""),
        "failed - at `$.status.states`",
    ),
    "no place for the words": (
        changed('state = "state"', 'when.paused = "is_held"'),
        "needs `state`, where the words stand - at `$.status`",
    ),
    "two kinds of else": (
        changed(
            'state = "state"',
            'state = "state"\nother = "queued"\nwhen.running = "else"',
        ),
        "$.status.when",
    ),
    "two names for the percentage": (
        changed('state = "state"', 'state = "state"\npercent = "p"\nprogress = "p"'),
        "$.status.progress",
    ),
    "a negated path": (
        changed('state = "state"', 'state = "state"\nwhen.failed = "!job.success"'),
        "as in !(a.b) - at `$.status.when[...]`",
    ),
    "one word for two statuses": (changed('"burnt"', '"baked"'), "$.status.states"),
    "unset variable": (
        changed("http://oven.example", "${OVEN_URL}"),
        "OVEN_URL is not set - at `$.url`",
    ),
    "unset variable in a list": (
        changed('["baking"]', '["baking", "${WORD}"]'),
        "WORD is not set - at `$.status.states.running[1]`",
    ),
    "not a web address": (changed("http://", "ftp://"), "$.url"),
    "address without a host": (changed("http://oven.example", "http://"), "$.url"),
    "broken address": (changed("http://oven.example", "http://[oven"), "$.url"),
    "broken port": (changed("oven.example", "oven.example:x"), "$.url"),
    "two lines in a header": (
        changed("[start]", '[headers]\nAuthorization = "a\\nb"\n[start]'),
        "$.headers.Authorization",
    ),
    "bad JSON Schema": (
        changed('type = "integer"', 'type = "loaf"'),
        "$.params.properties.loaves.type",
    ),
    "properties of a wrong type": (
        changed("[params.properties.loaves]", "[params]\nproperties = 3\n[params.x]"),
        "$.params.properties",
    ),
    "two bodies": (START + "json = {}\nform = {}\n" + REST, "$.start"),
    "a body of a wrong type": (START + "form = 3\n" + REST, "$.start.form"),
    "a table in a form": (START + "form.a = { b = 1 }\n" + REST, "$.start.form"),
    "a header that is a number": (START + "headers.A = 3\n" + REST, "$.start.headers"),
    "a header with two lines": (
        START + 'headers.A = "a\\nb"\n' + REST,
        "$.start.headers",
    ),
    "a header with a bad name": (
        START + 'headers."A B" = "c"\n' + REST,
        "$.start.headers",
    ),
    "a placeholder in a header of all": (
        START + REST + '[headers]\nA = "{job}"\n',
        "$.headers.A",
    ),
    "a param that is not there": (
        START + 'json.n = "{params.loafs}"\n' + REST,
        "no param 'loafs' - at `$.start`; did you mean `loaves`?",
    ),
    "a slip in a placeholder": (
        START + 'json.n = "{param.loaves}"\n' + REST,
        "{param.loaves} is not a placeholder; did you mean `params`?",
    ),
    "a conversion that is not there": (
        START + 'json.n = "{params.loaves!xml}"\n' + REST,
        "$.start.json",
    ),
    "a brace in a path": (changed("/loaves/{ref}", "/loaves/{ref}/{id}"), "$.status"),
    "a ref before there is one": (START + 'json.n = "{ref}"\n' + REST, "$.start"),
    "a ref for many": (GOOD + BULK + 'json = ["{ref}"]\n', "$.bulk"),
    "a param in a path that may be missing": (
        changed("POST /loaves", "POST /loaves/{params.kind}").replace(
            "[params.properties.loaves]",
            "[params.properties]\nkind = {}\n[params.properties.loaves]",
        ),
        "{params.kind} must be required, or have a default - at `$.start`",
    ),
    "a link that is not followed": (
        changed('ref.body = "id"', 'ref.link = "href"'),
        "$.status.request",
    ),
    "a name that is not known yet": (
        changed('ref.body = "id"', 'ref.value = "{ref}"'),
        "$.start.ref.value",
    ),
    "a colon in a user": (
        'basic = { user = "a:b", password = "c" }\n' + GOOD,
        "$.basic.user",
    ),
    "a param in a name that may be missing": (
        changed('ref.body = "id"', 'ref.value = "{params.kind}"').replace(
            "[params.properties.loaves]",
            "[params.properties]\nkind = {}\n[params.properties.loaves]",
        ),
        "{params.kind} must be required, or have a default - at `$.start.ref.value`",
    ),
    "two users": (
        'basic = { user = "a", password = "c" }\n'
        + changed("oven.example", "ann:secret@oven.example"),
        "$.url",
    ),
    "two authorizations": (
        'basic = { user = "a", password = "c" }\nheaders.authorization = "x"\n' + GOOD,
        "$.headers.Authorization",
    ),
    "an alias that is no address": (
        'also_known_as = ["oven"]\n' + GOOD,
        "$.also_known_as[0]",
    ),
    "a pattern that is none": (
        changed('type = "integer"', 'pattern = "("'),
        "$.params.properties.loaves.pattern",
    ),
    "a status that is none": (
        changed('state = "state"', 'state = "state"\nother = "runing"'),
        "`runing` must be one of queued, running, paused, stopping, succeeded, failed, "
        "cancelled - at `$.status.other`; did you mean `running`?",
    ),
    "an odd word for repeat": (
        START + 'repeat = "always"\n' + REST,
        "`always` must be one of never, safe",
    ),
    "an odd claim": (
        GOOD + '[cancel]\nrequest = "DELETE /{ref}"\nclaims = ["running"]\n',
        "must be one of succeeded, failed - at `$.cancel.claims[0]`",
    ),
    "an odd key for all calls": (
        GOOD + "[every]\njsn = 1\n",
        "`jsn` is not a key - at `$.every`; did you mean `json`?",
    ),
    "an odd key of a table in a table": (
        changed('state = "state"', 'state = "state"\nabsent.with_in_s = 3'),
        "`with_in_s` is not a key - at `$.status.absent`; did you mean `within_s`?",
    ),
    "an odd key of the recipe": (
        "poll_intervall_ms = 300\n" + GOOD,
        "`poll_intervall_ms` is not a key - at `$`; did you mean `poll_interval_ms`?",
    ),
    "a batch of one": (GOOD + BULK + "batch_size = 1\n", "$.bulk.batch_size"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_file_and_key_in_one_line(
    mistake: str, load: Load
) -> None:
    text, key = MISTAKES[mistake]

    with pytest.raises(RecipeError) as refused:
        load(text)

    line = str(refused.value)
    assert "oven.toml: " in line
    assert key in line
    assert "\n" not in line


FENCED = [
    'type = "integer"',
    'type = "number"',
    'type = ["integer", "number"]',
    'type = "boolean"',
    'enum = ["rye", "wheat"]',
    'type = "string"\npattern = "^[a-z]+$"',
]
NOT_FENCED = [
    'type = "string"',
    'type = "string"\nmaxLength = 3',
    'pattern = "^[a-z]+$"',
    'type = ["string", "integer"]\npattern = "^[a-z]+$"',
    'type = "array"',
    "",
]
PROGRAMS = [
    """text = "SELECT '{params.kind}'\"""",
    'json.query = "mutation { bake(kind: {params.kind}) { id } }"',
    """json = { deep = ['{"kind": "{params.kind}"}'] }""",
]


def with_kind(rule: str, body: str) -> str:
    kind = f'[params]\nrequired = ["kind"]\n[params.properties.kind]\n{rule}\n'
    return (START + body + "\n" + REST).replace("[params", kind + "[params", 1)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_param_in_a_program_must_be_fenced_in(program: str, load: Load) -> None:
    for rule in FENCED:
        load(with_kind(rule, program))
    for rule in NOT_FENCED:
        with pytest.raises(RecipeError, match=r"\$\.params\.properties\.kind"):
            load(with_kind(rule, program))


def test_a_param_that_is_written_as_json_needs_no_fence(load: Load) -> None:
    program = """json = { deep = '{"kind": {params.kind!json}}' }"""

    sent = load(with_kind('type = "string"', program)).start.fill(
        Values(params={"kind": '"}, {'})
    )

    assert sent.body
    inner = msgspec.json.decode(sent.body)["deep"]
    assert msgspec.json.decode(inner) == {"kind": '"}, {'}


def test_a_param_in_another_text_needs_no_fence(load: Load) -> None:
    load(
        with_kind(
            'type = "string"',
            'json = { a = "{params.kind}", b = "Bread: {params.kind}" }',
        )
    )


def test_a_service_may_never_say_that_a_job_failed(load: Load) -> None:
    load(changed('["burnt"]', "[]"))
    load(
        changed('failed = ["burnt"]', "").replace(
            'state = "state"', 'state = "state"\nwhen.failed = "x"'
        )
    )


@pytest.mark.parametrize("value", ["{params.loaves}", "{job}", "{ref", "a}b{c"])
def test_a_variable_cannot_bring_a_placeholder(load: Load, value: str) -> None:
    """A secret may have braces; it is only refused if it would be filled in."""
    for text in ("${KEY}", "Bearer ${KEY}", "${KEY}{job}"):
        recipe = START + f'json.n = "{text}"\n' + REST
        if value.endswith("}"):
            with pytest.raises(RecipeError, match=r"a variable may not bring"):
                load(recipe, {"KEY": value})
        else:
            sent = load(recipe, {"KEY": value}).start.fill(Values(job="j"))
            expected = text.replace("{job}", "j").replace("${KEY}", value)
            assert sent.body == msgspec.json.encode({"n": expected})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{params.${KEY}}", "loaves"),
        ("{${KEY}}", "job"),
        ("{params.loaves${KEY}", "}"),
        ("${KEY}params.loaves}", "{"),
    ],
)
def test_a_variable_and_the_text_around_it_make_no_placeholder(
    load: Load, text: str, value: str
) -> None:
    with pytest.raises(RecipeError, match=r"a variable may not bring a placeholder"):
        load(START + f'json.n = "{text}"\n' + REST, {"KEY": value})


def test_a_param_never_reaches_the_environment(load: Load) -> None:
    recipe = load(START + 'json.n = "{params.loaves}"\n' + REST, {"KEY": "secret"})

    sent = recipe.start.fill(Values(params={"loaves": "${KEY}"}))

    assert sent.body == b'{"n":"${KEY}"}'


def test_a_folder_instead_of_a_file_is_a_mistake_too(tmp_path: Path) -> None:
    path = tmp_path / "oven.toml"
    path.mkdir()

    with pytest.raises(RecipeError, match=r"oven\.toml: "):
        load_recipe(path, {})


@pytest.mark.parametrize(
    ("text", "environ", "url"),
    [
        ("${OVEN}", {"OVEN": "http://a"}, "http://a"),
        ("${OVEN:-http://b}", {}, "http://b"),
        ("${OVEN:-http://b}", {"OVEN": ""}, "http://b"),
        ("${OVEN:-http://b}", {"OVEN": "http://a"}, "http://a"),
        ("http://${HOST}:${PORT:-80}", {"HOST": "a"}, "http://a:80"),
        ("http://a${NOTHING:-}", {}, "http://a"),
        ("http://a/$OVEN", {"OVEN": "no"}, "http://a/$OVEN"),
        ("${OVEN}", {"OVEN": "http://${HOST}", "HOST": "a"}, "http://${HOST}"),
    ],
)
def test_a_variable_is_filled_in(
    text: str, environ: dict[str, str], url: str, load: Load
) -> None:
    assert load(changed("http://oven.example", text), environ).url == url


def test_a_variable_may_be_anywhere(load: Load) -> None:
    text = changed("[start]", '[headers]\nAuthorization = "Bearer ${KEY}"\n[start]')

    recipe = load(text, {"KEY": "a-secret"})

    assert recipe.headers == {"Authorization": "Bearer a-secret"}


def test_a_mistake_in_a_variable_does_not_repeat_a_secret(load: Load) -> None:
    text = changed("[start]", '[headers]\nAuthorization = "${KEY}"\n[start]')

    with pytest.raises(RecipeError) as refused:
        load(text, {"KEY": "hunter2\n"})

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "mistake",
    [
        changed('"POST /loaves"', '"POST /loaves?key=${KEY} "'),
        changed('state = "state"', 'state = "a[${KEY}"'),
        START + 'json.n = "${KEY}{param.x}"\n' + REST,
        START + 'repeat = "${KEY}"\n' + REST,
    ],
)
def test_a_mistake_names_a_variable_instead_of_its_value(
    mistake: str, load: Load
) -> None:
    with pytest.raises(RecipeError) as refused:
        load(mistake, {"KEY": "hunter2"})

    assert "hunter2" not in str(refused.value)


PARAMS = Params(
    {
        "type": "object",
        "properties": {
            "loaves": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2},
            "kind": {"type": "string", "maxLength": 10},
        },
        "additionalProperties": False,
    }
)


@pytest.mark.parametrize(
    ("given", "checked"),
    [
        ({}, {"loaves": 2}),
        ({"loaves": 9}, {"loaves": 9}),
        ({"kind": "rye"}, {"loaves": 2, "kind": "rye"}),
    ],
)
def test_good_params_come_back_with_their_defaults(
    given: dict[str, Any], checked: dict[str, Any]
) -> None:
    assert PARAMS.check(given) == checked


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"loaves": 0}, "The parameter loaves does not fit: 0 is less than"),
        ({"loaves": 10}, "The parameter loaves does not fit: 10 is greater than"),
        ({"loaves": "two"}, "The parameter loaves does not fit: 'two' is not of type"),
        ({"loaves": None}, "The parameter loaves does not fit: None is not of type"),
        ({"loaves": True}, "The parameter loaves does not fit: True is not of type"),
        ({"kind": "x" * 9999}, "The parameter kind does not fit: 'xxx"),
        ({"colour": "red"}, "The parameters: Additional properties"),
    ],
)
def test_params_that_do_not_fit_are_refused_with_a_sentence(
    given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ParamsError) as refused:
        PARAMS.check(given)

    assert str(refused.value).startswith(sentence)
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 300


def test_params_nested_too_deep_are_refused_at_any_depth() -> None:
    nested: list[Any] = []
    for _ in range(1000):
        nested = [nested]
        with pytest.raises(ParamsError):
            PARAMS.check({"loaves": nested})


def test_what_is_given_is_not_changed() -> None:
    given: dict[str, Any] = {}

    PARAMS.check(given)

    assert given == {}


def test_a_recipe_in_a_later_folder_replaces_one_of_the_same_name(
    tmp_path: Path,
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, title in ((one, "First"), (two, "Second")):
        folder.mkdir()
        (folder / "render.toml").write_text(GOOD.replace("Oven", title))
    (one / "oven.toml").write_text(GOOD)
    (one / "notes.txt").write_text("not a recipe")

    backends = Backends.read(with_recipes(one, two))

    assert set(backends) >= {"counter", "oven", "render"}
    assert len(backends) == len(list(SHIPPED_RECIPES.glob("*.toml"))) + 1
    assert backends["render"].title == "Second"


def test_a_default_backend_without_a_recipe_is_refused() -> None:
    with pytest.raises(SettingError, match=r"PROGROCK_DEFAULT_BACKEND.*'oven'"):
        Backends.read(with_recipes(default="oven"))


def test_a_recipe_with_a_mistake_stops_the_process_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "oven.toml").write_text("colour = 1\n" + GOOD)

    with pytest.raises(SystemExit) as ended:
        Backends.read(with_recipes(tmp_path))

    line = str(ended.value)
    assert "PROGROCK_RECIPES" in line
    assert "oven.toml" in line
    assert "colour" in line
    assert "\n" not in line


DOCUMENT = {"job": {"state": "baking", "parts": [1, 2]}, "list": [], "text": "x"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("job.state", "baking"),
        ("job", DOCUMENT["job"]),
        ("job.nothing", None),
        ("nothing.at.all", None),
        ("list.state", None),
        ("text.state", None),
        ("job.parts[1]", 2),
        ("length(job.parts)", 2),
        ("length(nothing)", None),
        ("job.parts[::0]", None),
        ("job.state == 'baking' && 'hot' || 'cold'", "hot"),
    ],
)
def test_an_expression_finds_a_value_or_nothing(text: str, found: object) -> None:
    assert Expression(text).find(DOCUMENT) == found
