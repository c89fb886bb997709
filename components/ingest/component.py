"""What the Kubeflow UI shows of `ingest`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("ingest"), install_kfp_package=False)
def ingest(
    listing: str,
    data: str,
    windows: str,
    data_root: str,
    sample: float,
    cache_epoch: str,
    examples: dsl.Output[dsl.Dataset],
):
    """Reads exactly the listed sources and keeps their rows, typed, labelled and sorted, in immutable shards.

    Args:
        listing: URI of the list of sources with their generations, from `plan`.
        data: Columns, label, time, key, population (JSON), from `plan`.
        windows: Which rows are looked at, and until when labels are mature (JSON), from `plan`.
        data_root: Where shards and manifests are kept.
        sample: Share of the rows to keep, for a quick cycle.
        cache_epoch: Changes when shards were collected as garbage, so that no cached step hands on a dead manifest.
        examples: Manifest of all rows.
    """
    from pathlib import Path

    from components._shared import storage
    from components._shared.manifest import Listing
    from components._shared.task import DataSection
    from components._shared.windows import Windows
    from components.ingest.executor import ingest as execute

    manifest = execute(
        listing=Listing.from_json(storage.read(listing), where=listing),
        data=DataSection.from_json(data, where="data"),
        windows=Windows.from_json(windows, where="windows"),
        data_root=data_root,
        sample=float(sample),
    )
    Path(examples.path).write_text(manifest.to_json(), encoding="utf-8")
    examples.metadata.update({"digest": manifest.digest, "rows": manifest.count, **manifest.rows.model_dump()})
