"""One way to get settings: `load`. It reads every source once, checks everything, and reports all problems together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from titan.settings import Setting, Settings, all_settings
from titan.settings_checks import advice, disagreements
from titan.settings_entries import explain_entry
from titan.settings_sources import (
    Given,
    Layer,
    from_credentials,
    from_environment,
    from_file,
    from_systemd,
)
from titan.settings_text import allowed, shown

LONGEST_SHUTDOWN_S = 10.0
"""The longest `shutdown_s` of a child in the tree (the http actor's); a test holds the tree to it."""


class SettingsError(Exception):
    """The settings cannot be used; one readable line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with where each came from, and what is allowed but probably not meant."""

    settings: Settings
    given: Mapping[str, Given]
    """By the setting's path; what is missing is a default."""
    warnings: tuple[str, ...]

    def origin(self, setting: Setting) -> str:
        """Where the setting's value comes from, for people."""
        given = self.given.get(setting.path)
        return f"{given.source}: {given.name}" if given else "default"


def load(
    environ: Mapping[str, str],
    *,
    config: Path | None = None,
    arguments: Mapping[str, object] | None = None,
    longest_shutdown_s: float = LONGEST_SHUTDOWN_S,
) -> Loaded:
    """Read the settings: arguments (by path, e.g. `http.port`), environment, credentials, file, systemd, defaults.

    Raises `SettingsError` with every problem found; a problem names the setting, its source, its value (secrets
    masked) and what is allowed.
    """
    layers = [
        _from_arguments(arguments or {}),
        from_environment(environ),
        from_credentials(environ),
        from_file(config) if config else Layer(),
        from_systemd(environ),
    ]
    given: dict[str, Given] = {}
    for layer in reversed(layers):
        given |= layer.given
    problems = [problem for layer in layers for problem in layer.problems]
    try:
        sources = tuple(_Source(layer) for layer in layers)
        settings = Settings(_build_sources=(sources, {}))  # type: ignore[call-arg]  # mypy sees only the fields
    except ValidationError as error:
        problems += [_explain(item["loc"], item, given) for item in error.errors(include_url=False)]
        raise SettingsError(problems) from None  # its text repeats values, secrets among them
    problems += disagreements(settings, longest_shutdown_s=longest_shutdown_s)
    if problems:
        raise SettingsError(problems)
    return Loaded(settings, given, tuple(advice(settings)))


class _Source(PydanticBaseSettingsSource):
    """One layer as the settings library wants it; the library merges them by priority."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(Settings)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return self._layer.nested().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return dict(self._layer.nested())


def _from_arguments(arguments: Mapping[str, object]) -> Layer:
    layer = Layer()
    for setting in all_settings():
        if arguments.get(setting.path) is not None:
            option = f"--{setting.name.replace('_', '-')}"
            layer.put(setting, Given(arguments[setting.path], "command line", option))
    return layer


def _explain(location: tuple[int | str, ...], item: Any, given: Mapping[str, Given]) -> str:
    path = ".".join(str(part) for part in location[:2])
    setting = next(setting for setting in all_settings() if setting.path == path)
    source = given[path]
    if setting.entry is not None and len(location) > 2:
        return f"{source.name}{explain_entry(setting.entry, location[2:], item, source.value)} ({source.source})"
    own = item["type"] == "value_error"
    rule = str(item["ctx"]["error"]) if own else f"must be {allowed(setting.field)}"
    return f"{source.name} = {shown(setting, source.value)} ({source.source}): {rule}"
