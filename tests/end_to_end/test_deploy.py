"""The whole pipeline with `deploy=tf-serving`: what is promoted answers, and what does not answer is not promoted."""

from __future__ import annotations

import json

import pytest

from components._shared import storage
from components._shared.registry import Registry
from components._shared.verdict import Verdict
from components.push.deployment import samples_of
from tests.small_task import AS_OF, write_task


@pytest.fixture
def cluster(tmp_path, model_servers, kubernetes_api):
    """A namespace with a server for the task `stands`."""
    from tests.serving_cluster import serving_cluster

    registry = str(tmp_path / "registry")
    with serving_cluster(tmp_path, model_servers, kubernetes_api, registry, task="stands") as found:
        yield found


def test_champions_are_served_and_a_challenger_that_cannot_be_served_leaves_the_champion(saiki, tmp_path, cluster):
    task, registry = write_task(tmp_path / "task"), Registry(cluster.registry, "stands")
    cluster.set_up()
    server = cluster.server()

    def run(*settings):
        given = (f"task={task}", f"as_of={AS_OF}", f"registry={cluster.registry}", "deploy=tf-serving", *settings)
        words = [word for setting in given for word in ("--set", setting)]
        return saiki(
            "run", "training", "--state", tmp_path / "state", *words, "--json", env={"KUBECONFIG": cluster.kubeconfig}
        )

    def is_served(version):
        samples = samples_of(registry, version)
        found = server.ask(version, samples)
        pairs = zip(found, samples.scores, strict=True)
        return all(abs(row[0] - stored[0]) <= samples.tolerance for row, stored in pairs)

    first = run()
    assert (first.code, first.result["result"], first.result["champion"]) == (0, "promoted", 1), first.err
    assert (server.told().version, is_served(1)) == (1, True)
    samples = json.loads(storage.read(f"{registry.version_ref(1).uri}/samples.json"))
    assert len(samples["scores"]) >= 20

    second = run("parameters.epochs=3", "override=another one, for the test")
    assert (second.result["result"], second.result["champion"]) == ("promoted", 2), second.err
    assert (server.told().version, is_served(2)) == (2, True)

    cluster.pods.too_large = {"3"}
    third = run("parameters.epochs=4", "override=a larger one, for the test")
    assert (third.code, third.result["result"], third.result["champion"]) == (1, "not_served", 2), third.err
    assert (server.told().version, server.told().busy, is_served(2)) == (2, "", True)
    record = next(attempt for attempt in registry.tries().values() if attempt.result == "not_served")
    verdict = Verdict.from_json(storage.read(registry.file_of(record, "verdict.json")))
    assert verdict.outcome == "failed"
    assert "container server: OOMKilled (exit code 137" in verdict.summary
