"""`docs/task-file.md` describes exactly the fields that there are, with their defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic.fields import FieldInfo

from components._shared import behaviour_tests, decision_rule, gates, task
from components._shared.columns import check_columns
from components._shared.contract import Contract

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/task-file.md").read_text(encoding="utf-8")
SECTIONS: dict[str, type[Contract]] = {
    "Task": task.Task,
    "data": task.Data,
    "data.csv": task.CsvOptions,
    "derived": task.Derived,
    "label": task.Label,
    "features": task.Feature,
    "decision": decision_rule.DecisionRule,
    "window": task.WindowRule,
    "split": task.SplitRule,
    "trainer": task.TrainerChoice,
    "gates": gates.GateChoice,
    "gates.data": gates.DataGates,
    "gates.metric": gates.MetricGates,
    "gates.metric.limits": gates.Limit,
    "gates.metric.worst_slice": gates.WorstSlice,
    "gates.champion": gates.ChampionGates,
    "gates.champion.tolerance": gates.Tolerance,
    "gates.champion.slices": gates.SliceTolerance,
    "gates.difference": gates.DifferenceGates,
    "gates.behaviour": gates.BehaviourGates,
    "gates.behaviour.tests": behaviour_tests.BehaviourTest,
    "gates.behaviour.tests.change": behaviour_tests.Change,
    "gates.behaviour.tests.expect": behaviour_tests.Expectation,
    "gates.explanation": gates.ExplanationGates,
    "gates.promises": gates.PromiseGates,
    "schema": task.Schema,
    "columns": task.Column,
}


def rows(section: str) -> dict[str, str]:
    """Field → default, as the page says."""
    found = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"no section '{section}'"
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \| ", found[1], re.MULTILINE))


def default_of(field: FieldInfo) -> str | None:
    """How the page writes a default; None: in words, since it is a section of its own."""
    value: Any = field.default
    if field.is_required():
        return "required"
    if value is None:
        return "none"
    if value in ((), {}, ""):
        return "empty"
    if isinstance(value, Contract):
        return None
    if isinstance(value, tuple):
        return f"`[{', '.join(f'{chr(34)}{each}{chr(34)}' for each in value)}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_is_described_with_its_default(section: str) -> None:
    described = rows(section)
    fields = {field.alias or name: field for name, field in SECTIONS[section].model_fields.items()}
    assert list(described) == list(fields)
    for name, field in fields.items():
        expected = default_of(field)
        assert expected is None or described[name] == expected, name


def test_every_section_is_one_of_ours_and_every_link_leads_to_one() -> None:
    headings = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert headings == list(SECTIONS)
    anchors = {heading.lower().replace(".", "") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= anchors


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in ROOT.glob("examples/*/task.yaml")), ids=lambda p: p.name
)
def test_the_examples_are_valid(folder: Path) -> None:
    found = task.Task.from_json((folder / "task.yaml").read_text(encoding="utf-8"))
    schema = task.Schema.from_json((folder / found.schema_file).read_text(encoding="utf-8"))
    check_columns(found, schema)
    task.evaluation_section(found)


@pytest.mark.parametrize("page", ["your-data.md"])
def test_snippets_of_yaml_on_the_pages_can_be_read(page: str) -> None:
    snippets = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.M | re.S)
    assert snippets
    for snippet in snippets:
        assert yaml.safe_load(snippet)
