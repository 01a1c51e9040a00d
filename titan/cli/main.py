"""The command `titan`: finds a command by its name, imports only that one, turns what happens into an exit code."""

import importlib
import os
import select
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import cast

import click

from titan.exits import ExitCode
from titan.version import __version__

COMMANDS: Mapping[str, str] = {
    "serve": "Run the server.",
    "import": "Take documents from files and folders into the store.",
    "export": "Write documents of the store to files.",
    "validate": "Check files against the metamodel, without a server.",
    "db": "Look after the store: migrations, check, backup, restore.",
    "tasks": "Show the leader's tasks and their runs; ask for one now.",
    "config": "Check and show the settings.",
    "leader": "Show who leads, and hand over on purpose.",
    "ha": "Answer the checklist of the operator's guide.",
    "status": "Show the supervision tree of a running server.",
    "check-health": "Ask a running server whether it lives or is ready.",
}
"""Every command with its line in `titan --help`; stated here so that help imports none of them."""


class LazyGroup(click.Group):
    """Commands in modules of `titan.cli`, each an attribute `command`, imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name every command."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        return cast(click.Command, importlib.import_module(_module(cmd_name)).command)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what nobody expected becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _reader_left():
                raise
            return _unexpected(error)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="titan", message="%(prog)s %(version)s")
def titan() -> None:
    """Asset Administration Shell server that stays up.

    \b
    Example:
      titan serve                       # http://127.0.0.1:8080, data in ./titan-data
      titan import machine.json         # in another terminal
      titan config show                 # every setting and where it comes from

    Exit codes: 0 done, 1 it failed, 2 usage or configuration, 3 the supervisor gave up (restart me),
    4 the schema of the store is not ready.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit."""
    occupy_standard_descriptors()
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. A command states one by returning it; nothing else escapes."""
    try:
        return _run(arguments)
    except BrokenPipeError:  # whoever read our output, or our error message, has left
        return _leave_quietly()
    except OSError as error:  # what the command printed could not be written
        return _unexpected(error)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        outcome = titan.main(arguments, prog_name="titan", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("titan: interrupted", err=True)
        return ExitCode.FAILED
    return outcome if isinstance(outcome, int) else ExitCode.DONE


def occupy_standard_descriptors() -> None:
    """Open /dev/null where standard input, output or error is closed.

    Else the next file opened, the database say, would get that number, and a line for standard output would land in it.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is fd
            os.set_inheritable(fd, True)  # child processes have the same need
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  (open for the process's life)
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _module(name: str) -> str:
    return "titan.cli." + {"import": "import_"}.get(name, name.replace("-", "_"))


def _reader_left() -> bool:
    """Tell whether it is our own output that nobody reads any more, and not some other pipe or socket."""
    poll = select.poll()
    poll.register(1, select.POLLERR)
    poll.register(2, select.POLLERR)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _leave_quietly() -> int:
    # The interpreter flushes both once more at exit; give what is left somewhere to go.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    return ExitCode.FAILED


def _unexpected(error: Exception) -> int:
    if os.environ.get("TITAN_LOG__LEVEL") == "debug":
        traceback.print_exception(error)
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # a nursery's group of one says nothing
    text = str(error) or "no further description"
    hint = "" if isinstance(error, OSError) else "; TITAN_LOG__LEVEL=debug shows where"
    click.echo(f"titan: {type(error).__name__}: {text}{hint}", err=True)
    return ExitCode.FAILED
