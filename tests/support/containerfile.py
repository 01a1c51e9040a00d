"""A Containerfile as data: what its stages do, step by step, in the few instructions that ours uses.

Whatever else stands in the file is refused, so that a step which nobody carries out cannot be overlooked.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_NAME = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass(frozen=True)
class Run:
    """A shell command."""

    command: str


@dataclass(frozen=True)
class Copy:
    """Files of the context, or of another stage, put into this one."""

    sources: tuple[str, ...]
    target: str
    stage: str | None


@dataclass(frozen=True)
class Enter:
    """The folder for what follows, made if it is not there."""

    folder: str


@dataclass
class Stage:
    """One FROM with what follows it."""

    base: str
    name: str
    steps: list[Run | Copy | Enter] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    """Instructions that only say something about the image: USER, EXPOSE, …"""
    commands: dict[str, list[str]] = field(default_factory=dict)
    """ENTRYPOINT, CMD and HEALTHCHECK's."""

    @property
    def folder(self) -> str:
        """Where its processes start."""
        return next((step.folder for step in reversed(self.steps) if isinstance(step, Enter)), "/")


def read(path: Path) -> list[Stage]:
    """Return the stages, in order."""
    outer: dict[str, str] = {}
    stages: list[Stage] = []
    for word, rest in _instructions(path.read_text()):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(_filled(base, outer), name or str(len(stages))))
        elif not stages:
            assert word == "ARG", word
            outer |= _pair(rest)
        else:
            _take(stages[-1], word, rest)
    return stages


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        yield word, rest.strip()


def _take(stage: Stage, word: str, rest: str) -> None:
    match word:
        case "RUN":
            assert not rest.startswith(("--", "[")), rest
            stage.steps.append(Run(rest))
        case "COPY":
            stage.steps.append(_copy(rest))
        case "WORKDIR":
            stage.steps.append(Enter(rest))
        case "ARG":
            stage.arguments |= _pair(rest)
        case "ENV":
            stage.environment |= _pair(rest)
        case "LABEL":
            pairs = (_pair(one) for one in shlex.split(rest))
            stage.labels |= {name: _filled(value, stage.arguments) for pair in pairs for name, value in pair.items()}
        case "USER" | "EXPOSE" | "STOPSIGNAL":
            stage.words[word] = rest
        case "ENTRYPOINT" | "CMD":
            stage.commands[word] = json.loads(rest)
        case "HEALTHCHECK":
            options, _, command = rest.partition("CMD ")
            stage.words[word] = options.strip()
            stage.commands[word] = json.loads(command)
        case _:
            raise AssertionError(f"{word} is not understood here")


def _copy(rest: str) -> Copy:
    *sources, target = rest.split()
    stage = None
    if sources[0].startswith("--"):
        option, _, stage = sources.pop(0).partition("=")
        assert option == "--from", option
    return Copy(tuple(sources), target, stage)


def _pair(text: str) -> dict[str, str]:
    """Return name and value; an ARG without a value is not set."""
    name, equals, value = text.partition("=")
    return {name: value} if equals else {}


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _NAME.sub(lambda found: values[found[1] or found[2]], text)
