"""`push` with a server: over the Kubernetes API, to pods that fetch the version and answer with TensorFlow."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components._shared import storage
from components._shared.errors import InputError, ServingError
from components._shared.registry import Registry
from components._shared.samples import Samples
from components._shared.verdict import Verdict
from components.push.cluster_api import Cluster
from components.push.deployment import follow_champion, samples_of, server_of
from components.push.server import Server
from components.push.tf_serving import TensorFlowServing
from tests.kubernetes_server import KubernetesServer, Rule
from tests.pod_runner import wait_for
from tests.serving_cluster import ServingCluster

Runs = Callable[..., Any]


@pytest.fixture
def twin(cluster: ServingCluster) -> KubernetesServer:
    """The twin of the API server, for what cannot be asked of a real one."""
    if cluster.twin is None:
        pytest.skip("a real API server neither breaks connections nor forgets its past on request")
    return cluster.twin


def champion(cluster: ServingCluster) -> int:
    found, _ = Registry(cluster.registry, "flights").champion()
    return found.version if found else 0


def answers(server: Server, cluster: ServingCluster, version: int) -> bool:
    samples = samples_of(Registry(cluster.registry, "flights"), version)
    found = server.ask(version, samples)
    return [[round(score, 5) for score in row] for row in found] == [  # type: ignore[union-attr]
        [round(score, 5) for score in row] for row in samples.scores
    ]


def checks(cluster: ServingCluster, record: str) -> dict[str, str]:
    models = Registry(cluster.registry, "flights")
    uri = models.file_of(models.tries()[record], "verdict.json")
    return {check.name: check.outcome for check in Verdict.from_json(storage.read(uri)).checks}


def in_step(cluster: ServingCluster, server: Server, version: int) -> None:
    told = server.told()
    assert (told.version, told.intact, told.busy, champion(cluster)) == (version, True, "", version)
    assert answers(server, cluster, version)


def test_the_first_champion_and_its_challenger_are_served_before_they_are_promoted(
    cluster: ServingCluster, make_served: Runs
) -> None:
    cluster.set_up()
    server = cluster.server()
    for number in (1, 2):
        pushed = make_served(f"j{number}", number).push(server=server)
        assert (pushed.result, pushed.version) == ("promoted", number), pushed.reason
        in_step(cluster, server, number)
    found = {"serving.rolled_out": "passed", "serving.answers": "passed", "serving.reproduces": "passed"}
    assert checks(cluster, "j2") == found
    spec = cluster.deployment().spec.template
    assert spec.metadata.annotations["saiki/version"] == "2"
    assert {variable.name: variable.value for variable in spec.spec.init_containers[0].env}["SAIKI_VERSION"] == "2"


def test_a_challenger_that_answers_otherwise_than_it_was_judged_is_not_served_and_the_champion_stays(
    cluster: ServingCluster, make_served: Runs
) -> None:
    cluster.set_up()
    server = cluster.server()
    make_served("j1", 1).push(server=server)
    run = make_served("j2", 2, samples_of=3)

    for _ in range(2):
        pushed = run.push(server=server)

        assert (pushed.result, pushed.version) == ("not_served", 2)
        assert "gives scores that differ from the stored ones by up to" in pushed.reason
        in_step(cluster, server, 1)
        found = {"serving.rolled_out": "passed", "serving.answers": "passed", "serving.reproduces": "failed"}
        assert checks(cluster, "j2.not_served-1") == found


def test_pods_whose_image_cannot_be_pulled_end_the_wait_early_with_the_reason(
    cluster: ServingCluster, make_served: Runs
) -> None:
    def with_missing_image(deployment: dict[str, Any]) -> None:
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "missing:1"

    cluster.set_up(with_missing_image)
    server = cluster.server()

    pushed = make_served("j1", 1).push(server=server)

    assert (pushed.result, pushed.version, champion(cluster)) == ("not_served", 1, 0)
    assert "container server: ImagePullBackOff: Back-off pulling image" in pushed.reason
    assert server.told().version is None
    assert server.told().busy == ""


def test_pods_that_cannot_fetch_the_version_end_the_wait_early_with_what_they_said(
    cluster: ServingCluster, make_served: Runs
) -> None:
    cluster.set_up()
    cluster.core.patch_namespaced_config_map("saiki-settings", cluster.namespace, {"data": {"registry": "/nowhere"}})

    pushed = make_served("j1", 1).push(server=cluster.server())

    assert pushed.result == "not_served"
    assert "container fetch: Error (exit code 2, ended" in pushed.reason
    assert "There is no version 1 of 'flights'" in pushed.reason


def test_pods_that_never_become_ready_are_given_up_when_nothing_moves_any_more(
    cluster: ServingCluster, make_served: Runs
) -> None:
    def impatient(deployment: dict[str, Any]) -> None:
        deployment["spec"]["progressDeadlineSeconds"] = 3

    cluster.set_up(impatient)
    server = cluster.server()
    cluster.pods.slow = 3600

    pushed = make_served("j1", 1).push(server=server)

    assert pushed.result == "not_served"
    assert "it made no progress for 3 s. pod serving-flights-" in pushed.reason


def test_a_champion_is_put_back_after_a_rollout_that_stood_still(cluster: ServingCluster, make_served: Runs) -> None:
    cluster.set_up()
    server = cluster.server()
    make_served("j1", 1).push(server=server)
    cluster.patch({"spec": {"progressDeadlineSeconds": 3}})
    cluster.pods.slow = 3600
    threading.Timer(12, lambda: setattr(cluster.pods, "slow", 0.0)).start()

    pushed = make_served("j2", 2).push(server=server)

    assert pushed.result == "not_served"
    in_step(cluster, server, 1)


def test_others_who_change_the_deployment_at_the_same_moment_do_no_harm(
    cluster: ServingCluster, make_served: Runs, twin: KubernetesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.set_up()
    left = [3]

    def autoscaler(method: str, path: str, token: str) -> None:
        if (method, token) == ("PATCH", "push") and left[0]:
            left[0] -= 1
            key = ("deployments", cluster.namespace, "serving-flights")
            with twin.store.lock:
                twin.store.put(key, twin.store.objects[key], "MODIFIED")

    monkeypatch.setattr(twin, "before", autoscaler)
    server = cluster.server()
    assert make_served("j1", 1).push(server=server).result == "promoted"
    assert left == [0]
    in_step(cluster, server, 1)


def test_connections_that_break_and_watches_that_expire_are_taken_up_again(
    cluster: ServingCluster, make_served: Runs, twin: KubernetesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.set_up()
    count = [0]

    def unreliable(method: str, path: str, token: str) -> None:
        if token != "push":
            return
        twin.store.forget()
        twin.cut_watches.set()
        count[0] += 1
        if count[0] % 3 == 0:
            raise ConnectionResetError

    monkeypatch.setattr(twin, "before", unreliable)
    monkeypatch.setattr("components.push.cluster_api.PAUSE_SECONDS", 0.05)
    server = cluster.server()
    pushed = make_served("j1", 1).push(server=server)
    monkeypatch.undo()
    twin.cut_watches.clear()
    assert pushed.result == "promoted", pushed.reason
    in_step(cluster, server, 1)


def test_a_server_that_does_not_answer_in_time_is_not_served(
    cluster: ServingCluster, make_served: Runs, twin: KubernetesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.set_up()
    server = cluster.server(ask_seconds=1)
    make_served("j1", 1).push(server=server)

    def silent(method: str, path: str, token: str) -> None:
        if path.endswith("/versions/2:predict"):
            raise ConnectionResetError

    monkeypatch.setattr(twin, "before", silent)
    pushed = make_served("j2", 2).push(server=server)
    assert pushed.result == "not_served"
    assert pushed.reason.startswith("Version 2 does not answer: no answer: ")
    assert checks(cluster, "j2.not_served-1") == {"serving.rolled_out": "passed", "serving.answers": "failed"}
    in_step(cluster, server, 1)


def test_in_the_cluster_the_service_is_asked_by_its_name_past_any_proxy(
    cluster: ServingCluster, make_served: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.set_up()
    make_served("j1", 1).push(server=cluster.server())
    (pod,) = [pod for pod in cluster.core.list_namespaced_pod(cluster.namespace).items if answering(pod)]
    real = socket.getaddrinfo

    def names(host: str, *arguments: Any, **options: Any) -> Any:
        service = f"serving-flights.{cluster.namespace}.svc"
        return real(pod.status.pod_ip if host == service else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", names)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    inside = Cluster(cluster.admin, cluster.namespace, inside=True)
    server = TensorFlowServing(inside, cluster.namespace, "serving-flights", "flights", patience=1)
    assert answers(server, cluster, 1)
    samples = samples_of(Registry(cluster.registry, "flights"), 1)
    assert server.ask(7, samples) == "404: Servable not found for request: Specific(flights, 7)"
    wrong = samples.model_copy(update={"inputs": {**samples.inputs, "shop": (1, 2, 3)}})
    assert "is not of expected type: string" in str(server.ask(1, wrong))
    elsewhere = TensorFlowServing(inside, cluster.namespace, "nobody", "flights", patience=0)
    assert str(elsewhere.ask(1, samples)).startswith("no answer: ")


def answering(pod: Any) -> bool:
    return pod.metadata.deletion_timestamp is None and any(
        condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions or ()
    )


def test_a_server_that_is_started_again_while_it_is_asked_is_asked_again(
    cluster: ServingCluster, make_served: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.set_up()
    server = cluster.server(ask_seconds=120)
    real = server.wait_until_ready

    def then_killed(version: int) -> Any:
        found = real(version)
        cluster.pods.restart_servers()
        return found

    monkeypatch.setattr(server, "wait_until_ready", then_killed)
    pushed = make_served("j1", 1).push(server=server)
    assert pushed.result == "promoted", pushed.reason


def test_of_two_pushes_at_once_one_is_served_and_promoted_and_the_other_superseded(
    cluster: ServingCluster, make_served: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.push.deployment.LOOK_AGAIN_SECONDS", 0.2)
    cluster.set_up()
    runs = [make_served("j1", 1), make_served("j2", 2)]
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda run=run: results.append(run.push(server=cluster.server()).result))
        for run in runs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["promoted", "superseded"]
    in_step(cluster, cluster.server(), champion(cluster))


def test_a_pointer_that_moves_while_a_version_is_checked_wins_over_it(
    cluster: ServingCluster, make_served: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.set_up()
    server = cluster.server()
    make_served("j1", 1).push(server=server)
    run, other = make_served("j2", 2), make_served("j3", 3)
    real = server.ask

    def while_asked(version: int, samples: Samples) -> Any:
        monkeypatch.undo()
        assert other.push().result == "promoted"
        return real(version, samples)

    monkeypatch.setattr(server, "ask", while_asked)
    assert run.push(server=server).result == "superseded"
    assert champion(cluster) == 3
    in_step(cluster, server, 3)


def test_whatever_becomes_of_a_candidate_a_server_that_has_drifted_follows_the_champion_again(
    cluster: ServingCluster, make_served: Runs
) -> None:
    cluster.set_up()
    server = cluster.server()
    first = make_served("j1", 1)
    first.push(server=server)
    make_served("j2", 2).push()
    container = {"name": "fetch", "env": [{"name": "SAIKI_VERSION", "value": "1"}]}
    for run in (make_served("j3", 3, "failed"), first):
        run.push(server=server)
        in_step(cluster, server, 2)
        cluster.patch({"spec": {"template": {"spec": {"initContainers": [container]}}}})
        assert not server.told().intact


def test_a_server_that_follows_the_champion_already_is_left_alone(
    cluster: ServingCluster, make_served: Runs, twin: KubernetesServer
) -> None:
    cluster.set_up()
    server = cluster.server()
    make_served("j1", 1).push(server=server)
    twin.contacted.clear()
    assert make_served("j2", 2, "failed").push(server=server).result == "rejected"
    assert [method for method, _, token in twin.contacted if token == "push"] == ["GET", "GET"]


def test_what_may_not_be_done_is_said_before_anything_is_promoted(
    cluster: ServingCluster, make_served: Runs, twin: KubernetesServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_served("j1", 1)
    with pytest.raises(ServingError, match='"serving-flights" not found'):
        run.push(server=cluster.server())
    cluster.set_up()
    twin.rules["reader"] = (Rule(("apps",), ("deployments",), ("get",)),)
    with pytest.raises(ServingError, match=r"We may not patch the Deployment: .*forbidden(.|\n)*deploy-role.yaml"):
        run.push(server=cluster.server(token="reader"))
    with pytest.raises(ServingError, match="We may not read the Deployment: Unauthorized"):
        run.push(server=cluster.server(token="expired"))
    cluster.patch({"spec": {"replicas": 0}})
    with pytest.raises(ServingError, match="It has no replicas"):
        run.push(server=cluster.server())
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(ServingError, match="There is no cluster to deploy to"):
        server_of("tf-serving", "", "flights")
    monkeypatch.setattr("components.push.cluster_api.PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(twin, "before", lambda *_: (_ for _ in ()).throw(ConnectionResetError))
    with pytest.raises(ServingError, match="does not let us read the Deployment"):
        run.push(server=cluster.server())
    models = Registry(cluster.registry, "flights")
    assert (models.versions(), models.tries(), models.champion()) == ([], {}, (None, None))


def test_what_is_not_a_server_is_refused(cluster: ServingCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    for serving in ("a/b/c", "UPPER", "x/../y", "-a"):
        with pytest.raises(InputError, match="not the name of a server"):
            server_of("tf-serving", serving, "flights")
    with pytest.raises(InputError, match="tf-serving or none"):
        server_of("kserve", "", "flights")
    assert server_of("none", "", "flights") is None
    named = server_of("tf-serving", "", "late_flights")
    assert named is not None
    assert named.where == f"Deployment {cluster.namespace}/serving-late-flights"
    elsewhere = server_of("tf-serving", "other/mine", "flights")
    assert elsewhere is not None
    assert elsewhere.where == "Deployment other/mine"


@pytest.mark.parametrize("step", ["wait_until_ready", "ask", "release"])
def test_killed_while_it_deploys_and_run_again_server_and_pointer_are_in_step(
    step: str, cluster: ServingCluster, make_served: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.set_up()
    server = cluster.server()
    run = make_served("j1", 1)
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(server, step, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        run.push(server=server)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert run.push(server=server).result == "promoted"
    in_step(cluster, server, 1)


@pytest.mark.parametrize("step", ["before the champion is put back", "before the promotion is recorded"])
def test_killed_after_the_checks_and_run_again_server_and_pointer_are_in_step(
    step: str, cluster: ServingCluster, make_served: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    cluster.set_up()
    server = cluster.server()
    make_served("j1", 1).push(server=server)
    fails = step == "before the champion is put back"
    run = make_served("j2", 2, samples_of=3 if fails else 2)
    child = os.fork()
    if child == 0:
        if fails:
            monkeypatch.setattr("components.push.executor.follow_champion", die)
        else:
            monkeypatch.setattr(Registry, "record_attempt", die)
        run.push(server=server)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert server.told().version == 2
    # Another run finds the server claimed, and leaves it alone.
    assert make_served("j3", 3, "failed").push(server=server).result == "rejected"
    assert server.told().version == 2
    run.plan()
    assert run.push(server=server).result == ("not_served" if fails else "promoted")
    in_step(cluster, server, 1 if fails else 2)


def test_a_rejected_run_leaves_a_server_to_whoever_is_deploying_there(
    cluster: ServingCluster, make_served: Runs
) -> None:
    cluster.set_up()
    server = cluster.server()
    make_served("j1", 1).push(server=server)
    make_served("j2", 2).push()
    server.serve(1, holder="push another")
    assert make_served("j3", 3, "failed").push(server=server).result == "rejected"
    assert (server.told().version, server.told().busy) == (1, "push another")
    server.release("push another")
    assert follow_champion(server, Registry(cluster.registry, "flights"), holder="me")
    wait_for(lambda: answers(server, cluster, 2))
