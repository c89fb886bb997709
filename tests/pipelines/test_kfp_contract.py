"""The shapes of the KFP DSL that Saiki relies on, held against the pinned kfp: compiled, and run locally."""

import importlib
import importlib.util
import json
from pathlib import Path

import pytest
from kfp import compiler, components, local
from kfp.dsl.executor import Executor
from kfp.local.orchestrator import task_executor

from components._shared.image import ENVIRONMENT_OF


@pytest.fixture(scope="module")
def shapes():
    spec = importlib.util.spec_from_file_location("kfp_shapes", Path(__file__).with_name("kfp_shapes.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def steps(monkeypatch):
    """Every task that kfp.local executes: (name, outputs, whether it really ran)."""
    seen = []
    original = task_executor.execute_single_task

    def execute(**given):
        outputs, status = original(**given)
        seen.append((given["task_spec"].task_info.name or given["task_name"], outputs))
        return outputs, status

    monkeypatch.setattr(task_executor, "execute_single_task", execute)
    return seen


def run(shapes, folder, **arguments):
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(folder / "runs"),
        enable_caching=True,
        cache_root=str(folder / "cache"),
    )
    shapes.shapes(**arguments)


def test_every_shape_runs_locally_and_goes_through_the_one_function_that_saiki_observes(shapes, steps, tmp_path):
    run(shapes, tmp_path, word="x", numbers={"one": 1})
    found = dict(steps)
    assert found["push: promote"] == {"result": "promoted", "version": 3}
    text = found["decide"]["text"]
    assert json.loads(text)["quote"] == 'a "b" {c}'
    assert Path(found["look: model"]["seen"].path).read_text() == f"{text}|True|"
    assert found["make"]["made"].metadata["rows"] == len(text)


def test_the_other_branch_runs_when_the_verdict_says_no(shapes, steps, tmp_path):
    run(shapes, tmp_path, word="x", verdict="failed")
    assert dict(steps)["push-2"]["result"] == "rejected"
    assert "push: promote" not in dict(steps)


def test_steps_below_an_uncached_one_are_hits_while_its_values_stay_the_same(shapes, steps, tmp_path):
    run(shapes, tmp_path, word="x")
    first = dict(steps)["make"]["made"].uri
    steps.clear()
    run(shapes, tmp_path, word="x")
    assert dict(steps)["make"]["made"].uri == first
    steps.clear()
    run(shapes, tmp_path, word="x", numbers={"two": 2})
    assert dict(steps)["make"]["made"].uri != first


def test_whole_numbers_in_dictionaries_come_back_as_floats(shapes, steps, tmp_path):
    run(shapes, tmp_path, word="x", numbers={"one": 1})
    assert '"one": 1.0' in dict(steps)["decide"]["text"]


def test_a_compiled_component_can_be_loaded_again(shapes, tmp_path):
    path = tmp_path / "judge.yaml"
    compiler.Compiler().compile(shapes.judge, str(path))
    assert components.load_component_from_file(str(path)).name == "judge"


@pytest.mark.parametrize("name", sorted(ENVIRONMENT_OF))
def test_inputs_are_what_they_are_declared_to_be_when_the_server_does_not_say_their_types(name, tmp_path):
    """KFP's driver hands artifacts on with an empty type; locally their types are named."""
    component = getattr(importlib.import_module(f"components.{name}.component"), name)
    declared = component.component_spec.inputs or {}
    inputs = {each: found.type.split("@")[0] for each, found in declared.items() if found.type.startswith("system.")}
    made = {each: found.type.split("@")[0] for each, found in (component.component_spec.outputs or {}).items()}

    def artifacts(types):
        untyped = {"instanceSchema": ""}
        return {each: {"artifacts": [{"name": each, "uri": f"gs://b/{each}", "type": untyped}]} for each in types}

    executor = Executor(
        {
            "inputs": {"artifacts": artifacts(inputs)},
            "outputs": {
                "artifacts": artifacts([each for each in made if made[each].startswith("system.")]),
                "outputFile": str(tmp_path / "executor_output.json"),
            },
        },
        component,
    )
    given = {each: artifact.schema_title for each, artifact in executor.input_artifacts.items()}
    assert given == inputs
