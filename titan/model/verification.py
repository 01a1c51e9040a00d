"""Structure and constraints of the metamodel, asked of aas-core and answered in JSON paths.

Structure (unknown members, wrong types, wrong or missing modelType, missing required members) decides whether a
document can be kept at all; constraints are what `lenient` reports instead of refusing.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from aas_core3_1 import jsonization, verification
from aas_core3_1 import types as aas

from titan.model import patterns
from titan.model.paths import Step, render
from titan.model.schemas import json_name
from titan.store.contract import Kind

patterns.install()

MAX_VIOLATIONS = 100
"""A document with more is not examined further: the rest would only make the answer long."""

_PARSERS: dict[Kind, Callable[[Any], aas.Class]] = {
    Kind.SHELL: jsonization.asset_administration_shell_from_jsonable,
    Kind.SUBMODEL: jsonization.submodel_from_jsonable,
    Kind.CONCEPT_DESCRIPTION: jsonization.concept_description_from_jsonable,
}
_JSON_WORDS = {
    "<class 'str'>": "a string",
    "<class 'int'>": "a number",
    "<class 'float'>": "a number",
    "<class 'bool'>": "a boolean",
    "<class 'NoneType'>": "null",
    "<class 'list'>": "an array",
    "<class 'dict'>": "an object",
    "Expected a str": "Expected a string",
    "Expected a mapping": "Expected an object",
    "Expected something array-like": "Expected an array",
    "Expected a bool,": "Expected a boolean,",
    "to be a str,": "to be a string,",
    ", but got: {type(jsonable)}": "",
    ", but got: {type(model_type)}": "",
}
"""aas-core speaks of Python's types; twice it forgets to fill them in."""
_PYTHON_WORD = re.compile("|".join(map(re.escape, _JSON_WORDS)))
_MARKUP = re.compile(r"(?::\w+:)?`{1,2}~?([^`]*)`{1,2}")  # of Sphinx, in which aas-core writes
_MAX_TEXT = 500  # a cause may quote the client's own megabytes


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with a document; `path` is '' for the document itself."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def parse(kind: Kind, value: Any) -> aas.Class | Violation:
    """Return the metamodel's object for a JSON value, or the first thing wrong with its structure."""
    return _parse(_PARSERS[kind], value)


def is_content_type(text: str) -> bool:
    """Say whether a text may be a `contentType` (IDTA-01001: RFC 7231, at most 128 characters)."""
    return bool(text) and verification.matches_mime_type(text)


def _parse(parser: Callable[[Any], aas.Class], value: Any) -> aas.Class | Violation:
    try:
        return parser(value)
    except jsonization.DeserializationException as error:
        return Violation(render(_json_step(step) for step in error.path.segments), _plain(error.cause))


def violations(instance: aas.Class) -> list[Violation]:
    """Return what breaks a constraint, at most `MAX_VIOLATIONS` and one that says that there may be more."""
    found = list(islice(_violations(instance), MAX_VIOLATIONS + 1))
    if len(found) > MAX_VIOLATIONS:
        found[-1] = Violation("", f"more than {MAX_VIOLATIONS} violations; the rest is not listed")
    return found


def _violations(instance: aas.Class) -> Iterator[Violation]:
    for error in verification.verify(instance):
        path = render(_attribute_step(step) for step in error.path.segments)
        yield Violation(path, _MARKUP.sub(r"'\1'", error.cause))


def _json_step(step: jsonization.Segment) -> Step:
    return step.index if isinstance(step, jsonization.IndexSegment) else step.name


def _attribute_step(step: verification.Segment) -> Step:
    """Python's attribute names are the JSON names in snake case, without exception (tested)."""
    if isinstance(step, verification.IndexSegment):
        return step.index
    return json_name(step.name)


def _plain(cause: str) -> str:
    text = _PYTHON_WORD.sub(lambda match: _JSON_WORDS[match[0]], cause)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} ..."


def check_reference(value: Any) -> Violation | None:
    """Say what keeps a JSON value from being a sound Reference."""
    return _check(jsonization.reference_from_jsonable, value)


def check_specific_asset_id(value: Any) -> Violation | None:
    """Say what keeps a JSON value from being a sound SpecificAssetId."""
    return _check(jsonization.specific_asset_id_from_jsonable, value)


def _check(parser: Callable[[Any], aas.Class], value: Any) -> Violation | None:
    instance = _parse(parser, value)
    return instance if isinstance(instance, Violation) else next(_violations(instance), None)
