"""Submodel Repository interface (IDTA-01002): the submodels themselves."""

from titan.api.repository import Repository
from titan.api.rows import repository_rows
from titan.store.contract import Kind

OPERATIONS = repository_rows(
    Repository(Kind.SUBMODEL, "/submodels", "submodelIdentifier", "Submodel"),
    "SubmodelRepository",
    ("GetAllSubmodels", "PostSubmodel", "GetSubmodelById", "PutSubmodelById", "DeleteSubmodelById"),
    "Submodel",
    filters=("semanticId", "idShort"),
    modifiers=("level", "extent"),
)
