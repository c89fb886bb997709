"""Puts a profile on the steps of a pipeline: what Kubernetes must know of each."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from components._shared.image import image_of
from pipelines.cluster.settings import ClusterSettings
from pipelines.training.config import BACKOFF, UNCACHED, Profile, StepConfig, Toleration

PART_OF = "saiki"


@dataclass(frozen=True)
class Placement:
    """Where and how the steps of a pipeline run.

    Attributes:
        profile: None: on this machine, where there is nothing to place.
        images: Component → image in place of ours.
    """

    profile: Profile | None = None
    settings: ClusterSettings = field(default_factory=ClusterSettings)
    images: Mapping[str, str] = field(default_factory=dict)

    def place(self, task: Any, name: str = "", **chosen: Any) -> Any:
        """A step with its name, caching, and on a cluster all that its component's configuration says.

        Args:
            task: A `PipelineTask`.
            name: What the UI calls it; empty: as the component.
            chosen: `cpu`, `memory`, `accelerators`, `node_selector` as run parameters, which win over the profile.
        """
        component = task.component_spec.name.replace("-", "_")
        task.set_display_name(name or component.replace("_", "-"))
        if component in UNCACHED:
            task.set_caching_options(enable_caching=False)
        if self.profile is None:
            if component in self.images:
                task.set_container_image(self.images[component])
        else:
            step = self.profile.steps[component]
            self._image(task, component, step)
            _resources(task, step, **chosen)
            _attempts(task, step)
            _pod(task, component, step, chosen.get("node_selector"))
            if step.storage:
                self._storage(task)
        return task

    @property
    def meaningless(self) -> tuple[str, ...]:
        """Run parameters that would change nothing here."""
        if self.profile is None:
            return ("train_cpu", "train_memory", "train_accelerators", "train_node_selector")
        return () if self.profile.steps["train"].accelerator else ("train_accelerators",)

    def leaving_out(self, *names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Takes run parameters from a pipeline function that have nothing to set here: no form shows them."""

        def without(function: Callable[..., Any]) -> Callable[..., Any]:
            signature = inspect.signature(function)

            @functools.wraps(function)
            def called(*given: Any, **named: Any) -> Any:
                return function(**kept.bind(*given, **named).arguments)

            kept = signature.replace(
                parameters=[found for name, found in signature.parameters.items() if name not in names]
            )
            called.__signature__ = kept  # type: ignore[attr-defined]
            return called

        return without

    def _image(self, task: Any, component: str, step: StepConfig) -> None:
        variant = step.accelerator.variant if step.accelerator else ""
        ours = image_of(component, prefix=self.settings.images, variant=variant)
        task.set_container_image(self.images.get(component, ours))

    def _storage(self, task: Any) -> None:
        from kfp import kubernetes

        if self.settings.storage_secret:
            keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            kubernetes.use_secret_as_env(task, self.settings.storage_secret, {key: key for key in keys})
        if self.settings.s3_endpoint:
            task.set_env_variable("AWS_ENDPOINT_URL", self.settings.s3_endpoint)
        if self.settings.s3_region:
            task.set_env_variable("AWS_REGION", self.settings.s3_region)


def _resources(
    task: Any, step: StepConfig, *, cpu: Any = None, memory: Any = None, accelerators: Any = None, **_: Any
) -> None:
    task.set_cpu_request(cpu or step.cpu).set_cpu_limit(cpu or step.cpu_limit)
    task.set_memory_request(memory or step.memory).set_memory_limit(memory or step.memory_limit)
    if step.accelerator:
        task.set_accelerator_type(step.accelerator.type)
        task.set_accelerator_limit(accelerators or step.accelerator.count)


def _attempts(task: Any, step: StepConfig) -> None:
    from kfp import kubernetes

    kubernetes.set_timeout(task, step.timeout)
    if step.retries:
        waits = BACKOFF * (2**step.retries - 1)
        # Counted from the start of the first attempt, and a running attempt is killed when it is over: room for all.
        longest = (step.retries + 1) * step.timeout + waits
        task.set_retry(
            step.retries, backoff_duration=f"{BACKOFF}s", backoff_factor=2, backoff_max_duration=f"{longest}s"
        )


def _pod(task: Any, component: str, step: StepConfig, node_selector: Any) -> None:
    from kfp import kubernetes

    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", PART_OF)
    kubernetes.add_pod_label(task, "app.kubernetes.io/component", component.replace("_", "-"))
    kubernetes.set_security_context(task, run_as_non_root=True)
    kubernetes.empty_dir_mount(task, "tmp", "/tmp", size_limit=step.scratch)
    if step.accelerator:
        kubernetes.empty_dir_mount(
            task, "shared-memory", "/dev/shm", medium="Memory", size_limit=step.accelerator.shared_memory
        )
    if node_selector is not None:
        kubernetes.add_node_selector_json(task, node_selector)
    for key, value in step.node_selector.items() if node_selector is None else ():
        kubernetes.add_node_selector(task, key, value)
    for toleration in (*step.tolerations, *(step.accelerator.tolerations if step.accelerator else ())):
        _tolerate(task, toleration)


def _tolerate(task: Any, toleration: Toleration) -> None:
    from kfp import kubernetes

    if toleration.value:
        kubernetes.add_toleration(
            task, key=toleration.key, operator="Equal", value=toleration.value, effect=toleration.effect
        )
    else:
        kubernetes.add_toleration(task, key=toleration.key, operator="Exists", effect=toleration.effect)
