"""Exit codes that users, systemd and Kubernetes rely on (interfaces: command line)."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Why the process ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    """Usage or configuration: starting it again changes nothing."""
    GAVE_UP = 3
    """The root supervisor gave up: start me again."""
    SCHEMA = 4
    """This version cannot serve the store's schema as it is."""
