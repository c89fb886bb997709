from __future__ import annotations

import datetime
import json
import os
import ssl
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._shared.errors import InputError
from pipelines.cluster import connection as kfp_connection
from pipelines.cluster.access import Access
from pipelines.cluster.connection import KfpError, connect
from tests.kfp_server import Fault, KfpServer, handler_of, kfp_server

SECRET = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kfp_connection, "_PAUSES", (0.01, 0.01, 0.01))


def failure(endpoint: str, **options: Any) -> KfpError:
    with pytest.raises(KfpError) as caught:
        connect(endpoint, **options)
    error = caught.value
    assert error.where
    assert error.fix
    return error


def healthz(**what: Any) -> Fault:
    return Fault("GET", "healthz", **what)


def test_to_connect_is_one_question_and_changes_nothing(
    server: KfpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """kfp.Client reads and writes ~/.config/kfp, prints, and asks up to five times when it is made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("ENDPOINT", "UI_ENDPOINT", "IAP_OAUTH2_CLIENT_ID", "APP_OAUTH2_CLIENT_ID"):
        monkeypatch.setenv(f"KF_PIPELINES_{name}", "http://elsewhere.invalid")
    connection = connect(server.endpoint)
    assert server.requests == [("GET", "/apis/v2beta1/healthz")]
    assert (connection.endpoint, connection.namespace) == (server.endpoint, "")
    assert not list(tmp_path.rglob("*"))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("fault", "said", "done"),
    [
        (healthz(status=401, body="Jwt is expired"), "missing, wrong or expired: Jwt is expired", "SAIKI_KFP_TOKEN"),
        (healthz(status=200, body="<html>", content_type="text/html"), "A web page answers", "log in"),
        (healthz(status=302, headers={"Location": "https://dex.example.com/auth?x"}), "dex.example.com", "log in"),
        (healthz(status=404, body="404 page not found", content_type="text/plain"), "no Kubeflow Pipelines API", "URL"),
        (healthz(status=404, body='{"code":5,"message":"Not Found"}'), "no Kubeflow Pipelines API", "/pipeline"),
        (healthz(status=403, body="RBAC: access denied", content_type="text/plain"), "not allowed", "--namespace"),
        (healthz(times=9, status=429, body='{"code":8,"message":"slow"}'), "Too many requests", "few minutes"),
        (healthz(times=9, status=503, body="no healthy upstream"), "HTTP 503): no healthy upstream", "ml-pipeline pod"),
        (healthz(times=9, cut="before"), "broke: Remote end closed connection", "VPN"),
    ],
    ids=["expired", "page", "redirect", "wrong path", "no route", "forbidden", "busy", "down", "broken"],
)
def test_what_goes_wrong_is_said_with_what_to_do(server: KfpServer, fault: Fault, said: str, done: str) -> None:
    server.faults = [fault]
    error = failure(server.endpoint)
    assert said in error.what
    assert done in error.fix
    assert server.endpoint in error.where


def test_a_redirect_to_https_says_so(server: KfpServer) -> None:
    server.faults = [healthz(status=301, headers={"Location": "https://127.0.0.1/apis/v2beta1/healthz"})]
    assert failure(server.endpoint).fix == "write the endpoint with https://"


def test_a_host_that_is_not_there(server: KfpServer) -> None:
    assert "cannot be reached: Connection refused" in failure("http://127.0.0.1:9").what
    assert "its name cannot be resolved" in failure("http://kfp.invalid").what
    error = failure(server.endpoint.replace("http:", "https:"))
    assert "does not speak TLS: [SSL" in error.what
    assert "http://" in error.fix


def test_a_server_that_does_not_answer_in_time(server: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kfp_connection, "ANSWER_WITHIN", (1, 0.05))
    server.faults = [healthz(times=9, delay=0.3)]
    error = failure(server.endpoint)
    assert "gave no answer within" in error.what
    assert (error.unsure, error.passing) == (True, True)


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429}, {"status": 500}, {"cut": "before"}, {"cut": "after"}]
)
def test_a_question_is_asked_again_when_it_may_help(server: KfpServer, fault: dict[str, Any]) -> None:
    server.faults = [healthz(times=2, **fault)]
    connect(server.endpoint)
    assert len(server.requests) == 3


def test_a_question_is_not_asked_again_when_it_does_not_help(server: KfpServer) -> None:
    server.faults = [healthz(status=403)]
    failure(server.endpoint)
    assert len(server.requests) == 1


def test_the_server_says_when_to_come_back(server: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(kfp_connection.time, "sleep", waits.append)
    server.faults = [
        healthz(status=429, headers={"Retry-After": "7"}),
        healthz(status=503, headers={"Retry-After": "900"}),
    ]
    connect(server.endpoint)
    assert waits == [7.0, 30.0]


@pytest.mark.parametrize(
    ("fault", "sent", "unsure"),
    [
        (Fault("POST", "experiments", status=429), 2, False),
        (Fault("POST", "experiments", status=503), 1, True),
        (Fault("POST", "experiments", status=500, body="<html>"), 1, True),
        (Fault("POST", "experiments", status=500, body='{"code":13,"message":"a: b","details":[]}'), 1, False),
        (Fault("POST", "experiments", cut="after"), 1, True),
    ],
    ids=["busy", "down", "a proxy's error", "the server's own error", "broken"],
)
def test_an_order_is_not_repeated_if_it_may_have_been_done(
    server: KfpServer, fault: Fault, sent: int, unsure: bool
) -> None:
    import kfp_server_api as api

    connection = connect(server.endpoint)
    server.faults = [fault]
    create = connection.client.experiments.experiment_service_create_experiment
    if sent == 2:
        create(experiment=api.V2beta1Experiment(display_name="a"))
    else:
        with pytest.raises(KfpError) as caught:
            create(experiment=api.V2beta1Experiment(display_name="a"))
        assert caught.value.unsure is unsure
    assert [method for method, _ in server.requests].count("POST") == sent


@pytest.mark.parametrize("cut", ["before", "after"])
def test_experiments_and_pipelines_are_made_once_though_the_answer_is_lost(server: KfpServer, cut: str) -> None:
    connection = connect(server.endpoint)
    server.faults = [Fault("POST", "experiments", cut=cut), Fault("POST", "pipelines", cut=cut)]
    if cut == "before":
        for call in (lambda: connection.experiment_id("a"), lambda: connection.pipeline_id("a", "")):
            with pytest.raises(KfpError):
                call()
    else:
        assert connection.experiment_id("a") == next(iter(server.experiments))
        assert connection.pipeline_id("a", "") == next(iter(server.pipelines))
    assert len(server.experiments) == len(server.pipelines) == (cut == "after")


def test_a_quota_of_the_namespace_is_named(server: KfpServer) -> None:
    text = "Failed to create a workflow: workflows is forbidden: exceeded quota: count/workflows, requested: 1, used: 9"
    connection = connect(server.endpoint)
    server.faults = [Fault("GET", "runs", times=9, status=500, body=json.dumps({"code": 13, "message": text}))]
    with pytest.raises(KfpError) as caught:
        connection.client.get_run("x")
    assert caught.value.what.startswith("A quota of the namespace is used up: Failed to create a workflow")
    assert len(server.requests) == 2


class TestWhoWeAre:
    def test_a_token(self, server: KfpServer) -> None:
        server.token = SECRET
        assert failure(server.endpoint).status == 401
        connect(server.endpoint, access=Access(token=SECRET))

    def test_a_token_in_a_file_is_read_when_it_is_needed(self, server: KfpServer, tmp_path: Path) -> None:
        server.token, path = SECRET, tmp_path / "token"
        path.write_text(f"{SECRET}\n")
        connection = connect(server.endpoint, access=Access(token_file=path))
        server.token = "another"
        path.write_text("another")
        connection.client.list_runs()
        path.unlink()
        with pytest.raises(InputError, match="No such file"):
            connection.client.list_runs()

    def test_a_cookie(self, server: KfpServer) -> None:
        seen: list[str | None] = []
        server.look = lambda headers: seen.append(headers.get("Cookie"))
        connect(server.endpoint, access=Access(cookie="authservice_session=abc"))
        assert seen == ["authservice_session=abc"]

    def test_a_user_of_a_server_with_many(self) -> None:
        with kfp_server(multi_user=True) as server:
            server.users = {"anna@example.com": {"team-a"}}
            with pytest.raises(InputError, match="many users"):
                connect(server.endpoint)
            access = Access(user="anna@example.com")
            assert connect(server.endpoint, namespace="team-a", access=access).experiment_id("a")
            with pytest.raises(KfpError, match="not allowed") as caught:
                connect(server.endpoint, namespace="team-b", access=access).experiment_id("a")
            assert "anna@example.com" in caught.value.what
            with pytest.raises(KfpError, match="does not know us"):
                connect(server.endpoint, namespace="team-a").experiment_id("a")

    def test_a_certificate_of_an_own_authority(self, server: KfpServer, tmp_path: Path) -> None:
        certificate, key = self_signed(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        with ThreadingHTTPServer(("127.0.0.1", 0), handler_of(server)) as secure:
            secure.socket = context.wrap_socket(secure.socket, server_side=True)
            threading.Thread(target=secure.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            endpoint = f"https://localhost:{secure.server_address[1]}"
            error = failure(endpoint)
            assert "cannot be trusted" in error.what
            assert "--ca-file" in error.fix
            connect(endpoint, access=Access(ca_file=certificate))
            secure.shutdown()
        with pytest.raises(InputError, match="cannot be read"):
            connect(endpoint, access=Access(ca_file=tmp_path / "none.pem"))

    def test_a_context_of_the_kubeconfig(
        self, server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.prefix = "/api/v1/namespaces/team-a/services/ml-pipeline:http/proxy"
        server.token = SECRET
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "none",
            "clusters": [{"name": "c", "cluster": {"server": server.endpoint}}],
            "users": [{"name": "u", "user": {"token": SECRET}}],
            "contexts": [{"name": "kind", "context": {"cluster": "c", "user": "u"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
        connection = connect("", namespace="team-a", access=Access(kube_context="kind"))
        assert connection.endpoint == server.endpoint + server.prefix
        with pytest.raises(InputError, match="no such context"):
            connect("", access=Access(kube_context="other"))

    def test_googles_proxy_in_the_way_kfp_does_it(self, server: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its tokens last an hour: one that has expired is replaced, once."""
        from kfp.client import auth

        tokens = iter(["first", "second", "third"])
        asked: list[tuple[str, str | None, str | None]] = []

        def token(client: str, other: str | None, secret: str | None) -> tuple[str, bool]:
            asked.append((client, other, secret))
            return next(tokens), False

        monkeypatch.setattr(auth, "get_auth_token", token)
        server.token = "first"
        connection = connect(server.endpoint, access=Access(iap_client_id="client.apps.googleusercontent.com"))
        server.token = "second"
        connection.client.list_runs()
        connection.client.list_runs()
        assert asked == [("client.apps.googleusercontent.com", None, None)] * 2
        server.token = "none of them"
        with pytest.raises(KfpError) as caught:
            connection.client.list_runs()
        assert caught.value.status == 401

    def test_nobody_is_asked_to_log_in_where_nobody_is(
        self, server: KfpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from kfp.client import auth

        monkeypatch.setattr(auth, "LOCAL_KFP_CREDENTIAL", str(tmp_path / "none.json"))
        monkeypatch.setenv("KF_PIPELINES_APP_OAUTH2_CLIENT_ID", "a")
        monkeypatch.setenv("KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET", "b")
        with open(os.devnull) as nothing, pytest.raises(InputError, match="wants a person"):
            monkeypatch.setattr("sys.stdin", nothing)
            connect(server.endpoint, access=Access(iap_client_id="x"))

    def test_one_way_at_a_time(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="2 ways to log in") as caught:
            Access(token="a", token_file=tmp_path)
        assert caught.value.where == "SAIKI_KFP_TOKEN and --token-file"


def test_secrets_are_not_shown(server: KfpServer) -> None:
    access = Access(token=SECRET, cookie="")
    assert SECRET not in repr(access)
    assert SECRET not in repr(access.credentials(server.endpoint))
    server.faults = [healthz(status=401, body=f"no such token: {SECRET}")]
    assert SECRET not in str(failure(server.endpoint, access=access))
    server.faults = [healthz(status=401, body="no session s3ss10n")]
    error = failure(server.endpoint, access=Access(cookie="authservice_session=s3ss10n"))
    assert "s3ss10n" not in str(error)
    with_password = server.endpoint.replace("//", "//anna:pass@")
    server.faults = [healthz(status=403)]
    assert "pass@" not in str(failure(with_password))
    assert "pass@" not in repr(connect(with_password))


def test_a_secret_of_two_lines_is_not_sent(server: KfpServer) -> None:
    with pytest.raises(InputError, match="one line"):
        connect(server.endpoint, access=Access(token="a\r\nHost: elsewhere"))
    assert not server.requests


@pytest.mark.parametrize(
    ("written", "kept"),
    [("{}/", "{}"), ("{}/#/runs", "{}"), ("{}/apis/v2beta1/", "{}"), (" {} ", "{}")],
)
def test_an_endpoint_may_be_copied_from_the_browser(server: KfpServer, written: str, kept: str) -> None:
    assert connect(written.format(server.endpoint)).endpoint == kept.format(server.endpoint)


@pytest.mark.parametrize("endpoint", ["", "  ", "ftp://host", "http://", "://x"])
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(InputError) as caught:
        connect(endpoint)
    assert "--endpoint" in caught.value.where


def test_links_lead_to_the_page(server: KfpServer) -> None:
    assert connect(server.endpoint).link("runs", "r") == f"{server.endpoint}/#/runs/details/r"
    page = connect(server.endpoint, ui="https://kf.example.com/_/pipeline/")
    assert (
        page.link("pipelines", "p", "version", "v")
        == "https://kf.example.com/_/pipeline/#/pipelines/details/p/version/v"
    )


def test_all_pages_are_read(server: KfpServer) -> None:
    connection = connect(server.endpoint)
    calls = connection.client.experiments
    for number in range(205):
        server.new_experiment(f"e{number:03}", "", "")
    found = list(connection.pages(calls.experiment_service_list_experiments, "experiments", sort_by="name"))
    assert [each.display_name for each in found] == [f"e{number:03}" for number in range(205)]


def test_a_log_comes_from_the_server_or_from_the_page_before_it(server: KfpServer) -> None:
    connection = connect(server.endpoint)
    assert connection.log("run", "pod") == ""
    server.faults = [
        Fault("GET", "/nodes/pod/log", status=200, body="<html>", content_type="text/html"),
        Fault("GET", "/k8s/pod/logs", status=200, body="error: no rows\n", content_type="text/plain"),
    ]
    assert connection.log("run", "pod") == "error: no rows\n"


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, which signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret
