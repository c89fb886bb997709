"""Which image of ours the manifests name: that of the present code, written into an overlay's `kustomization.yaml`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from components._shared.errors import InputError
from components._shared.image import image_of
from components._shared.storage_file import write_file
from pipelines.cluster.settings import read_cluster_settings

FETCHES = "push"
"""The component whose image the servers' init container runs: the code that fetches a version is a part of it."""

_LIGHT = "saiki-light"
_ENTRY = re.compile(rf"^(?P<indent> *)- name: {_LIGHT} *\n(?:(?P=indent)  .*\n)*", re.MULTILINE)


@click.command(name="pin")
@click.option(
    "--cluster",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SAIKI_CLUSTER",
    show_envvar=True,
    required=True,
    help="The cluster's settings.yaml; the kustomization.yaml beside it is written.",
)
def pin(cluster: Path) -> None:
    """Writes the image of the present code into a cluster's manifests.

    The model servers fetch their version with it. Push the image, pin it, apply the manifests.

    \b
    Example:
      saiki image pin --cluster manifests/overlays/gke/settings.yaml
    """
    image = image_of(FETCHES, prefix=read_cluster_settings(cluster).images)
    path = cluster.parent / "kustomization.yaml"
    changed = write_pin(path, image)
    click.echo(f"{path}: {image}{'' if changed else ', as it was'}")


def write_pin(path: Path, image: str) -> bool:
    """Names an image in place of `saiki-light` in a kustomization; whether that changed anything.

    Raises:
        InputError: There is no such file, or it does not name that image.
    """
    fix = "give the settings.yaml of an overlay, such as manifests/overlays/kind/settings.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as cause:
        raise InputError(f"The manifests cannot be read: {cause.strerror}", where=str(path), fix=fix) from cause
    found = _ENTRY.search(text)
    if found is None:
        raise InputError(f"No image named {_LIGHT} stands among its `images`", where=str(path), fix=fix)
    name, _, tag = image.rpartition(":")
    indent = found["indent"]
    # Only these lines, so that comments stay. In quotes: a tag of digits would be read as a number.
    entry = f'{indent}- name: {_LIGHT}\n{indent}  newName: {name}\n{indent}  newTag: "{tag}"\n'
    written = text[: found.start()] + entry + text[found.end() :]
    if written != text:
        write_file(path, written.encode())
    return written != text
