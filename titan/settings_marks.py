"""What a setting is marked with, and what a group of settings is."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


@dataclass(frozen=True, slots=True)
class Bare:
    """The setting's environment variable has a name of its own (the operator's guide fixed it)."""

    name: str


@dataclass(frozen=True, slots=True)
class Short:
    """A second, shorter environment variable of the setting."""

    name: str


@dataclass(frozen=True, slots=True)
class Secret:
    """The value is masked wherever it is shown, and may come from `<NAME>_FILE` or a systemd credential."""


class Section(BaseModel):
    """A group of settings; unknown names are refused, values cannot be changed, infinity is no number of seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class Entry(Section):
    """One entry of a setting that is a list of them: `[[section.name]]` in the file, a JSON list in the environment."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, given: Any) -> Any:
        """As with variables."""
        return {name: value for name, value in given.items() if value != ""} if isinstance(given, dict) else given
