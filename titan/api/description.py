"""Description interface (IDTA-01002): what this server offers."""

import orjson

from titan.api.call import Call
from titan.api.messages import Response
from titan.api.operation import Operation, Right
from titan.api.services import Services

PROFILES = ("urn:titan-aas:profile:identifiables:1",)
"""What is served in full. None of the standard's profiles is yet (a test compares with the official files), and one at
least must be named: this one stands for list, create, read, replace and delete of shells, submodels and concept
descriptions (deploy/adr, "What /description says")."""


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
