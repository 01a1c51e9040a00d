"""Asset Administration Shell Repository interface (IDTA-01002): the shells themselves."""

from titan.api.repository import Repository
from titan.api.rows import repository_rows
from titan.store.contract import Kind

OPERATIONS = repository_rows(
    Repository(Kind.SHELL, "/shells", "aasIdentifier", "Asset Administration Shell"),
    "AssetAdministrationShellRepository",
    (
        "GetAllAssetAdministrationShells",
        "PostAssetAdministrationShell",
        "GetAssetAdministrationShellById",
        "PutAssetAdministrationShellById",
        "DeleteAssetAdministrationShellById",
    ),
    "AssetAdministrationShell",
    filters=("assetIds", "idShort"),
)
