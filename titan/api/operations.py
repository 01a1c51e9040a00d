"""The operation table: every official operation of IDTA-01002 3.1.2, and the corrected spelling of the one misspelt."""

from titan.api import concept_descriptions, description, shells, submodels
from titan.api.operation import Operation
from titan.api.unbuilt import registries, repositories, services

OPERATIONS: tuple[Operation, ...] = (
    *shells.OPERATIONS,
    *submodels.OPERATIONS,
    *concept_descriptions.OPERATIONS,
    *description.OPERATIONS,
    *repositories.OPERATIONS,
    *registries.OPERATIONS,
    *services.OPERATIONS,
)
