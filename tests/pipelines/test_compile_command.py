"""`saiki compile`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from kfp import components as kfp_components

from components._shared.errors import InputError, StorageError
from components._shared.image import ENVIRONMENT_OF
from pipelines.commands.compile import compile_pipelines

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = sorted(path.parent.name for path in ROOT.glob("manifests/overlays/*/settings.yaml"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(compile_pipelines, [str(one) for one in arguments], env={"SAIKI_CLUSTER": ""})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_settings_of_each_overlay_compile(overlay: str, tmp_path: Path) -> None:
    settings = ROOT / "manifests" / "overlays" / overlay / "settings.yaml"

    result = run("--cluster", settings, "--profile", "laptop", "--out", tmp_path)

    assert result.exit_code == 0, result.output
    text = (tmp_path / "pipelines" / "training.yaml").read_text()
    wanted = yaml.safe_load(settings.read_text())["data"]
    assert f"defaultValue: {wanted['data_root']}" in text
    assert "profile laptop" in result.output


def test_every_component_can_be_loaded_by_pipelines_of_ones_own(tmp_path: Path) -> None:
    assert run("--out", tmp_path).exit_code == 0

    for name in ENVIRONMENT_OF:
        loaded = kfp_components.load_component_from_file(str(tmp_path / "components" / f"{name}.yaml"))
        assert loaded.name == name.replace("_", "-")


def test_what_is_printed_names_the_images_that_must_be_there(tmp_path: Path) -> None:
    result = run("--out", tmp_path, "--image", "smoke-test=images.example/mine@sha256:12")

    text = (tmp_path / "pipelines" / "training.yaml").read_text()
    named = {line.split("image: ")[1] for line in text.splitlines() if " image: " in line}
    assert all(image in result.output for image in named)
    assert "images.example/mine@sha256:12" in named
    assert "saiki image build" in result.output


def test_a_script_reads_files_digest_and_images(tmp_path: Path) -> None:
    found = json.loads(run("--out", tmp_path, "--json").stdout)

    assert Path(found["pipeline"]).is_file()
    assert all(Path(path).is_file() for path in found["components"])
    assert len(found["digest"]) == 64 and found["images"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--image", "train"), InputError, "'train' is not STEP=IMAGE"),
        (("--image", "trian=x:1"), InputError, "no step 'trian'"),
        (("--profile", "tpu"), InputError, "no profile 'tpu'"),
        (("--cluster", "nowhere.yaml"), InputError, "settings cannot be read"),
        (("--out", "/proc/nothing"), StorageError, "cannot be written"),
    ],
)
def test_what_is_wrong_is_named(
    arguments: tuple[str, ...], error: type[Exception], message: str, tmp_path: Path
) -> None:
    given = arguments if "--out" in arguments else (*arguments, "--out", str(tmp_path))

    result = run(*given)

    assert isinstance(result.exception, error)
    assert message in str(result.exception)
