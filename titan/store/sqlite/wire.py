"""What store and writer process say to each other: frames of marshalled tuples over one socket.

Both ends are this program in one version, so `marshal` is safe and the fastest there is. This module is imported by
the writer process and therefore imports nothing that costs it memory (measured: hashlib alone adds 4 MB).

A frame is 4 bytes of length, big-endian, then the marshalled value.
Requests: `(number, operation, *arguments)`; several may stand in one stretch of bytes.
Replies: `("ready",)` once, `("done", [(number, code, ...), ...])` per batch, `("fatal", reason, may_pass)` at an exit.
"""

import marshal
import struct
from typing import Any

LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 1 << 30

# Operations
WRITE = 1
DELETE = 2
TRIM = 3
PROBE = 4
STOP = 5
ADD_BLOB = 6
MARK_BLOBS = 7
FORGET_BLOBS = 8
BEGIN_TERM = 9
SYNC_BEGIN = 10
SYNC_NOTE = 11
SYNC_FINISH = 12
TASK_REQUEST = 13
TASK_BEGIN = 14
TASK_END = 15
EXPIRE = 16
KEEP_CURSOR = 17
DROP_CURSOR = 18

# Modes of a write
CREATE = 1
REPLACE = 2
PUT = 3

# Preconditions: a tuple of one of these and the revisions
IF_MATCH = 1
IF_NONE_MATCH = 2

# Codes of a reply, and what comes after the code
CREATED = 1  # and revision, modified_ms
REPLACED = 2  # revision, modified_ms
DELETED = 3  # revision, modified_ms
REPLAYED = 4  # code of the first outcome, revision, modified_ms
ALREADY_EXISTS = 5  # revision
NOT_FOUND = 6
PRECONDITION_FAILED = 7  # revision or None
IDEMPOTENCY_MISMATCH = 8
TRIMMED = 9  # number of rows
PROBED = 10
BLOB_ADDED = 11
BLOBS_MARKED = 12  # how many were looked at, the keys of those to be removed
BLOBS_FORGOTTEN = 13
TERM_BEGUN = 14  # its number
SYNC_DONE = 15  # of SYNC_BEGIN the place, if there is one
TASK_NOTED = 16  # of TASK_REQUEST when, in ms
TASK_BEGUN = 17  # now in ms, failures in a row, is resumed
TASK_NOT_DUE = 18  # how long it has to wait in ms
EXPIRED = 19  # number of rows
CURSOR_DONE = 26  # whether it was
# ... and where nothing was done
FULL = 20  # reason
UNAVAILABLE = 21  # reason
DAMAGED = 22  # reason
UNKNOWN = 23  # reason
FAILED = 24  # reason: a bug, or a value that the database cannot hold
DEPOSED = 25  # role, epoch of the fence, epoch of the newest term


TASK_REPLIES = frozenset({TASK_NOTED, TASK_BEGUN, TASK_NOT_DUE, EXPIRED})


def frame(value: Any) -> bytes:
    """Return the value as one frame."""
    body = marshal.dumps(value)
    return LENGTH.pack(len(body)) + body


class Frames:
    """Cuts a stream of bytes into values."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Take bytes as they come; return the values that are complete now."""
        buffer = self._buffer
        buffer += data
        values = []
        start = 0
        while len(buffer) - start >= LENGTH.size:
            (size,) = LENGTH.unpack_from(buffer, start)
            if size > MAX_FRAME_BYTES:
                raise ValueError(f"a frame of {size} bytes: the stream is out of step")
            end = start + LENGTH.size + size
            if len(buffer) < end:
                break
            values.append(marshal.loads(memoryview(buffer)[start + LENGTH.size : end]))  # noqa: S302 (own process)
            start = end
        del buffer[:start]
        return values
