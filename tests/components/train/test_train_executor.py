"""Training: what a model is, and what is said when there cannot be one."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from components._shared.errors import CorruptError, DataError, TrainerError
from components._shared.model_files import model_digest, read_model_info, verify_model
from components._shared.model_inputs import model_inputs
from components._shared.saved_model import SavedModel, Strings
from components.train.executor import find_trainer, train
from components.train.job import TrainedModel, TrainingJob
from tests.synthetic_rows import FEATURES, START, TYPES, learning, manifest, rows

PROBLEMS = ("binary_classification", "multiclass_classification", "regression")


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("trainer", ["linear", "mlp"])
def test_a_model_is_better_than_the_constant_on_rows_it_has_not_seen(
    problem: str, trainer: str, trained: Any, data_root: Path
) -> None:
    from components._shared.model_inputs import input_columns
    from components._shared.tables import read_table

    folder, info = trained(problem, trainer)
    test = manifest(data_root, rows(1000, problem, seed=3), "test")
    table = read_table(test).combine_chunks().to_batches()[0]
    values = input_columns(table, FEATURES.items())
    model = SavedModel(folder)
    scores = model.answer({info.inputs[name].name: column for name, column in values.items()})["score"]
    labels = np.array(table.column("_label"))

    assert _loss(problem, scores, labels) < 0.9 * _loss(problem, np.tile(info.base, (1000, 1)), labels)


def _loss(problem: str, scores: Any, labels: Any) -> float:
    match problem:
        case "regression":
            return float(((scores[:, 0] - labels) ** 2).mean())
        case "binary_classification":
            return float(-np.log(np.where(labels == 1, scores[:, 0], 1 - scores[:, 0])).mean())
        case _:
            return float(-np.log(scores[np.arange(len(labels)), labels.astype(int)]).mean())


def test_model_json_says_what_the_model_was_made_of(trained: Any, parts: Any) -> None:
    folder, info = trained("binary_classification", "linear")
    first, second = parts()

    assert verify_model(folder) == info == read_model_info(folder)
    assert info.fit_until == second.window.end
    assert info.rows == {"train": 1500, "tune": 400}
    assert info.made_from["train"] == first.digest
    assert info.code.startswith("saiki-tensorflow:")
    assert 0 < info.base[0] < 1
    assert [point.epoch for point in info.curve] == [1, 2, 3, 4]
    # The best epoch, then the optimum of the linear model.
    assert info.metrics["tune_loss"] <= min(point.tune_loss for point in info.curve)
    assert any("UTC" in notice for notice in info.notices)


def test_the_weights_of_a_linear_model_can_be_read(trained: Any) -> None:
    _, info = trained("binary_classification", "linear")

    assert info.coefficients["shop=Oslo"] > info.coefficients["shop=Rome"]
    assert info.coefficients["class=2"] < info.coefficients["class=0"]
    assert info.coefficients["seen at: Sunday"] > info.coefficients["seen at: Monday"]
    assert info.coefficients["temperature (°C)"] > 0.5
    assert "temperature (°C)=(missing)" in info.coefficients
    _, classes = trained("multiclass_classification", "linear")
    assert classes.coefficients["shop=Oslo → high"] > classes.coefficients["shop=Oslo → low"]


def test_the_signature_takes_raw_columns_by_names_that_are_identifiers(trained: Any) -> None:
    folder, info = trained("multiclass_classification", "constant")

    signature = SavedModel(folder).signature

    assert {name: given.name for name, given in info.inputs.items()} == {
        "temperature (°C)": "temperature_C",
        "shop": "shop",
        "class": "feature_class",
        "open on Sunday": "open_on_Sunday",
        "seen at": "seen_at",
    }
    assert {name: spec.dtype for name, spec in signature.inputs.items()} == {
        "temperature_C": "float32",
        "shop": "string",
        "feature_class": "string",
        "open_on_Sunday": "float32",
        "seen_at": "int64",
    }
    assert all(spec.shape == (-1, 1) for spec in signature.inputs.values())
    assert signature.outputs["score"].shape == (-1, 3)


def test_columns_whose_names_fall_together_get_arguments_of_their_own() -> None:
    inputs = model_inputs({"a b": "numeric", "a-b": "numeric", "A b": "numeric", "1": "numeric", "…": "numeric"})

    assert [given.name for given in inputs.values()] == ["a_b", "a_b_2", "A_b_3", "feature_1", "feature"]


def test_tensorflow_alone_serves_the_models_in_a_fresh_process(trained: Any, tmp_path: Path) -> None:
    folders = [trained(problem, "mlp")[0] for problem in PROBLEMS]
    program = """
import json, sys
import tensorflow as tf
answers = []
for folder in sys.argv[1:]:
    answer = tf.saved_model.load(folder).signatures["serving_default"](
        temperature_C=tf.constant([[20.0], [float("nan")], [float("inf")]]),
        shop=tf.constant([["Oslo"], [""], ["a shop that has never been seen"]]),
        feature_class=tf.constant([["1"], [""], ["77"]]),
        open_on_Sunday=tf.constant([[1.0], [float("nan")], [0.0]]),
        seen_at=tf.constant([[1704067200000000], [-2**63], [-1]], tf.int64),
    )
    answers.append(answer["score"].numpy().tolist())
print(json.dumps([answers, [name for name in sys.modules if name.startswith("components")]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, folders)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    answers, ours = json.loads(done.stdout.splitlines()[-1])

    assert ours == []
    for folder, scores in zip(folders, answers, strict=True):
        model = SavedModel(folder)
        again = model.answer(
            {
                "temperature_C": np.array([20.0, math.nan, math.inf], "float32"),
                "shop": Strings((b"Oslo", b"", b"a shop that has never been seen"), np.arange(3)),
                "feature_class": Strings((b"1", b"", b"77"), np.arange(3)),
                "open_on_Sunday": np.array([1, math.nan, 0], "float32"),
                "seen_at": np.array([1704067200000000, -(2**63), -1]),
            }
        )["score"]
        assert np.isfinite(scores).all()
        np.testing.assert_allclose(scores, again, rtol=1e-6)


def test_the_same_inputs_give_the_same_model_in_another_process(parts: Any, tmp_path: Path) -> None:
    first, second = parts(count=600)
    section = learning(trainer="mlp", budget=3, parameters={"dropout": 0.2})
    for name, contract in (("train", first), ("tune", second), ("learning", section)):
        (tmp_path / name).write_text(contract.to_json(), encoding="utf-8")
    program = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).resolve().parents[3])!r})
from components._shared.manifest import Manifest
from components._shared.task import LearningSection
from components.train.executor import train
here = Path(sys.argv[1])
train(
    train=Manifest.from_json((here / "train").read_text()),
    tune=Manifest.from_json((here / "tune").read_text()),
    learning=LearningSection.from_json((here / "learning").read_text()),
    model_dir=here / sys.argv[2],
)
"""
    for name in ("once", "twice"):
        subprocess.run([sys.executable, "-c", program, str(tmp_path), name], check=True, capture_output=True)
    once, twice = read_model_info(tmp_path / "once"), read_model_info(tmp_path / "twice")

    assert once.metrics == twice.metrics
    assert once.digest == twice.digest


def test_another_seed_gives_another_model(fit: Any) -> None:
    assert fit(trainer="mlp", budget=1, seed=1).metrics != fit(trainer="mlp", budget=1, seed=2).metrics


def test_a_changed_model_file_is_noticed(fit: Any, tmp_path: Path) -> None:
    fit(trainer="constant")
    (tmp_path / "model" / "extra.txt").write_text("x", encoding="utf-8")

    with pytest.raises(CorruptError, match="not those that were trained"):
        verify_model(tmp_path / "model")


def test_what_the_registry_keeps_beside_a_model_does_not_change_its_digest(fit: Any, tmp_path: Path) -> None:
    info = fit(trainer="constant")
    for name in ("lineage.json", "verdict.json"):
        (tmp_path / "model" / name).write_text("{}", encoding="utf-8")

    assert model_digest(tmp_path / "model") == info.digest


def test_an_unknown_trainer_is_named_with_those_that_there_are() -> None:
    with pytest.raises(TrainerError, match="'lineer'; did you mean 'linear'") as caught:
        find_trainer("lineer")
    assert "constant, linear, mlp" in caught.value.fix


def test_a_trainer_whose_module_does_not_import_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_trainer.py").write_text("import no_such_module_at_all\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(TrainerError, match="no_such_module_at_all"):
        find_trainer("broken_trainer:train")
    with pytest.raises(TrainerError, match="no function 'fit'"):
        find_trainer("json:fit")


def test_a_trainer_that_raises_is_told_with_the_line(fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raising_trainer.py").write_text("def train(job):\n    return 1 / 0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(TrainerError, match="raised ZeroDivisionError: division by zero") as caught:
        fit(trainer="raising_trainer:train")
    assert caught.value.where.endswith("raising_trainer.py:2")
    assert not (tmp_path / "model").exists()


def _module(name: str, function: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType(name)
    module.train = function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)
    return f"{name}:train"


def test_a_trainer_that_writes_no_model_is_refused(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainerError, match="has not written a usable model"):
        fit(trainer=_module("lazy_trainer", lambda job: TrainedModel(), monkeypatch))


def test_a_trainer_whose_model_takes_other_arguments_is_refused(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(job: TrainingJob) -> TrainedModel:
        from components.train.export import write_saved_model

        inputs = {"shop": job.inputs["shop"]}
        write_saved_model(job.model_dir, inputs, lambda given: _zeros(given["shop"]))
        return TrainedModel()

    with pytest.raises(TrainerError, match=r"takes shop \(string\).*must take feature_class"):
        fit(trainer=_module("other_trainer", other, monkeypatch))


def _zeros(values: Any) -> Any:
    import tensorflow as tf

    return tf.zeros(tf.shape(values))


def test_a_trainer_of_ones_own_reads_rows_as_a_dataset(fit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def own(job: TrainingJob) -> TrainedModel:
        from components.train.export import write_saved_model

        batches = list(job.train.dataset(100, shuffle_seed=job.seed))
        seen["rows"] = sum(len(labels) for _, labels, _ in batches)
        seen["shapes"] = {name: (column.shape[1], column.dtype.name) for name, column in batches[0][0].items()}
        write_saved_model(job.model_dir, job.inputs, lambda given: 0 * given["temperature_C"] + 0.5)
        return TrainedModel(metrics={"answer": 42.0})

    info = fit(trainer=_module("own_trainer", own, monkeypatch))

    assert info.metrics == {"answer": 42.0}
    assert "source of the trainer own_trainer:train was not found" in info.notices[-1]
    assert seen["rows"] == 600
    assert seen["shapes"]["shop"] == (1, "string")
    assert seen["shapes"]["seen_at"] == (1, "int64")


def test_the_model_of_rows_without_time_says_which_share_of_them_it_has_not_seen(parts: Any, tmp_path: Path) -> None:
    first, second = (part.model_copy(update={"window": None}) for part in parts())
    info = train(
        train=first.model_copy(update={"shares": (0.3, 1.0)}),
        tune=second.model_copy(update={"shares": (0.2, 0.3)}),
        learning=learning(trainer="constant"),
        model_dir=tmp_path / "model",
    )
    assert (info.fit_until, info.held_out) == (None, 0.2)


def test_an_unknown_parameter_is_named_with_those_that_there_are(fit: Any) -> None:
    with pytest.raises(TrainerError, match="no parameter 'learning_rat'; did you mean 'learning_rate'") as caught:
        fit(trainer="mlp", parameters={"learning_rat": 0.1})
    assert "hidden ([64, 32])" in caught.value.fix
    assert "learning_rate (0.001)" in caught.value.fix


def test_a_parameter_that_cannot_be_is_refused(fit: Any) -> None:
    with pytest.raises(TrainerError, match="batch_size"):
        fit(trainer="mlp", parameters={"batch_size": -3})
    with pytest.raises(TrainerError, match="no parameter 'epochs'"):
        fit(trainer="constant", parameters={"epochs": 3})
    with pytest.raises(TrainerError, match="calibrate is for classification"):
        fit("regression", parameters={"calibrate": "platt"})


def test_whole_numbers_that_became_floats_on_the_way_are_whole_numbers(fit: Any) -> None:
    info = fit(trainer="mlp", parameters={"hidden": [8.0, 4.0], "epochs": 2.0, "batch_size": 64.0})

    assert info.metrics["epochs"] == 2


def test_the_budget_limits_the_epochs(fit: Any) -> None:
    assert len(fit(budget=1, parameters={"epochs": 5}).curve) == 1


def test_it_stops_early_and_keeps_the_best_epoch(fit: Any) -> None:
    info = fit(trainer="mlp", parameters={"epochs": 60, "patience": 2, "learning_rate": 0.02, "min_frequency": 1})
    losses = [point.tune_loss for point in info.curve]

    assert len(losses) < 60
    assert info.metrics["best_epoch"] == losses.index(min(losses)) + 1 == len(losses) - 2


def test_a_loss_that_is_not_a_number_is_a_clear_failure(fit: Any) -> None:
    with pytest.raises(TrainerError, match="diverged") as caught:
        fit("regression", trainer="mlp", parameters={"learning_rate": 1e30})
    assert "epoch" in caught.value.what
    assert "learning_rate" in caught.value.fix


def test_calibration_corrects_a_model_that_is_too_sure() -> None:
    from components.train.calibration import calibrate

    random = np.random.default_rng(5)
    truth = random.normal(0, 1, 20_000)
    labels = (random.random(20_000) < 1 / (1 + np.exp(-(truth + 0.5)))).astype(float)
    weights = np.ones(20_000)

    found, notices = calibrate("platt", 3 * truth[:, None], labels, weights, binary=True)
    assert not notices
    assert found.slope == pytest.approx(1 / 3, abs=0.02)
    assert found.shift == pytest.approx(0.5, abs=0.05)

    logits = random.normal(0, 1, (20_000, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = (random.random((20_000, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    found, notices = calibrate("temperature", 2 * logits, classes, weights, binary=False)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert not notices


@pytest.mark.parametrize("how", ["temperature", "platt"])
def test_rows_of_one_class_correct_no_probabilities(how: str) -> None:
    """They would drive every score to that class."""
    from components.train.calibration import Calibration, calibrate

    logits, labels, weights = np.random.default_rng(5).normal(size=(300, 1)), np.zeros(300), np.ones(300)
    reason = "The rows to tune on are of one class: the probabilities are not corrected."
    assert calibrate(how, logits, labels, weights, binary=True) == (Calibration(), (reason,))
    labels[0], weights[0] = 1, 0
    assert calibrate(how, logits, labels, weights, binary=True)[1] == (reason,), "a row of no weight is none"


@pytest.mark.parametrize("how", ["temperature", "platt"])
def test_labels_that_run_against_the_scores_turn_no_ranking_round(how: str) -> None:
    from components.train.calibration import Calibration, calibrate

    logits = np.random.default_rng(5).normal(size=(300, 1))
    labels = (logits[:, 0] + np.random.default_rng(6).normal(0, 0.5, 300) < 0).astype(float)
    found, notices = calibrate(how, logits, labels, np.ones(300), binary=True)
    assert found == Calibration()
    assert notices == ("On the rows to tune on, labels run against the scores: these are not corrected.",)


@pytest.mark.parametrize("heavy", [1.0, 7.0])
def test_scores_that_separate_the_classes_promise_what_so_few_rows_can(heavy: float) -> None:
    """Platt's targets: after N rows of a class without a mistake, (N + 1)/(N + 2), whatever unit weights are in."""
    from components.train.calibration import calibrate

    logits = np.array([-2.0] * 30 + [2.0] * 10)[:, None]
    found, notices = calibrate("platt", logits, (logits[:, 0] > 0).astype(float), np.full(40, heavy), binary=True)
    assert not notices
    for logit, chance in ((2.0, 11 / 12), (-2.0, 1 / 32)):
        assert 1 / (1 + np.exp(-(found.slope * logit + found.shift))) == pytest.approx(chance, abs=1e-6)


def test_of_several_classes_a_few_rows_without_a_mistake_leave_a_finite_slope() -> None:
    from components.train.calibration import calibrate

    labels = np.arange(30) % 3
    found, notices = calibrate("temperature", 4 * np.eye(3)[labels], labels, np.ones(30), binary=False)
    assert not notices
    # 11/12 for its own class, the rest for the two others.
    assert np.exp(4 * found.slope) / (np.exp(4 * found.slope) + 2) == pytest.approx(11 / 12, abs=1e-6)


def test_a_model_whose_tune_is_of_one_class_is_not_corrected_and_says_so(data_root: Path, tmp_path: Path) -> None:
    columns = rows(200, seed=2)
    first, second = (
        manifest(data_root, rows(400), "train"),
        manifest(data_root, columns | {"_label": [0.0] * 200}, "tune"),
    )
    section = learning(parameters={"calibrate": "platt"}, budget=1)
    info = train(train=first, tune=second, learning=section, model_dir=tmp_path / "model")
    assert "The rows to tune on are of one class: the probabilities are not corrected." in info.notices
    assert "calibration_slope" not in info.metrics


@pytest.mark.parametrize("how", ["temperature", "platt"])
def test_the_exported_model_answers_with_the_corrected_probabilities(
    how: str, fit: Any, data_root: Path, tmp_path: Path
) -> None:
    from components._shared.model_inputs import input_columns
    from components._shared.tables import read_table

    test = manifest(data_root, rows(200, seed=3), "test")
    values = input_columns(read_table(test).combine_chunks().to_batches()[0], FEATURES.items())

    def logits(**parameters: str) -> tuple[Any, dict[str, float]]:
        info = fit(trainer="mlp", budget=1, parameters=parameters)
        model = SavedModel(tmp_path / "model")
        score = model.answer({info.inputs[name].name: column for name, column in values.items()})["score"][:, 0]
        shutil.rmtree(tmp_path / "model")
        return np.log(score / (1 - score.astype(float))), info.metrics

    plain, metrics = logits()
    assert "calibration_slope" not in metrics
    corrected, metrics = logits(calibrate=how)
    assert metrics["calibration_slope"] != 1
    assert (metrics["calibration_shift"] != 0) == (how == "platt")
    wanted = metrics["calibration_slope"] * plain + metrics["calibration_shift"]
    assert corrected == pytest.approx(wanted, abs=1e-4)


def test_rows_of_no_weight_teach_nothing(data_root: Path, tmp_path: Path) -> None:
    columns = rows(800, missing=False)
    flipped = [index % 2 == 1 for index in range(800)]
    columns["_weight"] = [0.0 if wrong else 3.0 for wrong in flipped]
    columns["_label"] = [1 - label if wrong else label for label, wrong in zip(columns["_label"], flipped, strict=True)]
    tune = manifest(data_root, rows(300, seed=2, missing=False), "tune")

    info = train(train=manifest(data_root, columns), tune=tune, learning=learning(), model_dir=tmp_path / "model")

    assert info.metrics["tune_loss"] < 0.5


def test_without_rows_to_tune_on_it_trains_to_the_end_and_says_so(parts: Any, tmp_path: Path) -> None:
    first, second = parts(count=600)
    none = second.model_copy(update={"shards": (), "count": 0})

    info = train(train=first, tune=none, learning=learning(budget=2), model_dir=tmp_path / "model")

    assert len(info.curve) == 2
    assert info.fit_until == first.window.end
    assert "no early stopping" in info.notices[0]


def test_rows_without_a_label_are_left_out(data_root: Path, tmp_path: Path) -> None:
    columns = rows(400)
    columns["_label"][:100] = [None] * 100
    tune = manifest(data_root, rows(100, seed=2), "tune")

    info = train(
        train=manifest(data_root, columns), tune=tune, learning=learning(budget=1), model_dir=tmp_path / "model"
    )

    assert info.rows["train"] == 300


@pytest.mark.parametrize(
    ("labels", "message"),
    [([None] * 50, "No row has a label"), ([1.0] * 50, "of one class"), ([0.0, 2.0] * 25, "not 0 or 1")],
)
def test_labels_that_teach_nothing_are_refused(
    labels: list[Any], message: str, data_root: Path, tmp_path: Path
) -> None:
    part = manifest(data_root, {**rows(50), "_label": labels})

    with pytest.raises(DataError, match=message):
        train(train=part, tune=part.model_copy(update={"role": "tune"}), learning=learning(), model_dir=tmp_path / "m")


def test_a_feature_without_its_column_or_of_the_wrong_kind_is_refused(parts: Any, tmp_path: Path) -> None:
    first, second = parts(count=600)
    for features, message in (
        ({"shopp": "categorical"}, "no column.*shopp"),
        ({"shop": "numeric"}, "'shop' is numeric"),
    ):
        with pytest.raises(DataError, match=message):
            train(train=first, tune=second, learning=learning(features=features), model_dir=tmp_path / "model")


def test_dates_and_a_column_of_one_value_are_fine(data_root: Path, tmp_path: Path) -> None:
    columns = rows(300)
    columns["day"] = [(START + timedelta(days=row % 60)).date() for row in range(300)]
    columns["same"] = [7.0] * 300
    types = {**TYPES, "day": "date", "same": "float64"}
    part = manifest(data_root, columns, types=types)

    info = train(
        train=part,
        tune=part.model_copy(update={"role": "tune"}),
        learning=learning(features={"day": "datetime", "same": "numeric"}, budget=1),
        model_dir=tmp_path / "model",
    )

    assert not any("hour" in term for term in info.coefficients)
    assert info.coefficients["same"] == 0


def test_the_trainer_of_the_guide_works(parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs" / "trainers.md").read_text(encoding="utf-8")
    source = guide.split("```python\n")[1].split("```")[0]
    (tmp_path / "guide_trainer.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    names = {"distance": "temperature (°C)", "sched_dep_minute": "temperature (°C)"}
    columns = rows(300)
    types = {**TYPES, **dict.fromkeys(names, "float64")}
    part = manifest(tmp_path, {**columns, **{name: columns[of] for name, of in names.items()}}, types=types)

    info = train(
        train=part,
        tune=part.model_copy(update={"role": "tune"}),
        learning=learning(trainer="guide_trainer:train", features=dict.fromkeys(names, "numeric"), budget=2),
        model_dir=tmp_path / "model",
    )

    assert info.metrics == {"epochs": 2}
