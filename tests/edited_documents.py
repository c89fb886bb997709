"""Models whose documents were changed, and what the gate on them says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from components._shared.manifest import Manifest
from components._shared.model_files import MODEL_JSON, model_digest, read_model_info
from components._shared.verdict import Check
from components.smoke_test.export import export_checks

PMML, PFA = "model.pmml", "model.pfa.json"


def export_check(model: Path, of: tuple[Manifest, Manifest], largest: float = 1e-6) -> Check:
    """The check on a model's documents.

    Args:
        of: Rows, and what was predicted of them.
    """
    examples, predictions = of
    info = read_model_info(model)
    (found,) = export_checks(model, info, predictions=predictions, examples=examples, largest=largest)
    assert found.name == "behaviour.export_difference"
    return found


def with_document(model: Path, home: Path, edit: Callable[[str], str], name: str = PMML) -> Path:
    """A copy of a model that has this document alone, changed."""
    shutil.copytree(model, home)
    path = home / name
    text = path.read_text(encoding="utf-8")
    path.write_text(edit(text), encoding="utf-8")
    documents = {standard: file for standard, file in read_model_info(home).documents.items() if file == name}
    return with_documents(home, documents)


def with_documents(model: Path, documents: dict[str, str]) -> Path:
    """The model, which names these documents now."""
    info = read_model_info(model).model_copy(update={"digest": model_digest(model), "documents": documents})
    (model / MODEL_JSON).write_text(info.to_json(), encoding="utf-8")
    return model
