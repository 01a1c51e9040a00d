"""Registries, discovery, packages, query, serialization: official operations without a handler yet."""

from titan.api.unbuilt.rows import rows

OPERATIONS = (
    *rows(
        "AssetAdministrationShellRegistry",
        "/shell-descriptors",
        """
    /
        GET GetAllAssetAdministrationShellDescriptors
        POST PostAssetAdministrationShellDescriptor
    /{aasIdentifier}
        GET GetAssetAdministrationShellDescriptorById
        PUT PutAssetAdministrationShellDescriptorById
        DELETE DeleteAssetAdministrationShellDescriptorById
    /{aasIdentifier}/submodel-descriptors
        GET GetAllSubmodelDescriptorsThroughSuperpath
        POST PostSubmodelDescriptor-ThroughSuperpath
    /{aasIdentifier}/submodel-descriptors/{submodelIdentifier}
        GET GetSubmodelDescriptorByIdThroughSuperpath
        PUT PutSubmodelDescriptorByIdThroughSuperpath
        DELETE DeleteSubmodelDescriptorByIdThroughSuperpath
        """,
    ),
    *rows(
        "SubmodelRegistry",
        "/submodel-descriptors",
        """
    /
        GET GetAllSubmodelDescriptors
        POST PostSubmodelDescriptor
    /{submodelIdentifier}
        GET GetSubmodelDescriptorById
        PUT PutSubmodelDescriptorById
        DELETE DeleteSubmodelDescriptorById
        """,
    ),
    *rows(
        "AssetAdministrationShellRegistry",
        "/bulk/shell-descriptors",
        """
    /
        POST CreateBulkAssetAdministrationShellDescriptors
        PUT PutBulkAssetAdministrationShellDescriptorsById
        DELETE DeleteBulkAssetAdministrationShellDescriptorsById
        """,
    ),
    *rows(
        "SubmodelRegistry",
        "/bulk/submodel-descriptors",
        """
    /
        POST CreateBulkSubmodelDescriptors
        PUT PutBulkSubmodelDescriptorsById
        DELETE DeleteBulkSubmodelDescriptorsById
        """,
    ),
    *rows(
        "RegistryBulk",
        "/bulk",
        """
    /result/{handleId}
        GET GetBulkAsyncResult
    /status/{handleId}
        GET GetBulkAsyncStatus
        """,
    ),
    *rows(
        "Discovery",
        "/lookup",
        """
    /shells
        GET GetAllAssetAdministrationShellIdsByAssetLink
    /shells/{aasIdentifier}
        GET GetAllAssetLinksById
        POST PostAllAssetLinksById
        DELETE DeleteAllAssetLinksById
    /shellsByAssetLink
        POST SearchAllAssetAdministrationShellIdsByAssetLink read
        """,
    ),
    *rows(
        "AasxFileServer",
        "/packages",
        """
    /
        GET GetAllAASXPackageIds
        POST PostAASXPackage
    /{packageId}
        GET GetAASXByPackageId
        PUT PutAASXByPackageId
        DELETE DeleteAASXByPackageId
        """,
    ),
    *rows(
        "Query",
        "/query",
        """
    /concept-descriptions
        POST QueryConceptDescriptions read
    /shell-descriptors
        POST QueryAssetAdministrationShellDescriptors read
    /shells
        POST QueryAssetAdministrationShells read
    /submodel-descriptors
        POST QuerySubmodelDescriptors read
    /submodels
        POST QuerySubmodels read
        """,
    ),
    *rows(
        "Serialization",
        "/serialization",
        """
    /
        GET GenerateSerializationByIds
        """,
    ),
)
