from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from kfp import compiler, dsl

from components._shared.records import Baseline, ModelRef, Pointer
from components._shared.registry import Registry
from components._shared.windows import Windows
from components.push.component import push


def test_the_component_hands_its_artifacts_to_the_executor(make_run: Callable[..., object], tmp_path: Path) -> None:
    registry = str(tmp_path / "registry")
    run = make_run(registry, "j1", "failed")
    champion = ModelRef(version=1, uri="file:///x", digest="d")
    given = {
        "verdict": dsl.Artifact,
        "facts": dsl.Artifact,
        "report": dsl.HTML,
        "card": dsl.Markdown,
        "statistics": dsl.Artifact,
    }
    given |= {"samples": dsl.Artifact, "sketches": dsl.Artifact, "settlements": dsl.Artifact}
    result = push.python_func(
        experiment="e",
        judgement="j1",
        registry=registry,
        pointer=Pointer(task="flights", generation=None, history=0, hold="", replayed=False).to_json(),
        champion=champion.to_json(),
        reference="",
        previous="file:///earlier.pb",
        looks=4,
        windows=Windows(as_of=datetime(2013, 7, 1, tzinfo=UTC), timezone="UTC").to_json(),
        model=dsl.Model(uri=str(run.model)),
        override="",
        **{name: kind(uri=str(run.files[name])) for name, kind in given.items()},
    )
    assert tuple(result) == ("rejected", 0, "it failed")
    attempt = Registry(registry, "flights").attempt("j1")
    assert attempt is not None
    assert [each.number for each in Registry(registry, "flights").settlements("j0")] == [2]
    assert attempt.baseline == Baseline(champion=champion, previous="file:///earlier.pb", looks=4)


def test_it_compiles_on_its_own(tmp_path: Path) -> None:
    compiler.Compiler().compile(push, str(tmp_path / "push.yaml"))
    assert "push" in (tmp_path / "push.yaml").read_text()
