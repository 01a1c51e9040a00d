"""The shape of one row of the operation table (architecture 4.3); the rows stand in one file per AAS interface."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from titan.api.call import Call
from titan.api.messages import Response
from titan.api.services import Services

Handler = Callable[[Services, Call], Awaitable[Response]]


class Right(StrEnum):
    """What a caller must be allowed to do (IDTA-01004); asked for once there is authentication."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    EXECUTE = "execute"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the AAS API; routes, /description, OpenAPI, metrics labels and tests are derived from it."""

    operation_id: str
    """As in the profile file of its service, e.g. `GetAllAssetAdministrationShells`."""
    method: str
    path: str
    """Template as in the standard, e.g. `/shells/{aasIdentifier}`."""
    service: str
    """Short name of the interface it belongs to, e.g. `AssetAdministrationShellRepository`."""
    right: Right
    handler: Handler | None = None
    """None: an official operation that this server does not offer; answered 501."""
    query: tuple[str, ...] = ()
    """Query parameters it knows; any other one is a 400 that names it."""
    request_media: tuple[str, ...] = ()
    """Media types of the body it takes; empty: it takes none."""
    streams: bool = False
    """True where the handler reads the body itself, piece by piece (`Request.stream`)."""
    success: tuple[int, ...] = (200,)
    """Statuses of success, for OpenAPI."""
    result: str | None = None
    """Schema name of the successful answer's body, for OpenAPI."""
    answers_file: bool = False
    """True where the successful answer's body is a file of any media type, not JSON."""
    request: str | None = None
    """Schema name of the request's body, for OpenAPI."""
    summary: str = ""
    """One sentence for people."""
    cacheable: bool = False
    """True where the answer depends on the document's revision alone."""
    idempotent_by_key: bool = False
    """True where `Idempotency-Key` makes a retry safe."""
