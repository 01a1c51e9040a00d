"""What the driver and the server raise, sorted by what has to be done, in the words that operators search for."""

import os
import socket
import ssl
from enum import Enum, auto

import asyncpg

from titan.store.contract import StoreDamaged, StoreFull, StoreUnavailable


class Unreachable(Exception):
    """No server could be had that serves; the text says why, per host."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Saturated(StoreUnavailable):
    """Every connection is busy: the load is too high or a lock is held, the server may be well."""


DRIVER_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What comes out of the driver when all is well with our side."""


class Trouble(Enum):
    """What an error means for the connection, the request and the database."""

    LOST = auto()  # the connection is gone, perhaps the server: look at once
    READ_ONLY = auto()  # the server was demoted or set read-only: no connection to it is worth keeping
    AGAIN = auto()  # a deadlock or a serialization failure: rolled back, to be tried again
    BUSY = auto()  # a time-out or a limit of the server: this request cannot be served now
    FULL = auto()  # no room on the disk
    DAMAGED = auto()  # the server found its files to be wrong
    FORBIDDEN = auto()  # this user lacks a right, which its administrator can give


_BY_STATE = {
    "25006": Trouble.READ_ONLY,  # read_only_sql_transaction
    "40001": Trouble.AGAIN,  # serialization_failure
    "40P01": Trouble.AGAIN,  # deadlock_detected
    "42501": Trouble.FORBIDDEN,  # insufficient_privilege
    "42P01": Trouble.LOST,  # undefined_table: a table of ours that is not there was there when this connected
    "53100": Trouble.FULL,  # disk_full
    "55P03": Trouble.BUSY,  # lock_not_available
    "57014": Trouble.BUSY,  # query_canceled, which is what statement_timeout does
    "XX001": Trouble.DAMAGED,  # data_corrupted
    "XX002": Trouble.DAMAGED,  # index_corrupted
}
_BY_CLASS = {
    "08": Trouble.LOST,  # connection exceptions
    "28": Trouble.LOST,  # invalid authorization
    "3D": Trouble.LOST,  # no such database
    "53": Trouble.BUSY,  # insufficient resources
    "57": Trouble.LOST,  # shutdown, crash, starting up
    "58": Trouble.LOST,  # an error of the server's own system, such as input and output
}
_STANDBY = "0A000", "cannot set transaction read-write mode during recovery"


def trouble(error: BaseException) -> Trouble | None:
    """Say what an error means; None for what nobody expects: a bug."""
    if isinstance(error, OSError | TimeoutError | Unreachable):
        return Trouble.LOST
    if isinstance(error, asyncpg.InternalClientError):
        # What the driver makes of a server that says goodbye (FATAL) between two statements, before it hangs up.
        return Trouble.LOST
    if isinstance(error, asyncpg.InterfaceError):
        # Between two statements a connection may be closed under the transaction's feet.
        return Trouble.LOST if "closed" in str(error) else None
    if not isinstance(error, asyncpg.PostgresError):
        return None
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return Trouble.AGAIN  # a migration changed what a prepared statement returns; it is prepared anew
    state = error.sqlstate or ""
    if state == _STANDBY[0] and _STANDBY[1] in str(error):
        return Trouble.READ_ONLY
    return _BY_STATE.get(state) or _BY_CLASS.get(state[:2])


def words(error: BaseException) -> str:
    """Put an error into one short line, without the place where it happened."""
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved: {error.strerror}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):  # an OSError whose number is OpenSSL's own
        return f"TLS failed: {getattr(error, 'verify_message', None) or error.reason or error}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, asyncpg.InternalClientError):
        return f"the server ended the connection ({text})"
    if isinstance(error, asyncpg.TooManyConnectionsError):
        return f"too many connections ({text})"
    return text


def as_contract(error: Exception) -> StoreUnavailable | StoreDamaged | None:
    """Return what the contract has for an error, None for a bug, which is to be raised as it is."""
    if isinstance(error, StoreUnavailable):
        return error
    match trouble(error):
        case None:
            return None
        case Trouble.DAMAGED:
            return StoreDamaged(words(error))
        case Trouble.FULL:
            return StoreFull(f"the database has no room: {words(error)}")
        case Trouble.FORBIDDEN:
            return StoreUnavailable(f"the database refuses: {words(error)}")
        case Trouble.BUSY:
            return StoreUnavailable(f"the database is busy: {words(error)}")
        case _:
            return StoreUnavailable(f"the database is unavailable: {words(error)}")
