"""Every method of every service has the scope that it is meant to have."""

import pytest

from wordspot.oip import inference_pb2
from wordspot.services.access.principals import Scope
from wordspot.services.access.scopes import needed_scope
from wordspot.v1 import archive_pb2, embedding_pb2, models_pb2, search_pb2, segmentation_pb2

FILES = (archive_pb2, embedding_pb2, models_pb2, search_pb2, segmentation_pb2, inference_pb2)
METHODS = [
    f"/{service.full_name}/{method.name}"
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
ADMIN = {
    *("CompactArchive", "DeleteArchive", "PruneArchive", "RepairArchive", "VerifyArchive"),
    *("LoadModel", "UnloadModel", "ModelStatistics", "RepositoryModelLoad", "RepositoryModelUnload"),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_either_listed_or_an_administrators(method: str) -> None:
    name = method.rpartition("/")[2]
    assert (needed_scope(method) is Scope.ADMIN) == (name in ADMIN), f"give {name} a scope"


@pytest.mark.parametrize("method", [method for method in METHODS if "/Delete" in method or "/Add" in method])
def test_what_changes_an_archive_cannot_be_done_by_a_reader(method: str) -> None:
    assert needed_scope(method) > Scope.READ


def test_a_method_that_nobody_knows_is_an_administrators() -> None:
    assert needed_scope("/wordspot.v1.NewService/DoSomething") is Scope.ADMIN
