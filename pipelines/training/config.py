"""What is chosen when `training` is compiled for a cluster: resources, retries, timeouts, accelerators, by profile.

Sizes rest on measurements (`benchmarks/README.md`): on 336,776 rows, and on ten times as many, the largest process of a
run had 714 MB. `docs/on-kubeflow.md` says how to size for other data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from components._shared.image import ENVIRONMENT_OF, GPU_VARIANT

UNCACHED = frozenset({"plan", "push", "conclude"})
"""They look at the changing world, change it, or say how it ended; everything else is a pure function."""

_WITHOUT_STORAGE = frozenset({"judge", "conclude"})
"""They see nothing but what KFP hands them, so they get no credentials."""

_MINUTE = 60
_HOUR = 3600


@dataclass(frozen=True)
class Toleration:
    """A taint that a step may run in spite of."""

    key: str
    effect: str = "NoSchedule"
    value: str = ""


@dataclass(frozen=True)
class Accelerator:
    """What `train` computes on.

    Attributes:
        type: Name of the resource, as nodes offer it.
        count: How many.
        variant: Of the image: it holds the libraries.
        shared_memory: Size of `/dev/shm`, through which libraries talk between accelerators; part of the memory limit.
        tolerations: Of the taints that nodes with accelerators carry.
    """

    type: str = "nvidia.com/gpu"
    count: int = 1
    variant: str = GPU_VARIANT
    shared_memory: str = "2Gi"
    tolerations: tuple[Toleration, ...] = (Toleration("nvidia.com/gpu"),)


@dataclass(frozen=True)
class StepConfig:
    """How one step runs.

    Attributes:
        cpu, memory: What the scheduler keeps free for it, in Kubernetes' units.
        cpu_limit, memory_limit: What it may use at most.
        scratch: Size of `/tmp`, the only folder that a step writes to apart from KFP's own.
        timeout: Seconds for one attempt, pulling the image included.
        retries: How often more; after which failures, the cluster's installation says (docs/on-kubeflow.md).
        storage: Whether it reads or writes the data root or the registry itself, and so needs their credentials.
    """

    cpu: str
    cpu_limit: str
    memory: str
    memory_limit: str
    scratch: str = "2Gi"
    timeout: int = _HOUR
    retries: int = 2
    storage: bool = True
    accelerator: Accelerator | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True)
class Profile:
    """How every step runs, by the component's name."""

    name: str
    steps: Mapping[str, StepConfig]


SPOT = (
    Toleration("cloud.google.com/gke-spot", value="true"),
    Toleration("kubernetes.azure.com/scalesetpriority", value="spot"),
)
"""`train` may run on machines that are taken away: it goes on from its last epoch, which lies under the data root."""

BACKOFF = 30
"""Seconds before the first retry; each further one waits twice as long."""


def _steps(light: StepConfig, analysis: StepConfig, tensorflow: StepConfig, **own: StepConfig) -> dict[str, StepConfig]:
    by_environment = {"light": light, "analysis": analysis, "tensorflow": tensorflow}
    steps = {name: by_environment[environment] for name, environment in ENVIRONMENT_OF.items()} | own
    steps = {name: replace(step, storage=name not in _WITHOUT_STORAGE) for name, step in steps.items()}
    # A verdict is not asked for again.
    return steps | {"conclude": replace(steps["conclude"], retries=0)}


_PUSHING = 90 * _MINUTE
"""Waiting for who else deploys, a rollout that stands still, and the way back: `docs/deploy.md`."""

_LAPTOP_LIGHT = StepConfig("100m", "2", "256Mi", "1Gi", scratch="4Gi", timeout=30 * _MINUTE)
_LAPTOP_HEAVY = replace(_LAPTOP_LIGHT, memory="768Mi", memory_limit="2Gi")

LAPTOP = Profile(
    "laptop",
    _steps(
        _LAPTOP_LIGHT,
        _LAPTOP_HEAVY,
        _LAPTOP_HEAVY,
        train=replace(_LAPTOP_HEAVY, timeout=2 * _HOUR),
        push=replace(_LAPTOP_LIGHT, timeout=_PUSHING),
    ),
)

_LIGHT = StepConfig("500m", "2", "1Gi", "1Gi", timeout=30 * _MINUTE)
_PUSH = replace(_LIGHT, timeout=_PUSHING)
_HEAVY = StepConfig("1", "4", "4Gi", "4Gi", scratch="10Gi", timeout=2 * _HOUR)
_INGEST = StepConfig("2", "4", "4Gi", "4Gi", scratch="50Gi", timeout=4 * _HOUR)
_TRAIN = StepConfig("4", "4", "8Gi", "8Gi", scratch="20Gi", timeout=12 * _HOUR, retries=4, tolerations=SPOT)

CPU = Profile("cpu", _steps(_LIGHT, _HEAVY, _HEAVY, ingest=_INGEST, train=_TRAIN, push=_PUSH))

GPU = Profile(
    "gpu",
    _steps(
        _LIGHT,
        _HEAVY,
        _HEAVY,
        ingest=_INGEST,
        push=_PUSH,
        train=replace(_TRAIN, memory="16Gi", memory_limit="16Gi", accelerator=Accelerator()),
    ),
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (LAPTOP, CPU, GPU)}
