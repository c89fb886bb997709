"""How a server is asked from inside the cluster, by the name of its Service."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from components._shared.samples import Samples
from components.push import tf_serving
from components.push.cluster_api import Cluster
from components.push.tf_serving import TensorFlowServing

ANY = Samples(inputs={}, dtypes={}, scores=(), tolerance=0)
AVAILABLE = b'{"model_version_status": [{"version": "1", "state": "AVAILABLE"}]}'


class Pod(HTTPServer):
    """A pod whose answers break off at first."""

    cut = 0


class Handler(BaseHTTPRequestHandler):
    server: Pod

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(AVAILABLE)))
        self.end_headers()
        self.server.cut -= 1
        self.wfile.write(AVAILABLE[:5] if self.server.cut >= 0 else AVAILABLE)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pod]:
    real = socket.getaddrinfo

    def resolve(host: str, *others: Any, **named: Any) -> Any:
        return real("127.0.0.1" if host == "serving-flights.models.svc" else host, *others, **named)

    with Pod(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(tf_serving, "PORT", server.server_port)
        monkeypatch.setattr(tf_serving, "_PAUSE_SECONDS", 0.05)
        yield server
        server.shutdown()


def asked(patience: float) -> Any:
    cluster = Cluster(None, "models", inside=True)
    rollout: Any = type("", (), {"where": "Deployment models/serving-flights"})
    server = TensorFlowServing(cluster, "models", "serving-flights", "flights", patience=patience, rollout=rollout)
    return server.ask(1, ANY)


def test_an_answer_that_breaks_off_is_asked_for_again(pod: Pod) -> None:
    pod.cut = 2
    assert asked(patience=30) == ()


def test_answers_that_always_break_off_are_no_answer_and_no_crash(pod: Pod) -> None:
    pod.cut = 1000
    assert asked(patience=0.2).startswith("no answer: IncompleteRead")
