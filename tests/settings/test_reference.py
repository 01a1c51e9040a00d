"""The generated pages are those of this code, and no setting is there for nothing."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from titan.reference import PAGES, config_toml, write
from titan.settings import Settings, all_settings
from titan.settings_load import load
from titan.settings_sources import NOT_BUILT_YET

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_not_stale(name):
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name](), f"{name} is stale: run ./dev docs"


def test_write_makes_what_the_test_above_compares(tmp_path):
    write(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} == set(PAGES)


def test_the_file_holds_every_setting_with_its_default():
    """As it is, and with the comment taken from settings that are unset."""
    loaded = load({}, config=ROOT / "config/titan.toml")
    assert loaded.settings == Settings()
    everything = tomllib.loads(re.sub(r"^# (\w+ = |\[\[)", r"\1", config_toml(), flags=re.MULTILINE))
    paths = [f"{section}.{name}" for section, entries in everything.items() for name in entries]
    assert paths == [setting.path for setting in all_settings()]


def test_every_setting_has_a_meaning_of_one_line():
    for setting in all_settings():
        meaning = setting.field.description or ""
        assert meaning.endswith("."), setting.path
        assert len(meaning) <= 110, setting.path
        assert setting.variable in (ROOT / "deploy/config-reference.md").read_text()


def test_names_are_unique_and_none_is_refused_at_the_same_time():
    names = [name for setting in all_settings() for name in (setting.variable, setting.short) if name]
    assert len(names) == len(set(names))
    assert set(names).isdisjoint(NOT_BUILT_YET)


PROPERTIES = {
    "replica_url": ("read_url",),
    "sqlite_path": ("url", "data_dir"),
    "place": ("url", "data_dir"),
    "trusted_networks": ("trusted_proxies",),
    "origins": ("allowed_origins",),
}
"""What a section derives from its settings counts as reading them."""

READ_AT_LOAD = {"security.allow_anonymous", "sync.allowed_hosts", "sync.allowed_networks"}
"""Decided where settings are checked against each other."""


def read_anywhere() -> set[str]:
    """Every `section.name` that the program reads as an attribute of something called like the section."""
    found = set()
    for folder in ("titan", "supervisors"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name == "reference.py" or path.name.startswith("settings"):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute):
                    owner = node.value
                    section = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                    for name in PROPERTIES.get(node.attr, (node.attr,)):
                        found.add(f"{section.lstrip('_')}.{name}")
    return found


def test_every_setting_is_read_somewhere():
    assert {setting.path for setting in all_settings()} - read_anywhere() == READ_AT_LOAD


@pytest.mark.parametrize("path", sorted((ROOT / "config/profiles").glob("*.toml")), ids=lambda path: path.stem)
def test_every_profile_can_be_used_and_says_only_what_differs_from_the_defaults(path):
    loaded = load({}, config=path)
    assert loaded.given
    for setting in all_settings():
        differs = setting.of(loaded.settings) != setting.of(Settings())
        assert differs is (setting.path in loaded.given), setting.path
