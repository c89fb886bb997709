"""A twin of the Kubernetes API for Deployments, Pods, Services and ConfigMaps, with the controller of Deployments.

What is accepted and refused, with which status, reason and message, was compared with kube-apiserver 1.34: resource
versions and conflicts, watches and their expiry, strategic and JSON merge patches, strict fields by the schema, dry
runs, RBAC with resource names, and the way through the API server to a Service. Nothing here starts a pod: that is
`pod_runner.py`, which also works with a real API server.
"""

from __future__ import annotations

import copy
import hashlib
import json
import queue
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]

_KINDS = {
    "deployments": ("apps", "Deployment", "V1Deployment"),
    "pods": ("", "Pod", "V1Pod"),
    "services": ("", "Service", "V1Service"),
    "configmaps": ("", "ConfigMap", "V1ConfigMap"),
}
_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>apps)/v1)/namespaces/(?P<namespace>[^/]+)/(?P<resource>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>status|proxy)(?P<rest>/.*)?)?"
)
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "conditions": "type",
    "imagePullSecrets": "name",
}
_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}


class Refused(Exception):
    """An answer with a Status."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.body = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "details": details, "code": code,
        }  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """What a role allows, as in `rules` of a Role."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


ALL = (Rule(("*",), ("*",), ("*",)),)


def rules_of(role: Object) -> tuple[Rule, ...]:
    """The rules of a Role."""
    return tuple(
        Rule(
            tuple(rule.get("apiGroups", ())), tuple(rule["resources"]), tuple(rule["verbs"]),
            tuple(rule.get("resourceNames", ())),
        )
        for rule in role["rules"]
    )  # fmt: skip


@dataclass
class Store:
    """The objects, and everything that happened to them."""

    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    events: list[tuple[int, str, tuple[str, str, str], Object]] = field(default_factory=list)
    version: int = 1000
    oldest: int = 1000
    lock: threading.RLock = field(default_factory=threading.RLock)
    watchers: list[queue.Queue[Any]] = field(default_factory=list)

    def put(self, key: tuple[str, str, str], value: Object, kind: str) -> Object:
        """Keeps an object, or lets it go, and tells who watches."""
        with self.lock:
            self.version += 1
            value = copy.deepcopy(value)
            value["metadata"]["resourceVersion"] = str(self.version)
            if kind == "DELETED":
                del self.objects[key]
            else:
                self.objects[key] = value
            self.events.append((self.version, kind, key, value))
            for watcher in self.watchers:
                watcher.put((self.version, kind, key, value))
            return copy.deepcopy(value)

    def forget(self) -> None:
        """Compaction: watches from before now expire."""
        with self.lock:
            self.oldest = self.version
            self.events.clear()


class KubernetesServer:
    """The API server and the controller, while the context lasts.

    Attributes:
        url: Address.
        rules: Token → what it allows.
        before: Called with method, path and token before a request is looked at; a ConnectionError breaks the
            connection, a `Refused` is answered.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.rules: dict[str, tuple[Rule, ...]] = {"admin": ALL}
        self.before: Callable[[str, str, str], None] = lambda method, path, token: None
        self.watches = 0
        self.cut_watches = threading.Event()
        self.contacted: list[tuple[str, str, str]] = []
        handler = type("Bound", (_Handler,), {"api": self})
        self._http = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._stopped = threading.Event()

    def __enter__(self) -> KubernetesServer:
        for target in (self._http.serve_forever, self._control):
            threading.Thread(target=target, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.cut_watches.set()
        self._http.shutdown()
        self._http.server_close()

    def kubeconfig(self, namespace: str, token: str = "admin") -> str:
        """The text of a kubeconfig."""
        return json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "twin",
            "clusters": [{"name": "twin", "cluster": {"server": self.url}}],
            "users": [{"name": "twin", "user": {"token": token}}],
            "contexts": [{"name": "twin", "context": {"cluster": "twin", "user": "twin", "namespace": namespace}}],
        })  # fmt: skip

    def _control(self) -> None:
        while not self._stopped.wait(0.1):
            with self.store.lock:
                for key in [key for key in self.store.objects if key[0] == "deployments"]:
                    _roll(self.store, key)


def _roll(store: Store, key: tuple[str, str, str]) -> None:
    """One look of the Deployment controller: never fewer available pods than wanted, one more at most."""
    deployment = store.objects[key]
    spec, template = deployment["spec"], deployment["spec"]["template"]
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
    owned = {
        name: pod for name, pod in store.objects.items()
        if name[0] == "pods" and name[1] == key[1] and pod["metadata"].get("ownerUid") == deployment["metadata"]["uid"]
        and "deletionTimestamp" not in pod["metadata"]
    }  # fmt: skip
    new = {name for name, pod in owned.items() if pod["metadata"]["labels"]["pod-template-hash"] == digest}
    ready = {name for name, pod in owned.items() if _is_ready(pod)}
    wanted = spec["replicas"]
    if len(new) < wanted and len(owned) < wanted + 1:
        _create_pod(store, key, deployment, digest)
    spare = [*sorted(set(owned) - new - ready), *sorted((set(owned) - new) & ready), *sorted(new)]
    for name in spare:
        needless = name not in ready or len(ready) > wanted
        if needless and (name not in new or len(new) > wanted):
            pod = copy.deepcopy(owned[name])
            pod["metadata"]["deletionTimestamp"] = _now()
            store.put(name, pod, "MODIFIED")
            break
    _set_status(store, key, deployment, owned, new, ready)


def _create_pod(store: Store, key: tuple[str, str, str], deployment: Object, digest: str) -> None:
    template = copy.deepcopy(deployment["spec"]["template"])
    name = f"{key[2]}-{digest}-{hashlib.sha256(str(store.version).encode()).hexdigest()[:5]}"
    metadata = template.get("metadata", {})
    metadata |= {
        "name": name, "namespace": key[1], "uid": f"pod-{store.version}", "creationTimestamp": _now(),
        "ownerUid": deployment["metadata"]["uid"],
        "labels": {**metadata.get("labels", {}), "pod-template-hash": digest},
    }  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    store.put(("pods", key[1], name), {**pod, "status": {"phase": "Pending"}}, "ADDED")


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _set_status(
    store: Store, key: tuple[str, str, str], deployment: Object, owned: Object, new: set[Any], ready: set[Any]
) -> None:
    old = deployment.get("status", {})
    counts = {
        "observedGeneration": deployment["metadata"]["generation"], "replicas": len(owned),
        "updatedReplicas": len(new), "readyReplicas": len(ready), "availableReplicas": len(ready),
        "unavailableReplicas": max(0, deployment["spec"]["replicas"] - len(ready)),
    }  # fmt: skip
    condition = _progress(deployment, old, counts, len(new & ready))
    status = {**{name: count for name, count in counts.items() if count}, "conditions": [condition]}
    if status != old:
        store.put(key, {**deployment, "status": status}, "MODIFIED")


def _progress(deployment: Object, old: Object, counts: Object, new_ready: int) -> Object:
    """The condition `Progressing`, which a rollback keeps at `ProgressDeadlineExceeded` until something moves."""
    was: Object = next(iter(old.get("conditions", ())), {})
    wanted = deployment["spec"]["replicas"]
    if counts["updatedReplicas"] == counts["replicas"] == new_ready == wanted:
        reason = "NewReplicaSetAvailable"
    elif (
        not was
        or counts["updatedReplicas"] > old.get("updatedReplicas", 0)
        or counts["replicas"] - counts["updatedReplicas"] < old.get("replicas", 0) - old.get("updatedReplicas", 0)
        or counts["readyReplicas"] > old.get("readyReplicas", 0)
    ):
        return {**_condition("ReplicaSetUpdated", "True"), "lastUpdateTime": _now()}
    elif was["reason"] == "ProgressDeadlineExceeded" or (
        was["reason"] == "ReplicaSetUpdated" and _age(was) > deployment["spec"]["progressDeadlineSeconds"]
    ):
        reason = "ProgressDeadlineExceeded"
    else:
        return was
    if was.get("reason") == reason:
        return was
    return _condition(reason, "False" if reason == "ProgressDeadlineExceeded" else "True")


def _condition(reason: str, status: str) -> Object:
    return {"type": "Progressing", "status": status, "reason": reason, "lastUpdateTime": _now(), "message": reason}


def _age(condition: Object) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(condition["lastUpdateTime"])).total_seconds()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no matter of ours."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: KubernetesServer

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """Reads, lists, watches, and asks Services."""
        self._respond()

    do_POST = do_PATCH = do_DELETE = do_GET

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        self._query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            self.api.contacted.append((self.command, parts.path, token))
            self.api.before(self.command, parts.path, token)
            found = _PATH.fullmatch(parts.path)
            if not found or found["resource"] not in _KINDS:
                raise Refused(404, "NotFound", "the server could not find the requested resource")
            self._allowed(found, token)
            if found["sub"] == "proxy":
                self._proxy(found, body)
            elif self._query.get("watch") in ("true", "True", "1"):
                self._watch(found["namespace"], found["resource"])
            else:
                code, answer = self._answer(found, body)
                self._send(code, json.dumps(answer).encode())
        except Refused as cause:
            self._send(cause.code, json.dumps(cause.body).encode())
        except ConnectionError:
            self.close_connection = True
            self.connection.close()

    def _send(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _allowed(self, found: re.Match[str], token: str) -> None:
        if token not in self.api.rules:
            raise Refused(401, "Unauthorized", "Unauthorized")
        resource = found["resource"] + (f"/{found['sub']}" if found["sub"] else "")
        name, group = found["name"] or self._field("metadata.name"), _KINDS[found["resource"]][0]
        verb = _VERBS[self.command]
        if verb == "get" and not found["name"]:
            verb = "watch" if "watch" in self._query else "list"
        for rule in self.api.rules[token]:
            if (
                {group, "*"} & set(rule.groups)
                and {resource, "*"} & set(rule.resources)
                and {verb, "*"} & set(rule.verbs)
                and (not rule.names or name in rule.names)
            ):
                return
        shown = f"{found['resource']}{'.' + group if group else ''}"
        what = f'{shown} "{found["name"]}" is' if found["name"] else f"{shown} is"
        raise Refused(
            403, "Forbidden",
            f'{what} forbidden: User "{token}" cannot {verb} resource "{resource}" in API group "{group}" '
            f'in the namespace "{found["namespace"]}"',
        )  # fmt: skip

    def _field(self, name: str) -> str:
        return dict(part.split("=", 1) for part in self._query.get("fieldSelector", "").split(",") if part).get(
            name, ""
        )

    def _answer(self, found: re.Match[str], body: bytes) -> tuple[int, Object]:
        store, resource = self.api.store, found["resource"]
        key = (resource, found["namespace"], found["name"] or "")
        with store.lock:
            if self.command == "POST":
                return 201, self._create(key, json.loads(body))
            if not found["name"]:
                items = [value for name, value in store.objects.items() if self._matches(name, value, key)]
                kind = _KINDS[resource][1]
                return 200, {
                    "kind": f"{kind}List", "apiVersion": "apps/v1" if _KINDS[resource][0] else "v1",
                    "metadata": {"resourceVersion": str(store.version)}, "items": copy.deepcopy(items),
                }  # fmt: skip
            if key not in store.objects:
                raise _not_found(key)
            if self.command == "GET":
                return 200, copy.deepcopy(store.objects[key])
            if self.command == "DELETE":
                return 200, store.put(key, store.objects[key], "DELETED")
            return 200, self._patch(key, found["sub"] or "", body)

    def _matches(self, name: tuple[str, str, str], value: Object, key: tuple[str, str, str]) -> bool:
        if name[:2] != key[:2] or self._field("metadata.name") not in ("", name[2]):
            return False
        labels = value["metadata"].get("labels", {})
        wanted = [part.split("=", 1) for part in self._query.get("labelSelector", "").split(",") if part]
        return all(labels.get(label) == text for label, text in wanted)

    def _create(self, key: tuple[str, str, str], value: Object) -> Object:
        key = (*key[:2], value["metadata"]["name"])
        if key in self.api.store.objects:
            shown = _shown(key)
            raise Refused(409, "AlreadyExists", f'{shown} "{key[2]}" already exists')
        metadata = value["metadata"]
        metadata |= {
            "namespace": key[1], "generation": 1, "uid": f"{key[0]}-{self.api.store.version}",
            "creationTimestamp": _now(),
        }  # fmt: skip
        if key[0] == "deployments":
            value["status"] = {}
            value["spec"].setdefault("replicas", 1)
            value["spec"].setdefault("progressDeadlineSeconds", 600)
        _validate(key, value, None)
        return self.api.store.put(key, value, "ADDED")

    def _patch(self, key: tuple[str, str, str], sub: str, body: bytes) -> Object:
        patch = json.loads(body)
        if not isinstance(patch, dict):
            raise Refused(
                400, "BadRequest", "json: cannot unmarshal string into Go value of type map[string]interface {}"
            )
        merge = {
            "application/strategic-merge-patch+json": _strategic,
            "application/merge-patch+json": _merge,
        }.get(self.headers.get("Content-Type", ""))
        if merge is None:
            raise Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type")
        old = self.api.store.objects[key]
        stated = patch.get("metadata", {}).get("resourceVersion")
        if stated not in (None, old["metadata"]["resourceVersion"]):
            said = "the object has been modified; please apply your changes to the latest version and try again"
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on {_shown(key)} "{key[2]}": {said}')
        # A status is written by its own path alone, and that path writes nothing else.
        allowed = {"status"} if sub == "status" else set(patch) - {"status"}
        strict = self._query.get("fieldValidation") == "Strict"
        _check_schema({part: patch[part] for part in allowed & set(patch)}, _KINDS[key[0]][2], "", patch, strict=strict)
        new = merge(old, {part: patch[part] for part in allowed & set(patch)})
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        _validate(key, new, old)
        if key[0] == "deployments" and any(
            old[part].get(name) != new[part].get(name)
            for part, name in [("metadata", "annotations"), *(("spec", name) for name in {*old["spec"], *new["spec"]})]
        ):
            new["metadata"]["generation"] += 1
        if "dryRun" in self._query or new == old:
            return new
        return self.api.store.put(key, new, "MODIFIED")

    def _watch(self, namespace: str, resource: str) -> None:
        since = int(self._query.get("resourceVersion") or 0)
        deadline = time.monotonic() + float(self._query.get("timeoutSeconds", 1800))
        store, mine = self.api.store, queue.Queue[Any]()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.api.watches += 1
        with store.lock:
            if since and since < store.oldest:
                status = Refused(410, "Expired", f"too old resource version: {since} ({store.oldest})").body
                self._chunk({"type": "ERROR", "object": status})
                self._chunk(None)
                return
            for event in store.events:
                if event[0] > since:
                    mine.put(event)
            store.watchers.append(mine)
        try:
            while (left := deadline - time.monotonic()) > 0:
                try:
                    _, kind, key, value = mine.get(timeout=min(left, 0.2))
                except queue.Empty:
                    if self.api.cut_watches.is_set():
                        raise ConnectionError from None
                    continue
                if self._matches(key, value, (resource, namespace, "")):
                    self._chunk({"type": kind, "object": value})
            self._chunk(None)
        finally:
            with store.lock:
                store.watchers.remove(mine)

    def _chunk(self, event: Object | None) -> None:
        content = b"" if event is None else json.dumps(event).encode() + b"\n"
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def _proxy(self, found: re.Match[str], body: bytes) -> None:
        name, _, port = found["name"].partition(":")
        with self.api.store.lock:
            service = self.api.store.objects.get(("services", found["namespace"], name))
            if service is None:
                raise _not_found(("services", found["namespace"], name))
            wanted = service["spec"]["selector"].items()
            pods = [
                pod for key, pod in self.api.store.objects.items()
                if key[:2] == ("pods", found["namespace"]) and _is_ready(pod)
                and wanted <= pod["metadata"].get("labels", {}).items()
            ]  # fmt: skip
        if not pods:
            raise Refused(503, "ServiceUnavailable", f'no endpoints available for service "{name}"')
        pod = pods[time.monotonic_ns() % len(pods)]
        url = f"http://{pod['status']['podIP']}:{port}{found['rest'] or '/'}"
        request = urllib.request.Request(url, body or None, {"Content-Type": "application/json"}, method=self.command)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                self._send(answer.status, answer.read())
        except urllib.error.HTTPError as cause:
            self._send(cause.code, cause.read())
        except OSError as cause:
            raise Refused(503, "ServiceUnavailable", f"error trying to reach service: {cause}") from cause


def _shown(key: tuple[str, str, str]) -> str:
    group = _KINDS[key[0]][0]
    return f"{key[0]}.{group}" if group else key[0]


def _not_found(key: tuple[str, str, str]) -> Refused:
    return Refused(404, "NotFound", f'{_shown(key)} "{key[2]}" not found')


def _merge(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = copy.deepcopy(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged


def _strategic(old: Any, patch: Any, name: str = "") -> Any:
    if isinstance(patch, dict):
        directive = patch.get("$patch")
        rest = {key: value for key, value in patch.items() if key != "$patch"}
        merged = copy.deepcopy(old) if isinstance(old, dict) and directive != "replace" else {}
        for key, value in rest.items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = _strategic(merged.get(key), value, key)
        return merged
    if isinstance(patch, list) and name in _MERGE_KEYS and isinstance(old, list):
        key = _MERGE_KEYS[name]
        merged_list = copy.deepcopy(old)
        for item in patch:
            at = next((place for place, each in enumerate(merged_list) if each.get(key) == item.get(key)), None)
            if item.get("$patch") == "delete":
                merged_list = [each for each in merged_list if each.get(key) != item.get(key)]
            elif at is None:
                merged_list.append(_strategic(None, item))
            else:
                merged_list[at] = _strategic(merged_list[at], item)
        return merged_list
    if isinstance(patch, list):
        return [_strategic(None, item) for item in patch if not (isinstance(item, dict) and "$patch" in item)]
    return copy.deepcopy(patch)


def _check_schema(value: Any, kind: str, path: str, patch: Object, *, strict: bool) -> None:
    """Types and names of fields, by the schema that the Kubernetes client was generated from."""
    from kubernetes.client import models

    def invalid(message: str) -> Refused:
        return Refused(422, "Invalid", f' "" is invalid: patch: Invalid value: "{patch}": {message}')

    if value is None or kind == "object":
        return
    if kind.startswith("list["):
        for place, each in enumerate(value if isinstance(value, list) else ()):
            _check_schema(each, kind[5:-1], f"{path}[{place}]", patch, strict=strict)
        return
    if kind.startswith("dict("):
        inner = kind[5:-1].split(", ", 1)[1]
        for name, each in value.items():
            _check_schema(each, inner, f"{path}.{name}", patch, strict=strict)
        return
    plain = {"str": str, "int": int, "bool": bool, "datetime": str, "float": (int, float)}.get(kind)
    if plain is not None:
        if not isinstance(value, plain) or (kind == "int" and isinstance(value, bool)):
            raise invalid("unrecognized type: int32" if kind == "int" else f"cannot convert to {kind} at {path}")
        return
    model: Any = getattr(models, kind)
    fields = {name: model.openapi_types[attribute] for attribute, name in model.attribute_map.items()}
    for name, each in value.items():
        if name.startswith("$"):
            continue
        if name not in fields:
            if strict:
                raise invalid(f'strict decoding error: unknown field "{path}.{name}"'.replace('".', '"'))
            continue
        _check_schema(each, fields[name], f"{path}.{name}", patch, strict=strict)


def _validate(key: tuple[str, str, str], new: Object, old: Object | None) -> None:
    """What a Deployment must be."""
    if key[0] != "deployments":
        return
    spec, problems = new["spec"], []
    pod = spec["template"]["spec"]
    for part in ("initContainers", "containers"):
        for place, container in enumerate(pod.get(part) or ()):
            where = f"spec.template.spec.{part}[{place}]"
            if not container.get("image"):
                problems.append(f"{where}.image: Required value")
            for number, variable in enumerate(container.get("env") or ()):
                if variable.get("value") and variable.get("valueFrom"):
                    problems.append(
                        f'{where}.env[{number}].valueFrom: Invalid value: "": may not be specified when `value` is not '
                        "empty"
                    )
    if not pod.get("containers"):
        problems.append("spec.template.spec.containers: Required value")
    if spec["replicas"] < 0:
        problems.append(f"spec.replicas: Invalid value: {spec['replicas']}: must be greater than or equal to 0")
    wanted = spec["selector"].get("matchLabels", {})
    if not wanted.items() <= spec["template"]["metadata"].get("labels", {}).items():
        problems.append("spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`")
    if old is not None and old["spec"]["selector"] != spec["selector"]:
        problems.append("spec.selector: Invalid value: field is immutable")
    if problems:
        said = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise Refused(422, "Invalid", f'Deployment.apps "{key[2]}" is invalid: {said}')
