"""A KFP API server: our twin of it, and a real one when KFP_ENDPOINT says where (and KFP_NAMESPACE, if it has users).

What is made there has a name of its own, and is removed afterwards.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.cluster.access import Access
from pipelines.cluster.connection import Connection, KfpError, connect
from tests.kfp_server import kfp_server


@pytest.fixture(scope="session")
def real_endpoint() -> str:
    endpoint = os.environ.get("KFP_ENDPOINT", "")
    if not endpoint:
        pytest.skip(
            "no real server: set KFP_ENDPOINT to one, such as http://localhost:8888 with "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline 8888`"
        )
    return endpoint


@pytest.fixture(params=["twin", "real"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """The same test against the twin and the real server."""
    if request.param == "real":
        endpoint = request.getfixturevalue("real_endpoint")
        access = Access(token=os.environ.get("SAIKI_KFP_TOKEN", ""), user=os.environ.get("KFP_USER", ""))
        yield connect(endpoint, namespace=os.environ.get("KFP_NAMESPACE", "kubeflow"), access=access)
        return
    with kfp_server() as twin:
        yield connect(twin.endpoint)


@pytest.fixture
def name() -> str:
    return f"saiki-contract-{secrets.token_hex(4)}"


@pytest.fixture
def later(connection: Connection) -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Takes calls that clean up; they are made in the reverse order."""
    calls: list[Callable[[], Any]] = []
    yield calls.append
    for call in reversed(calls):
        try:
            call()
        except KfpError as error:
            assert error.status == 404, error


@pytest.fixture(scope="session")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled pipeline that takes parameters of each type."""
    from kfp import compiler

    from tests.cluster import hello_pipeline

    path = tmp_path_factory.mktemp("pipelines") / "hello.yaml"
    compiler.Compiler().compile(hello_pipeline.hello, str(path))
    return path
