"""Where settings come from: environment, secret files, a TOML file, systemd. Each value keeps its origin.

Nothing is skipped silently: an unknown name, a name whose feature is not built yet, one setting given twice with
different values are problems, collected and reported together.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from titan.settings import Setting, all_settings
from titan.settings_text import allowed, shown

NOT_BUILT_YET: Mapping[str, str] = {
    "OIDC_ISSUER": "authentication",
    "OIDC_AUDIENCE": "authentication",
    "TITAN_BLOBS__URL": "an object store for files",
    "TITAN_SECURITY__ROLE_CLAIMS": "authentication",
}
"""Names that operators may already use; refused until they do something."""


NOT_SETTINGS = frozenset({"TITAN_TOKEN", "TITAN_PYTHON"})
"""Variables of ours that are read elsewhere: by commands that talk to a server, and by ./dev."""

SERVICE_LINK = re.compile(
    r"TITAN(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes puts into every pod beside a Service called titan or titan-something; `TITAN_PORT` among them."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was given, and by whom."""

    value: object
    source: str
    """Who gave it, for people: `environment`, `file /etc/titan.toml`, ..."""
    name: str
    """What the giver called it, e.g. `TITAN_PORT` or `http.port`."""


@dataclass(slots=True)
class Layer:
    """The values of one source by the setting's path, and what was wrong with the source itself."""

    given: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def put(self, setting: Setting, given: Given) -> None:
        """Keep a value; the same setting given in other words must have the same value."""
        before = self.given.setdefault(setting.path, given)
        if before.value != given.value:
            self.problems.append(
                f"{before.name} and {given.name} are the same setting with different values"
                f" ({shown(setting, before.value)} and {shown(setting, given.value)}): unset one"
            )

    def nested(self) -> dict[str, dict[str, object]]:
        """As the model wants it: by section and name."""
        sections: dict[str, dict[str, object]] = {}
        for path, given in self.given.items():
            section, _, name = path.partition(".")
            sections.setdefault(section, {})[name] = given.value
        return sections


def from_environment(environ: Mapping[str, str]) -> Layer:
    """Read the environment with its secret files. An empty variable counts as not set."""
    layer = Layer()
    known = {setting.variable: setting for setting in all_settings()}
    known |= {setting.short: setting for setting in all_settings() if setting.short}
    files = {f"{setting.variable}_FILE": setting for setting in all_settings() if setting.is_secret}
    for name, text in sorted(environ.items()):
        if text == "" or name in NOT_SETTINGS or _is_service_link(name, text):
            continue
        if name in known:
            layer.put(known[name], Given(text, "environment", name))
        elif name in files:
            _read_secret(layer, files[name], Path(text), name, f"file {text}")
        elif name in NOT_BUILT_YET:
            layer.problems.append(not_built(f"{name} (environment)", NOT_BUILT_YET[name]))
        elif name.startswith("TITAN_"):
            layer.problems.append(unknown(f"{name} (environment)", name, [*known, *files, *NOT_SETTINGS]))
    return layer


def from_credentials(environ: Mapping[str, str]) -> Layer:
    """Read the secrets that systemd put into $CREDENTIALS_DIRECTORY, by the variable's name in either case."""
    layer = Layer()
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return layer
    for setting in all_settings():
        if setting.is_secret:
            for path in _credential(folder, setting.variable):
                _read_secret(layer, setting, path, path.name, "systemd credential")
    return layer


def from_file(path: Path) -> Layer:
    """Read a TOML file with the names of config/titan.toml."""
    layer = Layer()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        layer.problems.append(f"file {path}: cannot be read: {error.strerror}")
        return layer
    except ValueError as error:  # TOML and UTF-8 errors alike
        layer.problems.append(f"file {path}: is not valid TOML: {error}")
        return layer
    known = {setting.path: setting for setting in all_settings()}
    refused = {_file_name(name): what for name, what in NOT_BUILT_YET.items()}
    sections = {name.partition(".")[0] for name in (*known, *refused)}
    for section, entries in content.items():
        if section not in sections:
            layer.problems.append(unknown(f"[{section}] (file {path})", section, sections))
        elif not isinstance(entries, dict):
            layer.problems.append(f"{section} (file {path}): is a section, written [{section}]")
        else:
            for name, value in entries.items():
                _take_entry(layer, path, f"{section}.{name}", value, known, refused)
    return layer


def from_systemd(environ: Mapping[str, str]) -> Layer:
    """Take what systemd prepared where nothing else is said: the first folder of $STATE_DIRECTORY."""
    layer = Layer()
    folder = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if folder:
        setting = next(setting for setting in all_settings() if setting.path == "database.data_dir")
        layer.put(setting, Given(folder, "systemd", "STATE_DIRECTORY"))
    return layer


def not_built(subject: str, what: str) -> str:
    """Say that a name is known and does nothing yet."""
    return f"{subject}: {what} is not built yet (a later part); unset it"


def unknown(subject: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, and which one may have been meant."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"{subject}: no such setting" + (f"; did you mean {near[0]}?" if near else "")


def _take_entry(
    layer: Layer, path: Path, name: str, value: object, known: Mapping[str, Setting], refused: Mapping[str, str]
) -> None:
    subject = f"{name} (file {path})"
    if name in refused:
        layer.problems.append(not_built(subject, refused[name]))
    elif name not in known:
        layer.problems.append(unknown(subject, name, known))
    elif value == "":
        pass  # not set, as with variables
    elif known[name].entry is not None:
        layer.put(known[name], Given(value, f"file {path}", name))
    elif not isinstance(value, (str, int, float)):
        layer.problems.append(f"{subject}: must be one value")
    elif isinstance(value, bool) is not (known[name].field.annotation is bool):
        layer.problems.append(
            f"{name} = {shown(known[name], value)} (file {path}): must be {allowed(known[name].field)}"
        )
    else:
        layer.put(known[name], Given(value, f"file {path}", name))


def _read_secret(layer: Layer, setting: Setting, path: Path, name: str, origin: str) -> None:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        layer.problems.append(f"{name}: {path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}")
    else:
        if text:
            layer.put(setting, Given(text, origin, name))


def _credential(folder: str, variable: str) -> list[Path]:
    return [path for path in (Path(folder, variable), Path(folder, variable.lower())) if path.is_file()]


def _is_service_link(name: str, text: str) -> bool:
    if "__" in name or not SERVICE_LINK.fullmatch(name):
        return False
    # TITAN_PORT is a setting of ours, TITAN_HTTP_PORT a slip of the pen for one; as a service link both are URLs.
    is_number = name.endswith(("_SERVICE_PORT", "_TCP_PORT", "_UDP_PORT", "_SCTP_PORT"))
    return is_number or not name.endswith("_PORT") or "://" in text


def _file_name(variable: str) -> str:
    if variable.startswith("TITAN_"):
        return variable.removeprefix("TITAN_").replace("__", ".").lower()
    return variable.replace("_", ".").lower()
