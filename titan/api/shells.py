"""Asset Administration Shell Repository interface (IDTA-01002): the shells themselves, and their thumbnails."""

from titan.api.media import FORM
from titan.api.operation import Operation, Right
from titan.api.repository import Repository
from titan.api.rows import references_row, repository_rows
from titan.api.thumbnails import Thumbnails
from titan.store.contract import Kind

SERVICE = "AssetAdministrationShellRepository"
SHELLS = Repository(Kind.SHELL, "/shells", "aasIdentifier", "Asset Administration Shell")
FILTERS = ("assetIds", "idShort")
THUMBNAILS = Thumbnails(SHELLS)
THUMBNAIL = "/shells/{aasIdentifier}/asset-information/thumbnail"

OPERATIONS = (
    *repository_rows(
        SHELLS,
        SERVICE,
        (
            "GetAllAssetAdministrationShells",
            "PostAssetAdministrationShell",
            "GetAssetAdministrationShellById",
            "PutAssetAdministrationShellById",
            "DeleteAssetAdministrationShellById",
        ),
        "AssetAdministrationShell",
        filters=FILTERS,
    ),
    references_row(SHELLS, SERVICE, "GetAllAssetAdministrationShells-Reference", filters=FILTERS),
    Operation(
        "GetThumbnail_AasRepository",
        "GET",
        THUMBNAIL,
        SERVICE,
        Right.READ,
        THUMBNAILS.get,
        answers_file=True,
        summary="Returns the thumbnail of a shell's asset",
        cacheable=True,
    ),
    Operation(
        "PutThumbnail_AasRepository",
        "PUT",
        THUMBNAIL,
        SERVICE,
        Right.UPDATE,
        THUMBNAILS.put,
        request_media=(FORM,),
        request="FileForm",
        streams=True,
        success=(204,),
        summary="Sets or replaces the thumbnail of a shell's asset",
    ),
    Operation(
        "DeleteThumbnail_AasRepository",
        "DELETE",
        THUMBNAIL,
        SERVICE,
        Right.DELETE,
        THUMBNAILS.delete,
        success=(204,),
        summary="Removes the thumbnail of a shell's asset",
    ),
)
