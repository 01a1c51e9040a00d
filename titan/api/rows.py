"""The five rows that every repository of identifiables has."""

from titan.api.media import JSON
from titan.api.operation import Operation, Right
from titan.api.repository import Repository


def repository_rows(
    repository: Repository,
    service: str,
    operation_ids: tuple[str, str, str, str, str],
    schema: str,
    *,
    filters: tuple[str, ...],
    modifiers: tuple[str, ...] = (),
) -> tuple[Operation, ...]:
    """Return the rows GET all, POST, GET, PUT, DELETE under the given operation ids."""
    one = f"{repository.path}/{{{repository.parameter}}}"
    get_all, post, get, put, delete = operation_ids
    noun = repository.noun
    return (
        Operation(
            get_all,
            "GET",
            repository.path,
            service,
            Right.READ,
            repository.get_all,
            query=(*filters, "limit", "cursor", *modifiers),
            result=f"Get{schema}sResult",
            summary=f"Returns all {noun}s",
        ),
        Operation(
            post,
            "POST",
            repository.path,
            service,
            Right.CREATE,
            repository.post,
            request_media=(JSON,),
            request=schema,
            success=(201,),
            result=schema,
            summary=f"Creates a {noun}",
            idempotent_by_key=True,
        ),
        Operation(
            get,
            "GET",
            one,
            service,
            Right.READ,
            repository.get,
            query=modifiers,
            result=schema,
            summary=f"Returns one {noun}",
            cacheable=True,
        ),
        Operation(
            put,
            "PUT",
            one,
            service,
            Right.UPDATE,
            repository.put,
            request_media=(JSON,),
            request=schema,
            success=(201, 204),
            result=schema,
            summary=f"Replaces a {noun}, or creates it",
        ),
        Operation(
            delete,
            "DELETE",
            one,
            service,
            Right.DELETE,
            repository.delete,
            success=(204,),
            summary=f"Deletes a {noun}",
        ),
    )


def references_row(
    repository: Repository,
    service: str,
    operation_id: str,
    *,
    filters: tuple[str, ...],
    modifiers: tuple[str, ...] = (),
) -> Operation:
    """Return the row GET all references; `modifiers` are what the standard still lists and what changes nothing."""
    return Operation(
        operation_id,
        "GET",
        f"{repository.path}/$reference",
        service,
        Right.READ,
        repository.get_references,
        query=(*filters, "limit", "cursor", *modifiers),
        result="GetReferencesResult",
        summary=f"Returns references to all {repository.noun}s",
    )
