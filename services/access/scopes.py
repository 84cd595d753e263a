"""Which scope each method of the services needs."""

from __future__ import annotations

from collections.abc import Mapping

from wordspot.services.access.principals import Scope

# By the name of the method. What stands nowhere needs ADMIN, so that a new method is closed until it is here.
_READ = (
    # archives and search
    *("GetServerInfo", "GetArchive", "ListArchives", "GetRecording", "ListRecordings", "GetClip", "GetPeaks"),
    "ReadRecording",
    *("GetOperation", "ListOperations", "WatchOperation", "ListVerdicts", "ListTags"),
    *("Search", "SearchStored"),
    # models
    *("ListModels", "GetModel", "Encode", "Decode", "Reconstruct", "Sample", "Classify", "GetLogLikelihood"),
    *("Complete", "Generate", "Translate", "Describe", "ListNeighbours", "SolveAnalogy"),
    # between services
    *("Segment", "Embed", "GetEncoder", "ListEncoders"),
    # Open Inference Protocol
    *("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelConfig"),
    *("ModelInfer", "ModelStreamInfer", "RepositoryIndex"),
)
_WRITE = (
    *("CreateArchive", "UploadRecording", "AddRecording", "AddRecordings", "UpdateRecordings"),
    *("DeleteRecording", "IndexArchive", "CancelOperation", "ResumeOperation", "RefreshArchive"),
    *("SetVerdicts", "DeleteVerdicts"),
)
SCOPES: Mapping[str, Scope] = {
    **dict.fromkeys(_READ, Scope.READ),
    **dict.fromkeys(_WRITE, Scope.WRITE),
}


def needed_scope(method: str) -> Scope:
    """Returns the scope that a method needs. method: /package.Service/Method."""
    return SCOPES.get(method.rpartition("/")[2], Scope.ADMIN)
