"""`docs/submit.md` names only options, variables and messages that there are."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pipelines.commands.submit import submit
from pipelines.commands.upload import upload
from pipelines.commands.watch import watch

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/submit.md").read_text(encoding="utf-8")
OPTIONS = {option for command in (submit, upload, watch) for parameter in command.params for option in parameter.opts}
CODE = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "pipelines").rglob("*.py"))


def test_every_option_is_one() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert named - OPTIONS == set()


@pytest.mark.parametrize("command", [submit, upload, watch], ids=["submit", "upload", "watch"])
def test_every_option_for_a_cluster_is_explained(command: click.Command) -> None:
    for option in (
        "--endpoint",
        "--namespace",
        "--token-file",
        "--iap-client-id",
        "--kube-context",
        "--user",
        "--ca-file",
    ):
        assert any(option in parameter.opts for parameter in command.params)
        assert f"`{option}" in TEXT or f" {option} " in TEXT, option


def test_every_message_is_said_somewhere() -> None:
    section = TEXT.split("## When it does not work")[1].split("## How")[0]
    for message in re.findall(r"\*([^*]+)\*", section):
        words = message.split(" … ")
        assert all(word in CODE for word in words), message


def test_every_variable_is_read_somewhere() -> None:
    for name in set(re.findall(r"\b(?:SAIKI|KF_PIPELINES)_[A-Z0-9_]+\b", TEXT)):
        assert name.rstrip("_") in CODE, name
