"""`saiki rollback` and `saiki promote` with a server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from components._shared.errors import InputError, PreconditionError, ServingError
from components._shared.model_files import read_model_info
from components._shared.records import Lineage
from components._shared.registry import Registry
from components._shared.windows import Windows
from components.push import deployment
from components.push.server import Server
from pipelines.__main__ import saiki
from tests.serving_cluster import ServingCluster


@pytest.fixture
def server(cluster: ServingCluster, served_models: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server of the champion, version 2; version 1 was champion before it."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    models = Registry(cluster.registry, "flights")
    models.open(create=True)
    for number in (1, 2):
        add(models, served_models, number, served_models / f"{number}.samples.json")
        models.promote(number, generation=models.champion()[1], who="push", why="good")
    cluster.set_up()
    found = cluster.server()
    deployment.follow_champion(found, models, holder="test")
    return found


def add(models: Registry, served: Path, weight: int, samples: Path | None) -> int:
    model = served / str(weight)
    lineage = Lineage(
        experiment="e", judgement=f"j{len(models.versions())}", model_digest=read_model_info(model).digest,
        made_from={}, code={}, windows=Windows(as_of=datetime(2013, 7, 1, tzinfo=UTC), timezone="UTC"),
        created=datetime.now(UTC),
    )  # fmt: skip
    return models.add_version(model, lineage, {"samples.json": samples} if samples else {})


def run(cluster: ServingCluster, *arguments: str) -> Result:
    where = ("--registry", cluster.registry, "--deploy", "tf-serving", "--why", "for a test")
    return CliRunner().invoke(saiki, [*arguments, *where], catch_exceptions=False)


def pointer(cluster: ServingCluster) -> tuple[int, str]:
    champion, _ = Registry(cluster.registry, "flights").champion()
    assert champion is not None
    return champion.version, champion.hold


def test_a_rollback_serves_the_earlier_champion_and_then_holds_it(cluster: ServingCluster, server: Server) -> None:
    done = run(cluster, "rollback")
    assert done.exit_code == 0, done.output
    assert "Version 1 was rolled out within" in done.stderr
    assert "gives scores that differ from the stored ones by up to" in done.stderr
    assert (server.told().version, server.told().busy, pointer(cluster)) == (1, "", (1, "for a test"))

    done = run(cluster, "promote", "2")
    assert done.exit_code == 0, done.output
    assert (server.told().version, pointer(cluster)) == (2, (2, "for a test"))


def test_a_rollback_to_a_version_that_is_not_served_well_moves_nothing_and_says_so(
    cluster: ServingCluster, server: Server, served_models: Path
) -> None:
    models = Registry(cluster.registry, "flights")
    broken = add(models, served_models, 3, served_models / "1.samples.json")
    done = run(cluster, "rollback", "--to", str(broken))
    assert done.exit_code == 1
    assert "The champion stays as it is; the server is put back." in done.stderr
    assert (server.told().version, server.told().busy, pointer(cluster)) == (2, "", (2, ""))
    assert server.ask(2, deployment.samples_of(models, 2)) != "", "version 2 answers"


def test_a_version_from_before_there_were_samples_is_asked_whether_it_is_there(
    cluster: ServingCluster, server: Server, served_models: Path
) -> None:
    old = add(Registry(cluster.registry, "flights"), served_models, 3, None)
    done = run(cluster, "promote", str(old))
    assert done.exit_code == 0, done.output
    assert f"serves version {old}, which has no samples to be asked" in done.stderr
    assert (server.told().version, pointer(cluster)) == (old, (old, ""))


def test_a_version_that_is_gone_is_said_before_the_server_is_touched(
    cluster: ServingCluster, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (Path(cluster.registry) / "flights/versions/1/saved_model.pb").unlink()
    generation = cluster.deployment().metadata.generation
    with pytest.raises(Exception, match="There is no version 1"):
        run(cluster, "rollback")
    assert cluster.deployment().metadata.generation == generation
    with pytest.raises(InputError, match="repaired without a server"):
        run(cluster, "promote", "2", "--repair")
    with pytest.raises(ServingError, match="or correct the server's name"):
        run(cluster, "promote", "2", "--serving", "nobody")


def test_a_rollback_that_dies_between_server_and_pointer_is_put_right_by_the_next_one(
    cluster: ServingCluster, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = Registry.rollback

    def dies(*_: Any, **__: Any) -> None:
        monkeypatch.setattr("pipelines.commands.registry.follow_champion", lambda *_, **__: None)
        raise KeyboardInterrupt

    monkeypatch.setattr(Registry, "rollback", dies)
    done = CliRunner().invoke(
        saiki, ["rollback", "--registry", cluster.registry, "--deploy", "tf-serving", "--why", "x"]
    )
    assert done.exit_code != 0
    assert (server.told().version, pointer(cluster)) == (1, (2, ""))
    monkeypatch.undo()
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    assert Registry.rollback is real
    assert run(cluster, "rollback").exit_code == 0
    assert (server.told().version, server.told().busy, pointer(cluster)) == (1, "", (1, "for a test"))


def test_a_pointer_that_moves_during_a_rollback_wins(
    cluster: ServingCluster, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Registry(cluster.registry, "flights")
    real = deployment.deploy

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        found = real(*arguments, **options)
        models.rollback(who="other", why="faster", to=1)
        return found

    monkeypatch.setattr("pipelines.commands.registry.deployed", meanwhile)
    with pytest.raises(PreconditionError):
        run(cluster, "promote", "2")
    assert (server.told().version, pointer(cluster)) == (1, (1, "faster"))
