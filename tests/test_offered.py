"""Which recipes are offered, in which order, and which one is the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.backends.offered import SERVICES
from actors.backends.registry import Backends
from actors.settings import SHIPPED_RECIPES, SettingError, Settings

from .conftest import Serving
from .support.oven import OVEN, toml

DEMO = ["render", "counter", "counter-bulk"]


def offered(*folders: Path, **environ: str) -> Backends:
    recipes = ":".join(map(str, folders))
    return Backends.read(
        Settings.read(
            {"REDIS_URL": "redis://x", "PROGROCK_RECIPES": recipes, **environ}
        )
    )


def complaint(*folders: Path, **environ: str) -> str:
    with pytest.raises(SettingError) as ended:
        offered(*folders, **environ)
    line = str(ended.value)
    assert "\n" not in line
    return line


def write(folder: Path, name: str, **keys: object) -> None:
    tables = OVEN | {"url": "http://oven.example"} | keys
    text = "\n".join(f"{key} = {toml(value)}" for key, value in tables.items())
    (folder / f"{name}.toml").write_text(text)


def test_the_demo_s_recipes_are_offered_by_default() -> None:
    assert list(offered()) == DEMO
    assert list(offered(PROGROCK_SHIPPED_RECIPES="on")) == DEMO
    assert offered().default == "render"


def test_off_leaves_only_the_operator_s(tmp_path: Path) -> None:
    write(tmp_path, "oven")

    backends = offered(tmp_path, PROGROCK_SHIPPED_RECIPES="off")

    assert list(backends) == ["oven"]
    assert backends.default == "oven"


def test_names_choose_among_all_that_are_shipped() -> None:
    backends = offered(PROGROCK_SHIPPED_RECIPES=" counter-bulk, counter ,counter")

    assert list(backends) == ["counter", "counter-bulk"]
    assert backends.default == "counter"


def test_the_default_can_be_another(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b")
    environ = {
        "PROGROCK_SHIPPED_RECIPES": "off",
        "PROGROCK_DEFAULT_BACKEND": "b",
    }

    assert offered(tmp_path, **environ).default == "b"
    environ["PROGROCK_DEFAULT_BACKEND"] = "render"
    assert "must be one of a, b, not 'render'" in complaint(tmp_path, **environ)


def test_a_lower_order_comes_first_and_then_the_name(tmp_path: Path) -> None:
    for name, order in (("z", -2), ("a", 1), ("d", 0), ("b", 0)):
        write(tmp_path, name, order=order)

    backends = offered(tmp_path, PROGROCK_SHIPPED_RECIPES="off")

    assert list(backends) == ["z", "b", "d", "a"]
    assert backends.default == "z"


async def test_the_order_is_that_of_the_catalogue_and_the_page(
    serving: Serving, tmp_path: Path
) -> None:
    write(tmp_path, "oven", order=-2)
    expected = ["oven", *DEMO]

    async with serving(recipes=(tmp_path,)) as app:
        client = app.test_client()
        found = (await (await client.get("/backends")).get_json())["backends"]
        html = await (await client.get("/")).get_data(as_text=True)

    assert [each["name"] for each in found] == expected
    places = [html.index(f'data-backend="{name}"') for name in expected]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("named", "hint"),
    [
        ("countr", "no shipped recipe is called 'countr'; did you mean `counter`?"),
        ("render,xyz", "no shipped recipe is called 'xyz'; there are counter"),
        ("../render", "no shipped recipe is called '../render'"),
        ("On", "no shipped recipe is called 'On'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(named: str, hint: str) -> None:
    line = complaint(PROGROCK_SHIPPED_RECIPES=named)

    assert line.startswith("PROGROCK_SHIPPED_RECIPES: ")
    assert hint in line


def test_no_recipe_at_all_is_refused() -> None:
    line = complaint(PROGROCK_SHIPPED_RECIPES="off")

    assert line.startswith("There is no recipe")
    assert "PROGROCK_RECIPES" in line


def test_a_recipe_that_is_replaced_is_not_read(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    write(one, "oven", url="${NEVER_SET}")
    write(two, "oven")

    assert "oven" in offered(one, two)


def test_no_two_shipped_recipes_have_one_name() -> None:
    names = [path.stem for path in SHIPPED_RECIPES.rglob("*.toml")]

    assert len(names) == len(set(names))
    assert {path.parent for path in SHIPPED_RECIPES.rglob("*.toml")} <= {
        *(SHIPPED_RECIPES, SERVICES),
    }
