"""What changed between the two models themselves, as their `model.json` tell."""

from __future__ import annotations

from components._shared import storage
from components._shared.errors import CorruptError
from components._shared.model_changes import ModelChanges
from components._shared.model_difference import data_window, differences
from components._shared.model_files import MODEL_JSON
from components._shared.model_info import ModelInfo
from components._shared.records import Lineage, ModelRef
from components._shared.windows import Windows


def changes(candidate: ModelInfo, champion: ModelRef | None, windows: Windows) -> ModelChanges | None:
    """From the champion to the candidate; none without a champion.

    Args:
        candidate: The new model.
        champion: The version that it was compared with.
        windows: Of the run that made the candidate; the champion's are recorded beside it.

    Raises:
        NotFoundError: The champion's `model.json` or its lineage is gone.
        CorruptError: It is that of another model.
    """
    if champion is None:
        return None
    place = storage.join(champion.uri, MODEL_JSON)
    before = ModelInfo.from_json(storage.read(place), where=place)
    if before.digest != champion.digest:
        raise CorruptError(
            f"Version {champion.version} is not the model that it was: model.json says {before.digest[:12]}, "
            f"not {champion.digest[:12]}",
            where=place,
            fix="restore the version's files, or roll back to another version",
        )
    place = storage.join(champion.uri, "lineage.json")
    lineage = Lineage.from_json(storage.read(place), where=place)
    return differences(
        before,
        candidate,
        before_name=f"version {champion.version}",
        after_name=f"candidate {candidate.digest[:12]}",
        before_data=data_window(before, lineage.windows),
        after_data=data_window(candidate, windows),
        timezone=windows.timezone,
    )
