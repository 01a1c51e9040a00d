"""What the driver and the server raise, sorted by what has to be done, in the words that operators search for."""

import os
import socket
import ssl

from redis import exceptions

DRIVER_ERRORS = (OSError, EOFError, ValueError, exceptions.RedisError)
"""What comes out of the driver when all is well with our side; ValueError: of answers that no Redis gives."""

AWAY_CODES = frozenset(
    {
        "BUSY",  # a script runs and does not end
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "NOAUTH",  # the password was changed under our feet; the next connect tells
        "READONLY",  # it was demoted
    }
)
"""Error answers that say something of the server rather than of the command."""


def code(error: exceptions.RedisError) -> str:
    """Return the word that an error answer begins with."""
    return error.status_code or str(error).partition(" ")[0]


def words(error: BaseException) -> str:
    """Put an error into one short line, without the place where it happened."""
    cause = error.__cause__ or error.__context__
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError) and isinstance(cause, OSError):
        return words(cause)  # the driver's own text repeats the address
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved: {error.strerror}"
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):  # an OSError whose number is OpenSSL's own
        return f"TLS failed: {getattr(error, 'verify_message', None) or error.reason or error}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    if isinstance(error, ValueError):
        return "what answers does not speak Redis' protocol"
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    status = error.status_code if isinstance(error, exceptions.RedisError) else None
    return text if status in {None, "ERR"} else f"{status} {text}"
