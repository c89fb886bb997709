"""A pipeline as the YAML that Kubeflow takes: the same for the same code, settings and profile, wherever it is made."""

from __future__ import annotations

import hashlib
import importlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components._shared.errors import InputError
from components._shared.image import ENVIRONMENT_OF, image_of
from pipelines.cluster.settings import ClusterSettings


@dataclass(frozen=True)
class RunParameter:
    """A parameter of a run.

    Attributes:
        type: `str`, `float`, `int`, `bool`, `dict` or `list`.
        default: None: it must be given.
    """

    type: type
    default: Any
    description: str

    @property
    def required(self) -> bool:
        """Whether a run does not start without it."""
        return self.default is None


@dataclass(frozen=True)
class CompiledPipeline:
    """What is uploaded.

    Attributes:
        text: Pipeline specification and platform specification, two YAML documents.
        digest: SHA-256 of the text, in hexadecimal.
        parameters: Name → what a run may set.
        images: Images that the cluster must be able to pull.
    """

    name: str
    text: str
    digest: str
    parameters: Mapping[str, RunParameter]
    images: tuple[str, ...]


def compile_training(
    settings: ClusterSettings, profile: str, images: Mapping[str, str] | None = None
) -> CompiledPipeline:
    """Compiles `training` for a cluster.

    Args:
        profile: `laptop`, `cpu` or `gpu`.
        images: Component → image in place of ours.

    Raises:
        InputError: There is no such profile or component.
    """
    from pipelines.training.config import PROFILES
    from pipelines.training.pipeline import build

    given = dict(images or {})
    if profile not in PROFILES:
        raise InputError(
            f"There is no profile '{profile}'", where="--profile", fix=f"give one of: {', '.join(PROFILES)}"
        )
    if unknown := sorted(given.keys() - ENVIRONMENT_OF.keys()):
        raise InputError(
            f"There is no step '{unknown[0]}'", where="--image", fix=f"give one of: {', '.join(ENVIRONMENT_OF)}"
        )
    pipeline = build(PROFILES[profile], settings, given)
    text = _text(pipeline, {"data_root": settings.data_root, "registry": settings.registry})
    return _compiled(text)


def compile_component(name: str, settings: ClusterSettings, images: Mapping[str, str] | None = None) -> str:
    """The YAML of one component, for pipelines of your own: `kfp.components.load_component_from_file` reads it.

    Args:
        images: Component → image in place of ours.
    """
    component = getattr(importlib.import_module(f"components.{name}.component"), name)
    image = (images or {}).get(name, image_of(name, prefix=settings.images))
    # An image belongs to the component's definition: kfp has no way to give it another one without a pipeline.
    return _text(component, {}).replace(f"image: {image_of(name)}\n", f"image: {image}\n")


def _text(pipeline: Any, defaults: Mapping[str, str]) -> str:
    from kfp import compiler

    with tempfile.TemporaryDirectory(prefix="saiki-compile-") as folder:
        path = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(
            pipeline, str(path), pipeline_parameters={name: value for name, value in defaults.items() if value}
        )
        return path.read_text(encoding="utf-8")


_TYPES: dict[str, type] = {
    "STRING": str,
    "NUMBER_DOUBLE": float,
    "NUMBER_INTEGER": int,
    "BOOLEAN": bool,
    "STRUCT": dict,
    "LIST": list,
}


def _compiled(text: str) -> CompiledPipeline:
    import yaml

    specification = next(yaml.safe_load_all(text))
    inputs = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    executors = specification["deploymentSpec"]["executors"].values()
    return CompiledPipeline(
        name=specification["pipelineInfo"]["name"],
        text=text,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        parameters={name: _parameter(found) for name, found in inputs.items()},
        images=tuple(sorted({executor["container"]["image"] for executor in executors})),
    )


def _parameter(found: Mapping[str, Any]) -> RunParameter:
    kind, default = _TYPES[found["parameterType"]], found.get("defaultValue")
    # The specification knows one kind of number.
    return RunParameter(kind, kind(default) if kind is int and default is not None else default, found["description"])
