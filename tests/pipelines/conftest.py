"""What tests of the commands for a cluster share."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import pytest

from pipelines.cluster import compiled
from pipelines.cluster.settings import ClusterSettings
from tests.kfp_server import KfpServer, kfp_server


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with kfp_server() as twin:
        yield twin


@functools.cache
def _compiled(
    settings: ClusterSettings, profile: str, images: tuple[tuple[str, str], ...]
) -> compiled.CompiledPipeline:
    return compiled.compile_training(settings, profile, dict(images))


@pytest.fixture
def compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands compile for the same settings and profile once in a session."""

    def compile_once(
        settings: ClusterSettings, profile: str, images: Mapping[str, str] | None = None
    ) -> compiled.CompiledPipeline:
        # Where the server is does not count for what is compiled.
        known = settings.model_copy(update={"endpoint": "", "ui": ""})
        return _compiled(known, profile, tuple(sorted((images or {}).items())))

    for command in ("upload", "submit"):
        monkeypatch.setattr(f"pipelines.commands.{command}.compile_training", compile_once)
