"""A twin of TensorFlow Serving: its REST contract over real SavedModels, run by the interpreter of `tensorflow`.

    python tests/model_server.py           reads lines of JSON from stdin: {"config": …, "host": …, "port": …}

Each line starts a server in a process of its own, forked from this one so that TensorFlow is imported once, and is
answered with a line that holds its process number. Paths, status codes, bodies, how values travel and what is refused
follow `http_rest_api_util.cc`, `http_rest_api_handler.cc` and `json_tensor.cc` of TensorFlow Serving 2.21. As there,
the port is opened when the model is loaded, and a model that does not load ends the process.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_PREDICT = re.compile(
    r"/v1/models/([^/:]+)(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?:(classify|regress|predict)", re.IGNORECASE
)
_STATUS = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?(?:/(metadata))?", re.IGNORECASE
)


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def read_config(text: str) -> tuple[str, Path, list[int]]:
    """Name, base path and versions of a `ModelServerConfig`; an unknown field is an error, as in its text format."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    file = descriptor_pb2.FileDescriptorProto(name="config.proto", package="twin", syntax="proto3")
    fields: dict[str, list[tuple[str, int, str, bool]]] = {
        "Specific": [("versions", 1, "int64", True)],
        "Policy": [("specific", 102, "Specific", False)],
        "Config": [
            ("name", 1, "string", False),
            ("base_path", 2, "string", False),
            ("model_platform", 4, "string", False),
            ("model_version_policy", 7, "Policy", False),
        ],
        "List": [("config", 1, "Config", True)],
        "Server": [("model_config_list", 1, "List", False)],
    }
    kinds = {"int64": 3, "string": 9}
    for message, parts in fields.items():
        kind = file.message_type.add(name=message)
        for name, number, used, repeated in parts:
            field = kind.field.add(name=name, number=number, label=3 if repeated else 1, type=kinds.get(used, 11))
            if used not in kinds:
                field.type_name = f".twin.{used}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    config = text_format.Parse(text, message_factory.GetMessageClass(pool.FindMessageTypeByName("twin.Server"))())
    (only,) = config.model_config_list.config
    if only.model_platform != "tensorflow":
        raise SystemExit(f"unknown platform {only.model_platform!r}")
    return only.name, Path(only.base_path), list(only.model_version_policy.specific.versions)


class Model:
    """One version."""

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        self.loaded = tf.saved_model.load(str(path))

    def predict(self, body: bytes) -> str:
        """The answer to a request."""
        try:
            document = json.loads(body) if body else None
        except ValueError as cause:
            raise Refused(400, f"JSON Parse error: Invalid value. at offset: {getattr(cause, 'pos', 0)}") from cause
        if not body:
            raise Refused(400, "JSON Parse error: The document is empty")
        if not isinstance(document, dict):
            raise Refused(400, f"JSON Value: {document} Is not object")
        name = document.get("signature_name") or "serving_default"
        if name not in self.loaded.signatures:
            raise Refused(400, f'Serving signature name: "{name}" not found in signature def')
        signature = self.loaded.signatures[name]
        specs = signature.structured_input_signature[1]
        if "instances" in document and "inputs" in document:
            raise Refused(400, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ")
        if "instances" in document:
            tensors, key = _from_rows(document["instances"], specs), "predictions"
        elif "inputs" in document:
            tensors, key = _from_columns(document["inputs"], specs), "outputs"
        else:
            raise Refused(400, "Missing 'inputs' or 'instances' key")
        return _answer(self._run(signature, tensors), key)

    def _run(self, signature: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        try:
            return {name: tensor.numpy() for name, tensor in signature(**tensors).items()}
        except (ValueError, TypeError, tf.errors.OpError) as cause:
            raise Refused(400, str(cause).splitlines()[0]) from cause


def _from_columns(given: Any, specs: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(given, dict) or _is_base64(given):
        if len(specs) > 1:
            said = "inputs is a plain value/list, but expecting an object as multiple input tensors required"
            raise Refused(400, f"{said} as per tensorinfo_map")
        given = {next(iter(specs)): given}
    for name in specs:
        if name not in given:
            raise Refused(400, f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(given[name], spec) for name, spec in specs.items()}


def _from_rows(rows: Any, specs: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(rows, list):
        raise Refused(400, "Expecting 'instances' to be an list/array")
    if not rows:
        raise Refused(400, "No values in 'instances' array")
    if not isinstance(rows[0], dict) or _is_base64(rows[0]):
        if len(specs) > 1:
            raise Refused(400, "instances is a plain list, but expecting list of objects as multiple input tensors")
        return {next(iter(specs)): _tensor(rows, next(iter(specs.values())))}
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or set(row) != set(specs):
            said = f"keys must be equal to: {','.join(sorted(specs))}"
            raise Refused(400, f"Failed to process element: {number} of 'instances' list. JSON object: {row} {said}")
    return {name: _tensor([row[name] for row in rows], spec) for name, spec in specs.items()}


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _tensor(value: Any, spec: Any) -> Any:
    import numpy as np
    import tensorflow as tf

    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    flat: list[Any] = []
    _fill(value, 0, shape, spec.dtype.name, flat)
    if spec.dtype == tf.string:
        return tf.reshape(tf.constant(flat, tf.string), shape)
    return tf.constant(np.array(flat, dtype=spec.dtype.as_numpy_dtype).reshape(shape))


def _fill(value: Any, level: int, shape: list[int], dtype: str, flat: list[Any]) -> None:
    if isinstance(value, list):
        if level >= len(shape):
            raise Refused(400, f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            said = f"Encountered list at unexpected size: {len(value)} at level: {level}"
            raise Refused(400, f"{said} expected size: {shape[level]}")
        for each in value:
            _fill(each, level + 1, shape, dtype, flat)
        return
    if level != len(shape):
        said = f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
        raise Refused(400, f"JSON Value: {json.dumps(value)} {said}")
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match dtype:
        case "float32" | "float64" if number:
            flat.append(value)
        case "int64" if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
            flat.append(value)
        case "string" if isinstance(value, str):
            flat.append(value.encode())
        case "string" if _is_base64(value):
            try:
                flat.append(base64.b64decode(value["b64"], validate=True))
            except ValueError as cause:
                raise Refused(400, "Unable to base64 decode") from cause
        case "bool" if isinstance(value, bool):
            flat.append(value)
        case _:
            kinds = {type(None): "Null", bool: "True" if value else "False", dict: "Object", str: "String"}
            kind, wanted = kinds.get(type(value), "Number"), {"float32": "float"}.get(dtype, dtype)
            raise Refused(400, f"JSON Value: {json.dumps(value)} Type: {kind} is not of expected type: {wanted}")


def _answer(arrays: dict[str, Any], key: str) -> str:
    plain = {name: _plain(array) for name, array in arrays.items()}
    if len(plain) == 1:
        return json.dumps({key: next(iter(plain.values()))}, indent=4)
    if key == "outputs":
        return json.dumps({key: plain}, indent=4)
    rows = [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
    return json.dumps({key: rows}, indent=4)


def _plain(array: Any) -> Any:
    """Numbers in the fewest digits that are read back as the same float32."""
    if array.dtype.kind == "f":
        return json.loads(json.dumps(array.tolist()), parse_float=lambda text: float(f"{float(text):.9g}"))
    return [value.decode() for value in array.tolist()] if array.dtype.kind in "OS" else array.tolist()


class Handler(BaseHTTPRequestHandler):
    """The REST API."""

    protocol_version = "HTTP/1.1"
    name: str
    models: dict[int, Model]

    def do_GET(self) -> None:
        """Status and metadata."""
        self._respond(self._get)

    def do_POST(self) -> None:
        """Predictions."""
        self._respond(self._post)

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def _get(self, path: str) -> str:
        found = _STATUS.fullmatch(path)
        if not found:
            raise Refused(400, f"Malformed request: GET {path}")
        name, version, label, metadata = found.groups()
        if not name:
            raise Refused(400, "Missing model name in request.")
        if metadata:
            number, model = self._model(name, version, label)
            signatures = sorted(model.loaded.signatures)
            spec = {"name": name, "signature_name": "", "version": str(number)}
            return json.dumps({"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}})
        numbers = [int(version)] if version else sorted(self.models)
        if name != self.name or not set(numbers) <= set(self.models):
            which = f"version {version} of model {name}" if version else f"any versions of model {name}"
            raise Refused(404, f"Could not find {which}")
        fine = {"error_code": "OK", "error_message": ""}
        states = [{"version": str(number), "state": "AVAILABLE", "status": fine} for number in numbers]
        return json.dumps({"model_version_status": states}, indent=1)

    def _post(self, path: str) -> str:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = _PREDICT.fullmatch(path)
        if not found:
            raise Refused(400, f"Malformed request: POST {path}")
        name, version, label, method = found.groups()
        _, model = self._model(name, version, label)
        if method.lower() != "predict":
            raise Refused(400, f"Expected {method} signature method_name")
        return model.predict(body)

    def _model(self, name: str, version: str | None, label: str | None) -> tuple[int, Model]:
        if label:
            raise Refused(400, f"Unrecognized servable version label: {label}")
        number = int(version) if version else max(self.models)
        if name != self.name or number not in self.models:
            asked = f"Specific({name}, {version})" if version else f"Latest({name})"
            raise Refused(404, f"Servable not found for request: {asked}")
        return number, self.models[number]

    def _respond(self, answer: Any) -> None:
        status, text = 200, ""
        if self.path.lower().startswith("/v1/models"):
            try:
                text = answer(self.path.split("?")[0])
            except Refused as cause:
                status, text = cause.status, json.dumps({"error": str(cause)})
        else:
            status = 404
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """Quiet when a client goes away."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no matter of ours."""


def serve(config: str, host: str, port: int) -> None:
    """One server, for ever."""
    name, base, versions = read_config(Path(config).read_text(encoding="utf-8"))
    while not all((base / str(number)).is_dir() for number in versions):
        time.sleep(0.2)
    models = {number: Model(base / str(number)) for number in versions}
    handler = type("Bound", (Handler,), {"name": name, "models": models})
    Server((host, port), handler).serve_forever()


def main() -> None:
    """Forks a server for each line."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    import tensorflow  # noqa: F401 - once, for all that are forked

    print("ready", flush=True)
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            sys.stdin.close()
            try:
                serve(**wanted)
            except BaseException as cause:
                print(f"Failed to start server. Error: {cause}", file=sys.stderr, flush=True)
                os._exit(1)
        print(child, flush=True)


if __name__ == "__main__":
    main()
