"""The Pod Security Standard "restricted" as it is published for Kubernetes 1.34, "baseline" included.

`violations` says in words what a pod does that it may not. The same rules are enforced by the API server on a namespace
with the label `pod-security.kubernetes.io/enforce: restricted`; `test_on_a_cluster.py` asks it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(pod: dict[str, Any]) -> list[str]:
    """What a pod, or a pod template, does that "restricted" forbids; empty: it may run."""
    spec = pod["spec"]
    return [*_of_the_pod(pod), *(found for container in _containers(spec) for found in _of(container, spec))]


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]


def _of_the_pod(pod: dict[str, Any]) -> Iterator[str]:
    spec = pod["spec"]
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{field} is set"
    for volume in spec.get("volumes", []):
        for kind in volume.keys() - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is a {kind}"
    security = spec.get("securityContext", {})
    for sysctl in security.get("sysctls", []):
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']} is set"
    for key, value in pod.get("metadata", {}).get("annotations", {}).items():
        if key.startswith("container.apparmor") and value != "runtime/default" and not value.startswith("localhost/"):
            yield f"annotation {key} is {value}"
    yield from _of_any_context(security, "the pod")


def _of(container: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    name = container["name"]
    own, pod = container.get("securityContext", {}), spec.get("securityContext", {})
    yield from _of_any_context(own, name)
    if own.get("privileged"):
        yield f"{name} is privileged"
    if own.get("procMount", "Default") != "Default":
        yield f"{name} has another procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"{name} opens a port of the node"
    for handler in _handlers(container):
        if any(action.get("host") for action in handler.values() if isinstance(action, dict)):
            yield f"{name} has a probe or hook that asks another host"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} may escalate its privileges"
    if not own.get("runAsNonRoot", pod.get("runAsNonRoot", False)):
        yield f"{name} may run as root"
    if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in _SECCOMP:
        yield f"{name} has no seccomp profile"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name} does not drop all capabilities"
    for added in set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name} adds the capability {added}"


def _of_any_context(context: dict[str, Any], whose: str) -> Iterator[str]:
    if context.get("runAsUser") == 0:
        yield f"{whose} runs as root"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{whose} is a host process"
    linux = context.get("seLinuxOptions", {})
    if linux.get("type", "") not in _SELINUX_TYPES or linux.get("user") or linux.get("role"):
        yield f"{whose} sets SELinux options"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") == "Unconfined":
        yield f"{whose} is not confined by AppArmor"
    if context.get("seccompProfile", {}).get("type", "RuntimeDefault") not in _SECCOMP:
        yield f"{whose} has another seccomp profile"


def _handlers(container: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (container.get(f"{kind}Probe", {}) for kind in ("startup", "readiness", "liveness"))
    yield from container.get("lifecycle", {}).values()
