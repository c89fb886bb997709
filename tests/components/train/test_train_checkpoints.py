"""A training that was killed goes on where it was; several devices and streams fit the same model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared import storage
from components._shared.model_files import read_model_info
from components.train.checkpoints import Checkpoints
from tests.synthetic_rows import learning

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import sys, time
from pathlib import Path
from components._shared.manifest import Manifest
from components._shared.task import LearningSection
from components.train import checkpoints, executor
here = Path(sys.argv[1])
save = checkpoints.Checkpoints.save
def slowly(self, values, arrays):
    save(self, values, arrays)
    time.sleep(float(sys.argv[4]))
checkpoints.Checkpoints.save = slowly
executor.image_of = lambda component: "the same code, whoever edits it meanwhile"
executor.train(
    train=Manifest.from_json((here / "train").read_text()),
    tune=Manifest.from_json((here / "tune").read_text()),
    learning=LearningSection.from_json((here / "learning").read_text()),
    model_dir=here / sys.argv[2],
    checkpoints=sys.argv[3],
)
"""


def start(here: Path, name: str, checkpoints: Path | str, pause: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(here), name, str(checkpoints), str(pause)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def test_a_killed_training_goes_on_after_its_last_epoch(parts: Any, tmp_path: Path) -> None:
    first, second = parts(count=600)
    section = learning(trainer="mlp", parameters={"epochs": 6, "patience": 6, "dropout": 0.1})
    for name, contract in (("train", first), ("tune", second), ("learning", section)):
        (tmp_path / name).write_text(contract.to_json(), encoding="utf-8")
    root = tmp_path / "checkpoints"

    whole = start(tmp_path, "whole", "")
    killed = start(tmp_path, "resumed", root, pause=0.7)
    deadline = time.monotonic() + 120
    while not list(root.glob("*/latest.json")):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "resumed").exists()

    resumed = start(tmp_path, "resumed", root)
    said = resumed.communicate()[0]
    assert whole.wait() == resumed.returncode == 0
    assert "resuming after epoch" in said
    assert "epoch 1 of" not in said
    one, other = read_model_info(tmp_path / "whole"), read_model_info(tmp_path / "resumed")
    assert one.metrics["epochs"] == other.metrics["epochs"] == 6
    for name, value in one.metrics.items():
        assert other.metrics[name] == pytest.approx(value, rel=1e-6)
    assert not list(storage.list_objects(str(root)))


def test_the_checkpoints_of_another_experiment_are_never_used(fit: Any, tmp_path: Path, capsys: Any) -> None:
    root = tmp_path / "checkpoints"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "remove", lambda self: None)
        fit(trainer="mlp", budget=2, checkpoints=str(root))
    before = list(storage.list_objects(str(root)))
    capsys.readouterr()

    fit(trainer="mlp", budget=2, seed=18, checkpoints=str(root))

    assert "resuming" not in capsys.readouterr().out
    assert before == list(storage.list_objects(str(root)))


def test_a_checkpoint_whose_content_is_gone_or_damaged_is_as_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(str(tmp_path / "state"))
    assert checkpoints.load() is None
    checkpoints.save({"epoch": 1}, [np.arange(3)])
    checkpoints.save({"epoch": 2}, [np.arange(4), np.array(5.0)])

    values, arrays = checkpoints.load() or ({}, [])
    assert values == {"epoch": 2}
    assert [array.tolist() for array in arrays] == [[0, 1, 2, 3], 5.0]
    (content,) = (tmp_path / "state").glob("*.npz")
    content.write_bytes(content.read_bytes()[:-1])
    assert checkpoints.load() is None
    content.unlink()
    assert checkpoints.load() is None
    checkpoints.remove()
    assert not list(storage.list_objects(str(tmp_path / "state")))


def test_two_devices_or_streamed_rows_fit_what_one_device_fits(parts: Any, tmp_path: Path) -> None:
    first, second = parts(count=600)
    (tmp_path / "train").write_text(first.to_json(), encoding="utf-8")
    (tmp_path / "tune").write_text(second.to_json(), encoding="utf-8")
    (tmp_path / "learning").write_text(learning(trainer="mlp", budget=5).to_json(), encoding="utf-8")
    program = """
import sys
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from components._shared.manifest import Manifest
from components._shared.task import LearningSection
from components.train import executor, feeding, network
from components.train.trainers import mlp
feeding.PIECE_ROWS = 128
here = Path(sys.argv[1])
fit = network.fit
def train(name, **how):
    mlp.fit = lambda *given, **fields: fit(*given, **fields, **how)
    info = executor.train(
        train=Manifest.from_json((here / "train").read_text()),
        tune=Manifest.from_json((here / "tune").read_text()),
        learning=LearningSection.from_json((here / "learning").read_text()),
        model_dir=here / name,
    )
train("one")
train("two", strategy=tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
train("streamed", held_bytes=1)
network._COMPILED_FROM = 0
train("compiled")
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    losses = {
        name: read_model_info(tmp_path / name).metrics["tune_loss"] for name in ("one", "two", "streamed", "compiled")
    }

    assert losses["two"] == pytest.approx(losses["one"], rel=1e-4)
    assert losses["compiled"] == pytest.approx(losses["one"], rel=1e-4)
    assert losses["streamed"] == pytest.approx(losses["one"], rel=0.1)
