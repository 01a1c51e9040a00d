"""The manual names every option with its default, and every public name."""

import dataclasses
import re
from pathlib import Path

import pytest

import supervisors.kernel
from supervisors.kernel import Backoff, Child, Intensity, Leash, Snapshot, Supervisor

MANUAL = (Path(supervisors.kernel.__file__).parent / "README.md").read_text()


def rows(heading: str) -> dict[str, str]:
    """First and second column of the table below a heading."""
    section = MANUAL.partition(f"### {heading}\n")[2].partition("\n##")[0]
    return dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \|", section, re.MULTILINE))


def default(field: dataclasses.Field[object]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"`{type(field.default_factory()).__name__}()`"
    if field.default is dataclasses.MISSING:
        return "required"
    text = getattr(field.default, "name", None) or repr(field.default).replace("'", '"')
    return f"`{text}`"


@pytest.mark.parametrize("spec", [Child, Supervisor])
def test_every_option_of_a_node_stands_in_the_manual_with_its_default(spec):
    assert rows(spec.__name__) == {field.name: default(field) for field in dataclasses.fields(spec)}


def test_every_other_option_stands_in_the_manual_with_its_default():
    options = {
        f"{spec.__name__}.{field.name}": default(field)
        for spec in (Backoff, Intensity, Leash)
        for field in dataclasses.fields(spec)
    }
    assert rows("Backoff, Intensity, Leash") == options


def test_every_field_of_a_snapshot_stands_in_the_manual():
    assert all(f"`{field.name}`" in MANUAL for field in dataclasses.fields(Snapshot))


def test_every_public_name_stands_in_the_manual():
    missing = [name for name in supervisors.kernel.__all__ if name not in MANUAL]
    assert missing == []
