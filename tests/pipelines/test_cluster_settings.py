"""The settings of a cluster, as the command line reads them."""

from pathlib import Path

import pytest

from components._shared.errors import InputError
from pipelines.cluster.settings import read_cluster_settings, settings_of_a_cluster

OVERLAYS = Path(__file__).resolve().parents[2] / "manifests" / "overlays"


def test_an_overlay_whose_placeholders_still_stand_is_read_but_no_cluster_is_reached_with_it():
    path = OVERLAYS / "gke" / "settings.yaml"
    assert read_cluster_settings(path).data_root == "gs://BUCKET/data"
    with pytest.raises(InputError, match="'data_root' still says BUCKET: gs://BUCKET/data"):
        settings_of_a_cluster(path)


def test_the_overlay_of_a_laptop_cluster_needs_no_editing():
    assert settings_of_a_cluster(OVERLAYS / "kind" / "settings.yaml").registry == "s3://saiki/models"


def test_without_a_path_everything_is_empty():
    assert settings_of_a_cluster(None).endpoint == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Secret", "This is not a ConfigMap"),
        ("kind: ConfigMap\ndata: {data_rot: s3://b}", "did you mean 'data_root'"),
        ("kind: [", "not readable YAML"),
    ],
)
def test_what_is_no_settings_file_is_refused(tmp_path, text, said):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        settings_of_a_cluster(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        settings_of_a_cluster(tmp_path / "none.yaml")
