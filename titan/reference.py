"""The pages that are made from the code: `./dev docs` writes them, a test fails while one is stale."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic_core import PydanticUndefined

from titan.events.schema import SCHEMA
from titan.settings import Setting, Settings, all_settings
from titan.settings_marks import Entry
from titan.settings_sources import NOT_BUILT_YET
from titan.settings_text import allowed, is_secret, shown
from titan.telemetry import metrics, task_metrics

TOML_HEAD = """\
# Every setting of Titan-AAS with its default. Made from titan/settings.py by `./dev docs`: change it there.
#
# Use it:      titan serve --config FILE       (a file needs only what differs)
# Precedence:  command line, environment, file, default. The environment variable of a setting is
#              TITAN_<SECTION>__<NAME>, e.g. TITAN_HTTP__PORT, unless its line names another.
# In force:    titan config show
"""

SETTINGS_HEAD = """\
# Settings

Made from `titan/settings.py` by `./dev docs`; `titan config show` prints those in force and where each comes from.

Precedence: command line, environment variable, `--config FILE` (TOML, names as in `config/titan.toml`), default.
An empty variable counts as not set. What is unknown, out of range, given twice with different values or whose feature
is not built yet is refused at the start (exit code 2, one line for each problem); nothing is ignored, except the
variables that Kubernetes adds beside a Service whose name begins with `titan` (`TITAN_PORT=tcp://…`).

A secret (marked so) is also read from the file that `<VARIABLE>_FILE` names and from a systemd credential of the
variable's name, and is masked wherever it is shown.
"""

METRICS_HEAD = """\
# Metrics

Made from `titan/telemetry/metrics.py` by `./dev docs`. `/metrics` answers in the Prometheus text format or, if asked
for by `Accept`, in OpenMetrics. The usual `process_*` metrics (CPU, memory, open files, start time) are there as well.
Label values are bounded: nothing that a client sends becomes one, but for the most frequent semantic ids of submodels.
"""


def config_toml() -> str:
    """Give the text of config/titan.toml."""
    return TOML_HEAD + "".join(_toml_section(name) for name in Settings.model_fields)


def config_reference() -> str:
    """Give the text of deploy/config-reference.md."""
    return SETTINGS_HEAD + "".join(_settings_table(name) for name in Settings.model_fields) + _not_built_table()


def metrics_reference() -> str:
    """Give the text of deploy/metrics-reference.md."""
    table = [("metric", "kind", "labels", "meaning")]
    for metric in metrics.ALL:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        table.append((f"`{metric.name}`", metric.kind.value, labels, metric.meaning))
    return (
        f"{METRICS_HEAD}\n{_markdown(table)}\n"
        f"Buckets in seconds: of requests {_numbers(metrics.DURATION_BUCKETS_S)};"
        f" of waits for a connection {_numbers(metrics.POOL_WAIT_BUCKETS_S)};"
        f" of tasks {_numbers(task_metrics.DURATION_BUCKETS_S)}.\n"
    )


def _numbers(bounds: Iterable[float]) -> str:
    return ", ".join(f"{bound:g}" for bound in bounds)


def event_schema() -> str:
    """Give the text of deploy/event.schema.json."""
    return json.dumps(SCHEMA, indent=2, ensure_ascii=False) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "config/titan.toml": config_toml,
    "deploy/config-reference.md": config_reference,
    "deploy/metrics-reference.md": metrics_reference,
    "deploy/event.schema.json": event_schema,
}
"""Every generated file, by its path in the repository."""


def write(root: Path) -> None:
    """Write every page below the root of a checkout."""
    for name, render in PAGES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(), encoding="utf-8")


def _of_section(section: str) -> Iterator[Setting]:
    return (setting for setting in all_settings() if setting.section == section)


def _meaning_of(section: str) -> str:
    return str(Settings.model_fields[section].annotation.__doc__).strip()


def _toml_section(section: str) -> str:
    lines = [f"\n[{section}] # {_meaning_of(section)}"]
    for setting in _of_section(section):
        default = setting.of(Settings())
        variables = [setting.variable] if not setting.variable.startswith("TITAN_") else []
        variables += [setting.short] if setting.short else []
        lines.append(f"\n# {setting.field.description}" + (f" ({', '.join(variables)})" if variables else ""))
        if setting.entry is not None:
            lines += _toml_entry(setting, setting.entry)
        elif default is None:
            lines.append(f"# {setting.name} = {_toml_value((setting.field.examples or [''])[0])}")
        else:
            lines.append(f"{setting.name} = {_toml_value(default)}")
    return "\n".join(lines) + "\n"


def _toml_entry(setting: Setting, entry: type[Entry]) -> Iterator[str]:
    """Show an entry with its defaults, as a comment: it has to be filled in."""
    yield f"# [[{setting.path}]]"
    for name, field in entry.model_fields.items():
        example = field.default if field.default not in (PydanticUndefined, None) else (field.examples or [""])[0]
        yield f"# {name} = {_toml_value(example)}  # {field.description}"


def _toml_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value) if isinstance(value, int) else f'"{value}"'


def _settings_table(section: str) -> str:
    table = [("name", "variable", "default", "allowed", "meaning")]
    for setting in _of_section(section):
        names = f"`{setting.variable}`" + (f" or `{setting.short}`" if setting.short else "")
        default = shown(setting, setting.of(Settings()))
        meaning = f"{setting.field.description}{' Secret.' if setting.is_secret else ''}"
        table.append(
            (f"`{setting.name}`", names, f"`{default}`" if default else "unset", allowed(setting.field), meaning)
        )
    entries = "".join(_entry_table(setting, setting.entry) for setting in _of_section(section) if setting.entry)
    return f"\n## `[{section}]`: {_meaning_of(section)}\n\n{_markdown(table)}{entries}"


def _entry_table(setting: Setting, entry: type[Entry]) -> str:
    table = [("field", "default", "allowed", "meaning")]
    for name, field in entry.model_fields.items():
        default = "required" if field.is_required() else f"`{_plain(field.default)}`" if field.default else "unset"
        meaning = f"{field.description}{' Secret.' if is_secret(entry, name) else ''}"
        table.append((f"`{name}`", default, allowed(field), meaning))
    return f"\nAn entry of `{setting.name}` (`[[{setting.path}]]` in the file):\n\n{_markdown(table)}"


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _not_built_table() -> str:
    table = [("variable", "belongs to"), *((f"`{name}`", what) for name, what in NOT_BUILT_YET.items())]
    return f"\n## Refused until they are built\n\n{_markdown(table)}"


def _markdown(table: Sequence[Sequence[str]]) -> str:
    head, *rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
