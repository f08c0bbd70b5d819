"""Which elements a mode has, and which layer a change reaches."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.image.dib import find_element, with_dependencies
from builder.image.mirror import Mirrors
from builder.image.recipe import Recipe, mode_elements, recipe
from firstboot.errors import BadInputError
from firstboot.plan import Access, ImagePlan, Mode, NetworkPlan, Plan

MIRRORS = Mirrors("http://mirror.example/debian", "http://mirror.example/debian-security")


def plan(mode: Mode = Mode.BOTH, **image: object) -> Plan:
    return Plan(
        name="test",
        mode=mode,
        image=ImagePlan.model_validate(image),
        slots=(),
        network=NetworkPlan(),
        bricks=(),
        volumes=(),
        domains=(),
        access=Access(),
    )


def made(mode: Mode = Mode.BOTH, version: str = "1", mirrors: Mirrors = MIRRORS, **image: object) -> Recipe:
    return recipe(plan(mode, **image), mirrors, version)


def test_a_mode_has_only_what_it_needs() -> None:
    assert "trivet-virt" not in mode_elements(Mode.GLUSTER)
    assert not {"trivet-gluster", "trivet-storage"} & set(mode_elements(Mode.VIRT))
    assert set(mode_elements(Mode.BOTH)) == set(mode_elements(Mode.VIRT)) | set(mode_elements(Mode.GLUSTER))


def test_the_same_plan_has_the_same_keys() -> None:
    assert made() == made()


def test_formats_reach_only_the_image() -> None:
    one, two = made(formats=("raw",)), made(formats=("raw", "qcow2"))
    assert one.content_key == two.content_key
    assert one.image_key != two.image_key


@pytest.mark.parametrize("change", [{"version": "2"}, {"root_size_bytes": 3 << 30}])
def test_packages_are_kept(change: dict[str, str]) -> None:
    one, two = made(), made(**change)  # type: ignore[arg-type]
    assert one.packages_key == two.packages_key
    assert one.content_key != two.content_key


@pytest.mark.parametrize(
    "other",
    [
        lambda: made(Mode.VIRT),
        lambda: made(Mode.GLUSTER),
        lambda: made(packages=("htop",)),
        lambda: made(elements=("trivet-storage",), mode=Mode.VIRT),
        lambda: made(mirrors=Mirrors("http://other.example/debian", MIRRORS.security)),
    ],
)
def test_packages_are_made_again(other: object) -> None:
    assert callable(other)
    assert made().packages_key != other().packages_key


def test_an_element_of_the_profile_by_path(tmp_path: Path) -> None:
    (tmp_path / "mine" / "install.d").mkdir(parents=True)
    hook = tmp_path / "mine" / "install.d" / "10-mine"
    hook.write_text("one")
    before = recipe(plan(elements=("./mine",)), MIRRORS, "1", base=tmp_path)
    assert before.elements[-1].folder == tmp_path / "mine"
    hook.write_text("two")
    assert recipe(plan(elements=("./mine",)), MIRRORS, "1", base=tmp_path).packages_key != before.packages_key


@pytest.mark.parametrize(("name", "words"), [("no-such", "no-such is not known"), ("./no", "there is no folder")])
def test_an_element_that_is_not_there(name: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        made(elements=(name,))


def test_dependencies_are_inputs_too() -> None:
    names = [element.name for element in with_dependencies((find_element("trivet-debian"),))]
    assert {"trivet-debian", "dpkg", "package-installs", "install-bin"} <= set(names)
