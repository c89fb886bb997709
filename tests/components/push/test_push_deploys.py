"""`push` with a server: over the Kubernetes API, to pods that fetch the version and answer with TensorFlow."""

from __future__ import annotations

from collections.abc import Callable

from components._shared.registry import Registry
from tests.components.push.conftest import Run
from tests.serving_cluster import ServingCluster

Runs = Callable[..., Run]


def champion(cluster: ServingCluster) -> int:
    found, _ = Registry(cluster.registry, "flights").champion()
    return found.version if found else 0


def test_the_first_champion_and_its_challenger_are_served_before_they_are_promoted(
    cluster: ServingCluster, make_served: Runs
) -> None:
    cluster.set_up()
    server = cluster.server()
    for number, weight in ((1, 1), (2, 2)):
        run = make_served(f"j{number}", weight)
        pushed = run.push(server=server)
        assert (pushed.result, pushed.version) == ("promoted", number), pushed.reason
        assert (server.told().version, server.told().busy, champion(cluster)) == (number, "", number)
