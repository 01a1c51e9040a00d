"""Repositories: official operations without a handler yet."""

from titan.api.unbuilt.rows import rows

OPERATIONS = (
    *rows(
        "AssetAdministrationShellRepository",
        "/shells",
        """
    /{aasIdentifier}/$reference
        GET GetAssetAdministrationShellById-Reference_AasRepository
    /{aasIdentifier}/asset-information
        GET GetAssetInformation_AasRepository
        PUT PutAssetInformation_AasRepository
    /{aasIdentifier}/submodel-refs
        GET GetAllSubmodelReferences_AasRepository
        POST PostSubmodelReference_AasRepository
    /{aasIdentifier}/submodel-refs/{submodelIdentifier}
        DELETE DeleteSubmodelReference_AasRepository
        """,
    ),
    *rows(
        "AssetAdministrationShellRepository",
        "/shells/{aasIdentifier}/submodels/{submodelIdentifier}",
        """
    /
        GET GetSubmodelById_AasRepository
        PUT PutSubmodelById_AasRepository
        PATCH PatchSubmodel_AasRepository
        DELETE DeleteSubmodelById_AasRepository
    /$metadata
        GET GetSubmodelById-Metadata_AasRepository
        PATCH PatchSubmodelById-Metadata_AasRepository
    /$path
        GET GetSubmodelById-Path_AasRepository
    /$reference
        GET GetSubmodelById-Reference_AasRepository
    /$value
        GET GetSubmodelById-ValueOnly_AasRepository
        PATCH PatchSubmodelById-ValueOnly_AasRepository
    /submodel-elements
        GET GetAllSubmodelElements_AasRepository
        POST PostSubmodelElement_AasRepository
    /submodel-elements/$metadata
        GET GetAllSubmodelElements-Metadata_AasRepository
    /submodel-elements/$path
        GET GetAllSubmodelElements-Path_AasRepository
    /submodel-elements/$reference
        GET GetAllSubmodelElements-Reference_AasRepository
    /submodel-elements/$value
        GET GetAllSubmodelElements-ValueOnly_AasRepository
    /submodel-elements/{idShortPath}
        GET GetSubmodelElementByPath_AasRepository
        POST PostSubmodelElementByPath_AasRepository
        PUT PutSubmodelElementByPath_AasRepository
        PATCH PatchSubmodelElementValueByPath_AasRepository
        DELETE DeleteSubmodelElementByPath_AasRepository
    /submodel-elements/{idShortPath}/$metadata
        GET GetSubmodelElementByPath-Metadata_AasRepository
        PATCH PatchSubmodelElementValueByPath-Metadata
    /submodel-elements/{idShortPath}/$path
        GET GetSubmodelElementByPath-Path_AasRepository
    /submodel-elements/{idShortPath}/$reference
        GET GetSubmodelElementByPath-Reference_AasRepository
    /submodel-elements/{idShortPath}/$value
        GET GetSubmodelElementByPath-ValueOnly_AasRepository
        PATCH PatchSubmodelElementValueByPath-ValueOnly
    /submodel-elements/{idShortPath}/attachment
        GET GetFileByPath_AasRepository
        PUT PutFileByPath_AasRepository
        DELETE DeleteFileByPath_AasRepository
    /submodel-elements/{idShortPath}/invoke
        POST InvokeOperation_AasRepository execute
    /submodel-elements/{idShortPath}/invoke-async
        POST InvokeOperationAsync_AasRepository execute
    /submodel-elements/{idShortPath}/invoke-async/$value
        POST InvokeOperationAsync-ValueOnly_AasRepository execute
    /submodel-elements/{idShortPath}/invoke/$value
        POST InvokeOperation-ValueOnly_AasRepository execute
    /submodel-elements/{idShortPath}/operation-results/{handleId}
        GET GetOperationAsyncResult_AasRepository
    /submodel-elements/{idShortPath}/operation-results/{handleId}/$value
        GET GetOperationAsyncResult-ValueOnly_AasRepository
    /submodel-elements/{idShortPath}/operation-status/{handleId}
        GET GetOperationAsyncStatus_AasRepository
        """,
    ),
    *rows(
        "SubmodelRepository",
        "/submodels",
        """
    /$metadata
        GET GetAllSubmodels-Metadata
    /$path
        GET GetAllSubmodels-Path
    /$value
        GET GetAllSubmodels-ValueOnly
    /{submodelIdentifier}
        PATCH PatchSubmodelById
    /{submodelIdentifier}/$metadata
        GET GetSubmodelById-Metadata
        PATCH PatchSubmodelById-Metadata
    /{submodelIdentifier}/$path
        GET GetSubmodelById-Path
    /{submodelIdentifier}/$reference
        GET GetSubmodelById-Reference
    /{submodelIdentifier}/$value
        GET GetSubmodelById-ValueOnly
        PATCH PatchSubmodelById-ValueOnly
    /{submodelIdentifier}/submodel-elements
        GET GetAllSubmodelElements
        POST PostSubmodelElement_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/$metadata
        GET GetAllSubmodelElements-Metadata_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/$path
        GET GetAllSubmodelElements-Path_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/$reference
        GET GetAllSubmodelElements-Reference_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/$value
        GET GetAllSubmodelElements-ValueOnly_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/{idShortPath}
        GET GetSubmodelElementByPath_SubmodelRepo
        POST PostSubmodelElementByPath_SubmodelRepo
        PUT PutSubmodelElementByPath_SubmodelRepo
        PATCH PatchSubmodelElementByPath_SubmodelRepo
        DELETE DeleteSubmodelElementByPath_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/{idShortPath}/$metadata
        GET GetSubmodelElementByPath-Metadata_SubmodelRepo
        PATCH PatchSubmodelElementByPath-Metadata_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/{idShortPath}/$path
        GET GetSubmodelElementByPath-Path_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/{idShortPath}/$reference
        GET GetSubmodelElementByPath-Reference_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/{idShortPath}/$value
        GET GetSubmodelElementByPath-ValueOnly_SubmodelRepo
        PATCH PatchSubmodelElementByPath-ValueOnly_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/{idShortPath}/attachment
        GET GetFileByPath_SubmodelRepo
        PUT PutFileByPath_SubmodelRepo
        DELETE DeleteFileByPath_SubmodelRepo
    /{submodelIdentifier}/submodel-elements/{idShortPath}/invoke
        POST InvokeOperation_SubmodelRepo execute
    /{submodelIdentifier}/submodel-elements/{idShortPath}/invoke-async
        POST InvokeOperationAsync execute
    /{submodelIdentifier}/submodel-elements/{idShortPath}/invoke-async/$value
        POST InvokeOperationAsync-ValueOnly execute
    /{submodelIdentifier}/submodel-elements/{idShortPath}/invoke/$value
        POST InvokeOperation-ValueOnly execute
    /{submodelIdentifier}/submodel-elements/{idShortPath}/operation-results/{handleId}
        GET GetOperationAsyncResult
    /{submodelIdentifier}/submodel-elements/{idShortPath}/operation-results/{handleId}/$value
        GET GetOperationAsyncResult-ValueOnly
    /{submodelIdentifier}/submodel-elements/{idShortPath}/operation-status/{handleId}
        GET GetOperationAsyncStatus
        """,
    ),
)
