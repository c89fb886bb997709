"""The manifests as Kubernetes sees them: what kustomize builds of an overlay, and what is in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("kind", "gke")
KUBECTL = Path(sys.executable).parent / "kubectl"
"""Pinned in `requirements/dev.in`; kustomize is a part of it."""

Object = dict[str, Any]

CONTROLLERS = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"}


def built(folder: Path) -> str:
    """What `kubectl apply -k` sends."""
    answer = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@cache
def overlay(name: str) -> tuple[Object, ...]:
    """All objects that a cluster gets, the namespace too, which is applied first."""
    folder = ROOT / "manifests" / "overlays" / name
    objects = yaml.safe_load_all(built(folder))
    return (yaml.safe_load((folder / "namespace.yaml").read_text()), *objects)


def of_kind(name: str, *kinds: str) -> list[Object]:
    return [found for found in overlay(name) if found["kind"] in kinds]


def the(name: str, kind: str, called: str) -> Object:
    (found,) = [found for found in of_kind(name, kind) if found["metadata"]["name"] == called]
    return found


def templates(name: str) -> list[Object]:
    """The pods that the objects of an overlay make."""
    return [found["spec"]["template"] for found in of_kind(name, *CONTROLLERS)]


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects what has these labels, by the rules of Kubernetes."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for term in selector.get("matchExpressions", []):
        there, value = term["key"] in labels, labels.get(term["key"])
        match term["operator"]:
            case "In" if value not in term["values"]:
                return False
            case "NotIn" if there and value in term["values"]:
                return False
            case "Exists" if not there:
                return False
            case "DoesNotExist" if there:
                return False
    return True


def quantity(text: str | int) -> float:
    """A quantity of Kubernetes: `100m`, `2`, `64Mi`."""
    units = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9}
    number = str(text)
    for unit in sorted(units, key=len, reverse=True):
        if number.endswith(unit):
            return float(number.removesuffix(unit)) * units[unit]
    return float(number)


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string in an object, with where it stands."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from strings(inner, f"{path}.{key}")
        case list():
            for index, inner in enumerate(value):
                yield from strings(inner, f"{path}[{index}]")
        case str():
            yield path, value


def name_of(found: Object) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"
