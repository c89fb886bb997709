"""Preprocessing: the same in numpy while training as in the graph that is served."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared.model_inputs import MISSING_MOMENT, model_inputs
from components._shared.saved_model import Strings
from components.train.feeding import Feeder
from components.train.job import LabelledRows
from components.train.preprocessing import Encoding, learn_encoding
from tests.synthetic_rows import FEATURES, manifest, rows


def labelled(root: Path, columns: dict[str, list[Any]], features: dict[str, Any] | None = None) -> LabelledRows:
    features = features or FEATURES
    return LabelledRows(manifest(root, columns), features, model_inputs(features))


@pytest.fixture(scope="module")
def encoding(data_root: Path) -> Encoding:
    return learn_encoding(labelled(data_root, rows(1000)), max_vocabulary=100, min_frequency=5)


def test_numpy_and_the_graph_encode_alike(encoding: Encoding) -> None:
    import tensorflow as tf

    texts = (b"Oslo", b"", b"never seen", "Zürich".encode())
    moments = [datetime(2024, 2, 29, 23, 59, tzinfo=UTC), datetime(1955, 7, 1, 5, tzinfo=UTC)]
    values = {
        "temperature (°C)": np.array([15.5, np.nan, np.inf, -1e30], "float32"),
        "shop": Strings(texts, np.arange(4)),
        "class": Strings((b"0", b"", b"99"), np.array([0, 1, 2, 2])),
        "open on Sunday": np.array([1, 0, np.nan, 1], "float32"),
        "seen at": np.array([*(int(m.timestamp() * 1e6) for m in moments), MISSING_MOMENT, 0]),
    }
    inputs = model_inputs(FEATURES)
    arguments = {
        inputs[name].name: tf.constant([[v.values[code]] for code in v.codes])
        if isinstance(v, Strings)
        else tf.constant(v[:, None])
        for name, v in values.items()
    }

    dense, index = encoding.encode(values, 4)
    graph_dense, graph_index = encoding.tensors(arguments, inputs, encoding.tables())

    np.testing.assert_allclose(dense, graph_dense.numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(index, graph_index.numpy())
    names = encoding.categories
    assert [names[position] for position in index[0]] == ["shop=Oslo", "class=0", "seen at: Thursday"]
    assert [names[position] for position in index[1]] == ["shop=(missing)", "class=(missing)", "seen at: Friday"]
    assert [names[position] for position in index[2]] == ["shop=(other)", "class=(other)", "seen at: (missing)"]


def test_numbers_are_standardised_by_train(encoding: Encoding, data_root: Path) -> None:
    part = labelled(data_root, rows(1000))
    batch = next(part.batches())
    dense, _ = encoding.encode(batch.features, batch.rows)
    seen = np.isfinite(batch.features["temperature (°C)"])
    column = dense[:, encoding.dense_terms.index("temperature (°C)")]

    assert column[seen].mean() == pytest.approx(0, abs=1e-5)
    assert column[seen].std() == pytest.approx(1, abs=1e-5)
    assert set(column[~seen]) == {0.0}


def test_only_what_is_missing_in_train_gets_an_indicator(encoding: Encoding, data_root: Path) -> None:
    whole = learn_encoding(labelled(data_root, rows(300, missing=False)), 100, 5)

    assert "temperature (°C)=(missing)" in encoding.dense_terms
    assert "shop=(missing)" in encoding.categories
    assert not [term for term in whole.dense_terms if "missing" in term]
    assert "shop=(missing)" not in whole.categories


def test_rare_values_share_a_position(data_root: Path) -> None:
    columns = rows(300, missing=False)
    columns["shop"][:3] = ["rare"] * 3
    few = learn_encoding(labelled(data_root, columns), max_vocabulary=100, min_frequency=5)
    two = learn_encoding(labelled(data_root, columns), max_vocabulary=2, min_frequency=1)

    assert "shop=rare" not in few.categories
    assert [name for name in two.categories if name.startswith("shop")] == ["shop=Zürich", "shop=Oslo", "shop=(other)"]


def test_a_column_with_nothing_in_it_is_harmless(data_root: Path) -> None:
    columns = {**rows(50), "temperature (°C)": [None] * 50, "shop": [None] * 50, "seen at": [None] * 50}
    part = labelled(data_root, columns)
    batch = next(part.batches())

    dense, index = learn_encoding(part, 100, 5).encode(batch.features, batch.rows)

    assert np.isfinite(dense).all()
    assert index.shape == (50, 3)


def test_streamed_rows_are_all_rows_once_in_another_order(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.train.feeding.PIECE_ROWS", 64)
    columns = rows(1000)
    columns["_label"] = [float(row) for row in range(1000)]
    part = labelled(data_root, columns)
    encoding = learn_encoding(part, 100, 5)
    held = Feeder(part, 1000, encoding)
    streamed = Feeder(part, 1000, encoding, held_bytes=1)

    def labels(feeder: Feeder, seed: Any) -> list[float]:
        return [value for block in feeder.blocks(seed) for value in block.columns[2].numpy()[: block.rows].tolist()]

    assert held.held
    assert not streamed.held
    assert len(list(streamed.blocks())) > 3
    assert labels(held, (1, 1)) == columns["_label"] == labels(streamed, None)
    assert labels(streamed, (1, 1)) != columns["_label"]
    assert sorted(labels(streamed, (1, 1))) == columns["_label"]
    assert labels(streamed, (1, 1)) == labels(streamed, (1, 1)) != labels(streamed, (1, 2))
    shapes = {tuple(column.shape) for block in streamed.blocks() for column in block.columns[2:]}
    assert len(shapes) == 1
