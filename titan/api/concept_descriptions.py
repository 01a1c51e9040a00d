"""Concept Description Repository interface (IDTA-01002)."""

from titan.api.repository import Repository
from titan.api.rows import repository_rows
from titan.store.contract import Kind

OPERATIONS = repository_rows(
    Repository(Kind.CONCEPT_DESCRIPTION, "/concept-descriptions", "cdIdentifier", "Concept Description"),
    "ConceptDescriptionRepository",
    (
        "GetAllConceptDescriptions",
        "PostConceptDescription",
        "GetConceptDescriptionById",
        "PutConceptDescriptionById",
        "DeleteConceptDescriptionById",
    ),
    "ConceptDescription",
    filters=("idShort", "isCaseOf", "dataSpecificationRef"),
)
