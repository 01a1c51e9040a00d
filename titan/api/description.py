"""Description interface (IDTA-01002): what this server offers."""

import orjson

from titan.api.call import Call
from titan.api.messages import Response
from titan.api.operation import Operation, Right
from titan.api.services import Services

PROFILES: tuple[str, ...] = ()


async def get_self_description(_services: Services, _call: Call) -> Response:
    """Answer the profiles that are served in full."""
    return Response(200, orjson.dumps({"profiles": PROFILES}))


OPERATIONS = (
    Operation(
        "GetSelfDescription",
        "GET",
        "/description",
        "Description",
        Right.READ,
        get_self_description,
        result="ServiceDescription",
        summary="Returns what this server offers",
    ),
)
