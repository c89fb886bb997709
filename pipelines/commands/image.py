"""`saiki image`: builds, lists, names and pushes the images that the steps run in."""

from __future__ import annotations

import json

import click

from components._shared.errors import InputError
from components._shared.image import ENVIRONMENT_OF, GPU_VARIANT, image_of
from pipelines.images import build as images
from pipelines.images.pins import pin

_ENGINE = click.option(
    "--engine",
    type=click.Choice(["docker", "podman", "buildah"]),
    help="Container engine; by default the one that is there.",
)
_REGISTRY = click.option(
    "--registry",
    default="",
    metavar="PREFIX",
    help="Image registry and folder, such as europe-docker.pkg.dev/PROJECT/saiki.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group(name="image", short_help="Build, list and push the images of the steps.")
def image() -> None:
    """The images that the steps run in: one per environment, with one tag per component.

    \b
    Examples:
      saiki image build
      saiki image build light --registry europe-docker.pkg.dev/PROJECT/saiki --push
      saiki image list
      saiki image name train
      saiki image pin --cluster manifests/overlays/gke/settings.yaml
    """


image.add_command(pin)


@image.command(name="build")
@click.argument("environments", nargs=-1, metavar="[ENVIRONMENT]...")
@_ENGINE
@click.option("--base", default=images.BASE_IMAGE, show_default=True, help="Image to start from.")
@_REGISTRY
@click.option("--push", is_flag=True, help="Push the tags that the image registry does not have.")
@click.option("--network", default="", help="Network of the build, such as host.")
@click.option("--insecure", is_flag=True, help="The image registry speaks plain HTTP, as one on a laptop cluster does.")
@click.option("--rebuild", is_flag=True, help="Build what is there too, for example since the base image has changed.")
@_JSON
def build(
    environments: tuple[str, ...],
    engine: str | None,
    base: str,
    registry: str,
    push: bool,
    network: str,
    insecure: bool,
    rebuild: bool,
    as_json: bool,
) -> None:
    """Builds images: light, analysis and tensorflow, or those that are named (also tensorflow-gpu).

    What is there already, made from the same Dockerfile, lock and source, is not built again. This machine's CA bundle,
    package index and proxies are used while building, and are not in the image.

    \b
    Examples:
      saiki image build
      saiki image build tensorflow-gpu --engine docker
      saiki image build --registry europe-docker.pkg.dev/PROJECT/saiki --push
    """
    targets = images.check_targets(environments)
    if push and not registry:
        raise InputError("There is nowhere to push to", where="--push", fix="give --registry PREFIX")
    found = images.Engine.find(engine or "")
    results = []
    for target in targets:
        if not as_json:
            click.echo(f"{target}: with {found.name}, log in build/image-{target}.log", err=True)
        built = images.build(found, target, base=base, registry=registry, network=network, rebuild=rebuild)
        if push:
            images.push(found, built, insecure=insecure)
        results.append(built)
        if not as_json:
            _say(built)
    if as_json:
        click.echo(json.dumps([_plain(built) for built in results], indent=2))


def _say(built: images.Built) -> None:
    took = f"built in {built.seconds:.0f} s" if built.seconds else "was there"
    click.echo(f"{built.image.name}  {built.size / 1e6:,.0f} MB, {took}")
    for component, tag in built.image.tags.items():
        click.echo(f"  {component:<12} {built.image.repository}:{tag}")
    if built.pushed or built.skipped:
        click.echo(f"  pushed {len(built.pushed)} tags; the image registry had {len(built.skipped)}")


def _plain(built: images.Built) -> dict[str, object]:
    return {
        "environment": built.image.target,
        "image": built.image.name,
        "components": {name: f"{built.image.repository}:{tag}" for name, tag in built.image.tags.items()},
        "bytes": built.size,
        "seconds": round(built.seconds, 1),
        "pushed": built.pushed,
        "skipped": built.skipped,
    }


@image.command(name="list")
@_ENGINE
@_REGISTRY
@_JSON
def list_images(engine: str | None, registry: str, as_json: bool) -> None:
    """Lists the images of the present code, with their sizes, and whether they are built.

    \b
    Example:
      saiki image list --json
    """
    found = images.Engine.find(engine or "")
    rows = []
    for target in images.TARGETS:
        named = images.image_for(target, registry)
        present = found.inspect(images.image_for(target).name)
        rows.append({"environment": target, "image": named.name, "bytes": present.size if present else None})
        if not as_json:
            size = f"{present.size / 1e6:,.0f} MB" if present else "not built"
            click.echo(f"{target:<15} {size:>10}  {named.name}")
    if as_json:
        click.echo(json.dumps(rows, indent=2))


@image.command(name="name")
@click.argument("component", type=click.Choice(list(ENVIRONMENT_OF)))
@_REGISTRY
@click.option("--gpu", is_flag=True, help="The variant with CUDA, for train.")
def name_image(component: str, registry: str, gpu: bool) -> None:
    """Prints the image of a component: what a Dockerfile of your own starts FROM.

    \b
    Example:
      docker build --build-arg SAIKI_IMAGE=$(saiki image name train) examples/custom_trainer
    """
    if gpu and component != "train":
        raise InputError(f"Only train has a variant with CUDA, not {component}", where="--gpu", fix="leave --gpu out")
    click.echo(image_of(component, prefix=registry, variant=GPU_VARIANT if gpu else ""))


@image.command(name="base")
@_ENGINE
@click.option("--base", default=images.BASE_IMAGE, show_default=True, help="What to call it.")
def make_base(engine: str | None, base: str) -> None:
    """Makes the base image from Debian's packages with mmdebstrap, where no image registry is reached.

    \b
    Example:
      saiki image base && saiki image build
    """
    images.make_base(images.Engine.find(engine or ""), base)
    click.echo(base)
