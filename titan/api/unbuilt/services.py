"""Single-shell and single-submodel services: official operations without a handler."""

from titan.api.unbuilt.rows import rows

# The official 3.1.2 files misspell one path, `invoke-asnyc`; both spellings are rows.

OPERATIONS = (
    *rows(
        "AssetAdministrationShell",
        "/aas",
        """
    /
        GET GetAssetAdministrationShell
        PUT PutAssetAdministrationShell
    /$reference
        GET GetAssetAdministrationShell-Reference
    /asset-information
        GET GetAssetInformation
        PUT PutAssetInformation
    /asset-information/thumbnail
        GET GetThumbnail
        PUT PutThumbnail
        DELETE DeleteThumbnail
    /submodel-refs
        GET GetAllSubmodelReferences
        POST PostSubmodelReference
    /submodel-refs/{submodelIdentifier}
        DELETE DeleteSubmodelReference
        """,
    ),
    *rows(
        "AssetAdministrationShell",
        "/aas/submodels/{submodelIdentifier}",
        """
    /
        GET GetSubmodelById
        PUT PutSubmodelById
        PATCH PatchSubmodelById
        DELETE DeleteSubmodelById
    /$metadata
        GET GetSubmodelById-Metadata
        PATCH PatchSubmodelByIdMetadata
    /$path
        GET GetSubmodelById-Path
    /$reference
        GET GetSubmodelById-Reference
    /$value
        GET GetSubmodelById-ValueOnly
        PATCH PatchSubmodelById-ValueOnly
    /submodel-elements
        GET GetAllSubmodelElements
        POST PostSubmodelElement
    /submodel-elements/$metadata
        GET GetAllSubmodelElements-Metadata
    /submodel-elements/$path
        GET GetAllSubmodelElementsPath
    /submodel-elements/$reference
        GET GetAllSubmodelElementsReference
    /submodel-elements/$value
        GET GetAllSubmodelElements-ValueOnly
    /submodel-elements/{idShortPath}
        GET GetSubmodelElementByPath
        POST PostSubmodelElementByPath
        PUT PutSubmodelElementByPath
        PATCH PatchSubmodelElementValueByPath
        DELETE DeleteSubmodelElementByPath
    /submodel-elements/{idShortPath}/$metadata
        GET GetSubmodelElementByPath-Metadata
        PATCH PatchSubmodelElementValueByPath-Metadata
    /submodel-elements/{idShortPath}/$path
        GET GetSubmodelElementByPath-Path
    /submodel-elements/{idShortPath}/$reference
        GET GetSubmodelElementByPath-Reference
    /submodel-elements/{idShortPath}/$value
        GET GetSubmodelElementByPath-ValueOnly
        PATCH PatchSubmodelElementValueByPathValueOnly
    /submodel-elements/{idShortPath}/attachment
        GET GetFileByPath
        PUT PutFileByPath
        DELETE DeleteFileByPath
    /submodel-elements/{idShortPath}/invoke
        POST InvokeOperationSync execute
    /submodel-elements/{idShortPath}/invoke-asnyc
        POST InvokeOperationAsync execute
    /submodel-elements/{idShortPath}/invoke-async
        POST InvokeOperationAsync execute
    /submodel-elements/{idShortPath}/invoke-async/$value
        POST InvokeOperationAsync-ValueOnly execute
    /submodel-elements/{idShortPath}/invoke/$value
        POST InvokeOperationSync-ValueOnly execute
    /submodel-elements/{idShortPath}/operation-results/{handleId}
        GET GetOperationAsyncResult
    /submodel-elements/{idShortPath}/operation-results/{handleId}/$value
        GET GetOperationAsyncResult-ValueOnly
    /submodel-elements/{idShortPath}/operation-status/{handleId}
        GET GetOperationAsyncStatus
        """,
    ),
    *rows(
        "Submodel",
        "/submodel",
        """
    /
        GET GetSubmodel
        PUT PutSubmodel
        PATCH PatchSubmodel
    /$metadata
        GET GetSubmodel-Metadata
        PATCH PatchSubmodel-Metadata
    /$path
        GET GetSubmodel-Path
    /$reference
        GET GetSubmodel-Reference
    /$value
        GET GetSubmodel-ValueOnly
        PATCH PatchSubmodel-ValueOnly
    /submodel-elements
        GET GetAllSubmodelElements
        POST PostSubmodelElement
    /submodel-elements/$metadata
        GET GetAllSubmodelElements-Metadata
    /submodel-elements/$path
        GET GetAllSubmodelElements-Path
    /submodel-elements/$reference
        GET GetAllSubmodelElements-Reference
    /submodel-elements/$value
        GET GetAllSubmodelElements-ValueOnly
    /submodel-elements/{idShortPath}
        GET GetSubmodelElementByPath
        POST PostSubmodelElementByPath
        PUT PutSubmodelElementByPath
        PATCH PatchSubmodelElementByPath
        DELETE DeleteSubmodelElementByPath
    /submodel-elements/{idShortPath}/$metadata
        GET GetSubmodelElementByPath-Metadata
        PATCH PatchSubmodelElementByPath-Metadata
    /submodel-elements/{idShortPath}/$path
        GET GetSubmodelElementByPath-Path
    /submodel-elements/{idShortPath}/$reference
        GET GetSubmodelElementByPath-Reference
    /submodel-elements/{idShortPath}/$value
        GET GetSubmodelElementByPath-ValueOnly
        PATCH PatchSubmodelElementByPath-ValueOnly
    /submodel-elements/{idShortPath}/attachment
        GET GetFileByPath
        PUT PutFileByPath
        DELETE DeleteFileByPath
    /submodel-elements/{idShortPath}/invoke
        POST InvokeOperation execute
    /submodel-elements/{idShortPath}/invoke-async
        POST InvokeOperationAsync execute
    /submodel-elements/{idShortPath}/invoke-async/$value
        POST InvokeOperationAsync-ValueOnly execute
    /submodel-elements/{idShortPath}/invoke/$value
        POST InvokeOperationSync-ValueOnly execute
    /submodel-elements/{idShortPath}/operation-results/{handleId}
        GET GetOperationAsyncResult
    /submodel-elements/{idShortPath}/operation-results/{handleId}/$value
        GET GetOperationAsyncResult-ValueOnly
    /submodel-elements/{idShortPath}/operation-status/{handleId}
        GET GetOperationAsyncStatus
        """,
    ),
)
