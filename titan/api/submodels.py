"""Submodel Repository interface (IDTA-01002): the submodels themselves."""

from titan.api.repository import Repository
from titan.api.rows import references_row, repository_rows
from titan.store.contract import Kind

SERVICE = "SubmodelRepository"
SUBMODELS = Repository(Kind.SUBMODEL, "/submodels", "submodelIdentifier", "Submodel")
FILTERS = ("semanticId", "idShort")

OPERATIONS = (
    *repository_rows(
        SUBMODELS,
        SERVICE,
        ("GetAllSubmodels", "PostSubmodel", "GetSubmodelById", "PutSubmodelById", "DeleteSubmodelById"),
        "Submodel",
        filters=FILTERS,
        modifiers=("level", "extent"),
    ),
    references_row(SUBMODELS, SERVICE, "GetAllSubmodels-Reference", filters=FILTERS, modifiers=("level",)),
)
