"""A twin of the Kubeflow Pipelines API server, over HTTP on loopback.

It keeps the contract of the real one (2.17, single-user or multi-user) as far as `kfp.Client` uses it: which requests
are refused and how (status codes, bodies of google.rpc.Status), unique names, the check of pipelines and of run
parameters, filters, sorting and pages, namespaces. It runs nothing: a test says what becomes of a run (`progress`,
`finish`). `tests/cluster` holds the same contract tests against a real server.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.kfp_listing import Columns, ListingError, page, total
from tests.kfp_workflow import Workflow, stamp

Record = dict[str, Any]

POD_NAMESPACE = "kubeflow"
USER_HEADER = "kubeflow-userid"
_FINAL = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
_EPOCH = datetime.fromtimestamp(0, UTC)
_CODES = {"INVALID_ARGUMENT": (3, 400), "NOT_FOUND": (5, 404), "ALREADY_EXISTS": (6, 409)}
_CODES |= {
    "PERMISSION_DENIED": (7, 403),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAUTHENTICATED": (16, 401),
}


class Refusal(Exception):
    """A request that the server does not do.

    Args:
        message: What it is about. The server shows it below the names of all that it went through; of an internal
            error only there.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    def body(self) -> Record:
        """The answer: google.rpc.Status."""
        number, inner = _CODES[self.code][0], "Internal Server Error" if self.code == "INTERNAL" else self.message
        if self.message in ("Not Found", "Method Not Allowed"):
            return {"code": number, "message": self.message, "details": []}
        detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": number, "message": inner}
        kind = {"INVALID_ARGUMENT": "Invalid input error: ", "NOT_FOUND": "ResourceNotFoundError: "}.get(self.code, "")
        return {"code": number, "message": f"Failed to do what was asked: {kind}{self.message}", "details": [detail]}


@dataclass
class Fault:
    """What goes wrong on the way, for the requests that match.

    Attributes:
        method, path: A method, and a regular expression for the path.
        times: For how many requests; after that all is well.
        status, body, content_type, headers: The answer in place of the server's, if `status` is given.
        cut: `before` the server has done what was asked, or `after` it: the connection breaks without an answer.
        delay: Seconds that the answer takes longer.
    """

    method: str
    path: str
    times: int = 1
    status: int = 0
    body: str = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: str = ""
    delay: float = 0.0


class KfpServer:
    """The state of the server, and what a test may do to it.

    Attributes:
        endpoint: Where it answers.
        requests: Method and path of each request that came, in order.
        faults: What goes wrong on the way; see `Fault`.
        token: What must be given as a bearer token, if anything: a proxy in front asks for it.
        prefix: Of all its paths, if it stands behind a page or a proxy.
        users: In multi-user mode: who may use which namespaces.
        now: The server's clock.
        look: Sees the headers of each request.
        asked: Called with its identifier each time that somebody asks for a run, before the answer: what a test lets
            happen meanwhile.
    """

    def __init__(self, *, multi_user: bool = False) -> None:
        self.endpoint = ""
        self.requests: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self.token = ""
        self.prefix = ""
        self.users: dict[str, set[str]] = {}
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.look: Callable[[Message], object] = lambda headers: None
        self.asked: Callable[[str], object] = lambda run_id: None
        self.multi_user = multi_user
        self.pipelines: dict[str, Record] = {}
        self.versions: dict[str, Record] = {}
        self.experiments: dict[str, Record] = {}
        self.runs: dict[str, Record] = {}
        self.recurring_runs: dict[str, Record] = {}
        self.workflows: dict[str, Workflow] = {}
        self.lock = threading.RLock()

    # What becomes of runs

    def progress(self, run_id: str, steps: Mapping[str, str], *, seconds: float = 1.0) -> None:
        """The run is under way; states of its steps by their path in the pipeline (`train`, `condition-1/push`)."""
        with self.lock:
            run, workflow = self.runs[run_id], self.workflows[run_id]
            if run["state"] == "PENDING":
                workflow.begin()
                self._move(run, "RUNNING")
            for path, state in steps.items():
                self._branches(workflow, path)
                workflow.step(path, state, began=self.now(), seconds=seconds)

    def fail_step(self, run_id: str, path: str, *, message: str = "Error (exit code 1)", log: str = "") -> None:
        """A step fails: the message is Argo's, the log its pod's."""
        with self.lock:
            self.progress(run_id, {})
            workflow = self.workflows[run_id]
            self._branches(workflow, path)
            workflow.step(path, "FAILED", began=self.now(), message=message, log=log)

    def finish(self, run_id: str, state: str = "SUCCEEDED") -> None:
        """The run ends."""
        with self.lock:
            self.progress(run_id, {})
            run = self.runs[run_id]
            self._move(run, state)
            run["finished_at"] = stamp(self.now())
            self.workflows[run_id].finish("Succeeded" if state == "SUCCEEDED" else "Failed", self.now())

    def start_scheduled_run(self, recurring_run_id: str, *, index: int, scheduled_at: datetime) -> str:
        """What the controller of schedules does when a recurring run is due: a run of its version and parameters.

        A second call with the same index finds the run of the first.

        Returns:
            The run's identifier.
        """
        with self.lock:
            job = self.recurring_runs[recurring_run_id]
            name = f"{job['_k8s_name']}-{index}"
            for run in self.runs.values():
                if (run["recurring_run_id"], run["display_name"]) == (recurring_run_id, name):
                    return str(run["run_id"])
            run = self._new_run({**job, "display_name": name, "description": ""}, job["_template"])
            run["recurring_run_id"] = recurring_run_id
            run["scheduled_at"] = stamp(scheduled_at)
            return str(run["run_id"])

    def active_runs(self, recurring_run_id: str) -> list[str]:
        """Runs of a recurring run that have not ended."""
        with self.lock:
            runs = [run for run in self.runs.values() if run["recurring_run_id"] == recurring_run_id]
            return [run["run_id"] for run in runs if run["state"] not in _FINAL]

    @staticmethod
    def _branches(workflow: Workflow, path: str) -> None:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            workflow.branch("/".join(parts[:depth]), "Running", began=workflow.began)

    def _move(self, run: Record, state: str) -> None:
        run["state"] = state
        run["state_history"] = [*run["state_history"], {"update_time": stamp(self.now()), "state": state}]

    # What a request does. `handle` finds the method by its route.

    def handle(self, method: str, path: str, query: dict[str, str], body: bytes, headers: Message) -> tuple[int, Any]:
        """Does what a request asks for: status, and what is answered."""
        for verb, pattern, name in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and verb == method:
                call: Callable[..., Any] = getattr(self, name)
                with self.lock:
                    user = headers.get(USER_HEADER, "")
                    return 200, call(Request(query, body, headers, user), *found.groups())
        if any(re.fullmatch(pattern, path) for _, pattern, _ in _ROUTES):
            raise Refusal("UNIMPLEMENTED", "Method Not Allowed")
        raise Refusal("NOT_FOUND", "Not Found")

    def healthz(self, request: Request) -> Record:
        # Not protobuf: no field is left out.
        return {
            "commit_sha": "unknown",
            "tag_name": "2.17.0",
            "multi_user": self.multi_user,
            "pipeline_store": "database",
        }

    def create_pipeline(self, request: Request) -> Record:
        given = request.message(kfp_server_api.V2beta1Pipeline)
        name = given.get("name") or given.get("display_name") or ""
        _length("Pipeline.Name", name, 128, code="INTERNAL")
        namespace = self._namespace(request, given.get("namespace", ""), shared=True)
        if not name:
            raise Refusal("INVALID_ARGUMENT", "name is required")
        return _shown(self._new_pipeline(name, given, namespace))

    def upload_pipeline(self, request: Request) -> Record:
        text, file_name = request.upload("Failed to read pipeline from file")
        namespace = self._namespace(request, request.query.get("namespace", ""), shared=True)
        template = parse_template(text)
        name = request.query.get("name") or request.query.get("display_name") or file_name
        if len(name) > 128:
            raise PlainRefusal("Pipeline.Name length cannot exceed 128")
        pipeline = self._new_pipeline(name, {"description": request.query.get("description", "")}, namespace)
        self._new_version(pipeline["pipeline_id"], name, request.query, template)
        return _shown(pipeline)

    def upload_version(self, request: Request) -> Record:
        text, file_name = request.upload("Failed to create a pipeline version")
        pipeline_id = request.query.get("pipelineid", "")
        name = request.query.get("name") or request.query.get("display_name") or file_name
        if len(name) > 127:
            raise PlainRefusal("PipelineVersion.Name length cannot exceed 127")
        if pipeline_id not in self.pipelines:
            raise UploadRefusal(400, "Failed to create a pipeline version")
        self._namespace(request, self.pipelines[pipeline_id]["namespace"], shared=True)
        return _shown(self._new_version(pipeline_id, name, request.query, parse_template(text)))

    def get_pipeline(self, request: Request, pipeline_id: str) -> Record:
        return _shown(_find(self.pipelines, pipeline_id, "Pipeline"))

    def get_pipeline_by_name(self, request: Request, name: str) -> Record:
        namespace = self._namespace(request, request.query.get("namespace", ""), shared=True)
        for found in self.pipelines.values():
            if (found["name"], found["namespace"]) == (name, namespace):
                return _shown(found)
        raise Refusal("NOT_FOUND", f"Namespace/Pipeline {namespace}/{name} not found")

    def list_pipelines(self, request: Request) -> Record:
        namespace = self._namespace(request, request.query.get("namespace", ""), shared=True)
        found = [each for each in self.pipelines.values() if each["namespace"] == namespace]
        return _listed("pipelines", found, _PIPELINE_COLUMNS, request.query, "pipeline_id")

    def delete_pipeline(self, request: Request, pipeline_id: str) -> Record:
        _find(self.pipelines, pipeline_id, "Pipeline")
        versions = [key for key, each in self.versions.items() if each["pipeline_id"] == pipeline_id]
        if versions and request.query.get("cascade", "").lower() != "true":
            raise Refusal(
                "INVALID_ARGUMENT",
                f"Failed to delete pipeline with id {pipeline_id} as it has existing pipeline "
                f"versions (e.g. {versions[-1]}). Set cascade=true to delete all versions",
            )
        for key in versions:
            del self.versions[key]
        del self.pipelines[pipeline_id]
        return {}

    def get_version(self, request: Request, pipeline_id: str, version_id: str) -> Record:
        # The real server asks for the version alone, whatever the pipeline in the path.
        return _shown(_find(self.versions, version_id, "PipelineVersion"))

    def list_versions(self, request: Request, pipeline_id: str) -> Record:
        found = [each for each in self.versions.values() if each["pipeline_id"] == pipeline_id]
        return _listed("pipeline_versions", found, _VERSION_COLUMNS, request.query, "pipeline_version_id")

    def delete_version(self, request: Request, pipeline_id: str, version_id: str) -> Record:
        del self.versions[_find(self.versions, version_id, "PipelineVersion")["pipeline_version_id"]]
        return {}

    def create_experiment(self, request: Request) -> Record:
        given = request.message(kfp_server_api.V2beta1Experiment)
        name = given.get("display_name", "")
        if not name:
            raise Refusal("INTERNAL", "Experiment must have a non-empty name")
        _length("Experiment.Name", name, 128, code="INTERNAL")
        namespace = self._namespace(request, given.get("namespace", ""))
        if any((each["display_name"], each["namespace"]) == (name, namespace) for each in self.experiments.values()):
            raise Refusal(
                "ALREADY_EXISTS",
                f"Failed to create a new experiment. The name {name} already exists. Please specify a new name",
            )
        return _shown(self.new_experiment(name, given.get("description", ""), namespace))

    def get_experiment(self, request: Request, experiment_id: str) -> Record:
        found = _find(self.experiments, experiment_id, "Experiment")
        self._namespace(request, found["namespace"])
        return _shown(found)

    def list_experiments(self, request: Request) -> Record:
        namespace = self._namespace(request, request.query.get("namespace", ""))
        found = [each for each in self.experiments.values() if not namespace or each["namespace"] == namespace]
        return _listed("experiments", found, _EXPERIMENT_COLUMNS, request.query, "experiment_id")

    def delete_experiment(self, request: Request, experiment_id: str) -> Record:
        del self.experiments[_find(self.experiments, experiment_id, "Experiment")["experiment_id"]]
        return {}

    def archive_experiment(self, request: Request, experiment_id: str, verb: str) -> Record:
        found = _find(self.experiments, experiment_id, "Experiment")
        found["storage_state"] = "ARCHIVED" if verb == "archive" else "AVAILABLE"
        if verb == "archive":
            for run in self.runs.values():
                if run["experiment_id"] == experiment_id:
                    run["storage_state"] = "ARCHIVED"
            for job in self.recurring_runs.values():
                if job["experiment_id"] == experiment_id:
                    job |= {"mode": "DISABLE", "status": "DISABLED"}
        return {}

    def create_run(self, request: Request) -> Record:
        given = request.message(kfp_server_api.V2beta1Run)
        if not given.get("display_name"):
            raise Refusal("INTERNAL", "Run name cannot be empty")
        given["experiment_id"] = self._experiment(request, given.get("experiment_id", ""))
        template = self._template(given)
        check_parameters(template, _parameters(given))
        return _shown(self._new_run(given, template))

    def get_run(self, request: Request, run_id: str) -> Record:
        run = self._own(request, self.runs, run_id, "Run")
        self.asked(run_id)
        details = self.workflows[run_id].task_details(run_id)
        return _shown({**run, "run_details": {"task_details": [_shown(each) for each in details]} if details else None})

    def get_run_v1(self, request: Request, run_id: str) -> Record:
        run = self._own(request, self.runs, run_id, "Run")
        shown = {"id": run_id, "name": run["display_name"]}
        return {"run": shown, "pipeline_runtime": {"workflow_manifest": self.workflows[run_id].manifest()}}

    def read_log(self, request: Request, run_id: str, pod: str) -> str:
        # The status is sent before the log is looked for: an error is an answer with status 200.
        log = self.workflows[run_id].logs.get(pod) if run_id in self.runs else None
        if log is None:
            return json.dumps({"error_message": f"Failed to read logs for run {run_id}", "error_details": pod})
        return log

    def list_runs(self, request: Request) -> Record:
        found = self._listable(request, self.runs)
        return _listed("runs", found, _RUN_COLUMNS, request.query, "run_id")

    def delete_run(self, request: Request, run_id: str) -> Record:
        del self.runs[self._own(request, self.runs, run_id, "Run")["run_id"]]
        return {}

    def change_run(self, request: Request, run_id: str, verb: str) -> Record:
        run = self._own(request, self.runs, run_id, "Run")
        if verb == "terminate":
            if run["state"] in (*_FINAL, "CANCELING"):
                raise Refusal("INVALID_ARGUMENT", f"Failed to terminate a run {run_id}. Row not found")
            self._move(run, "CANCELING")
        else:
            run["storage_state"] = "ARCHIVED" if verb == "archive" else "AVAILABLE"
        return {}

    def create_recurring_run(self, request: Request) -> Record:
        given = request.message(kfp_server_api.V2beta1RecurringRun)
        if not given.get("display_name"):
            raise Refusal("INTERNAL", "Recurring run's name cannot be empty")
        _check_trigger(given)
        given["experiment_id"] = self._experiment(request, given.get("experiment_id", ""))
        template = self._template(given)
        check_parameters(template, _parameters(given))
        enabled = given.get("mode") == "ENABLE"
        namespace = self.experiments[given["experiment_id"]]["namespace"] or POD_NAMESPACE
        key, moment = str(uuid.uuid4()), stamp(self.now())
        self.recurring_runs[key] = {
            **_source(given),
            "recurring_run_id": key,
            "display_name": given["display_name"],
            "description": given.get("description", ""),
            "service_account": given.get("service_account") or self._default_account(),
            "runtime_config": _runtime_config(given),
            "max_concurrency": str(int(given.get("max_concurrency", 0))),
            "trigger": _shown_trigger(given.get("trigger") or {}),
            "mode": "ENABLE" if enabled else "DISABLE",
            "status": "ENABLED" if enabled else "DISABLED",
            "no_catchup": bool(given.get("no_catchup")),
            "created_at": moment,
            "updated_at": moment,
            "namespace": namespace,
            "experiment_id": given["experiment_id"],
            "_template": template,
            "_k8s_name": f"{_k8s_name(given['display_name'])}{key[:5]}",
        }
        return _shown(self.recurring_runs[key])

    def get_recurring_run(self, request: Request, key: str) -> Record:
        return _shown(self._own(request, self.recurring_runs, key, "Job"))

    def list_recurring_runs(self, request: Request) -> Record:
        found = self._listable(request, self.recurring_runs)
        return _listed("recurringRuns", found, _JOB_COLUMNS, request.query, "recurring_run_id")

    def change_recurring_run(self, request: Request, key: str, verb: str) -> Record:
        found = self._own(request, self.recurring_runs, key, "Job")
        found |= {"mode": verb.upper(), "status": f"{verb.upper()}D", "updated_at": stamp(self.now())}
        return {}

    def delete_recurring_run(self, request: Request, key: str) -> Record:
        self._own(request, self.recurring_runs, key, "Job")
        if request.query.get("propagation_policy") != "ORPHAN":
            # Kubernetes removes what belongs to the schedule: also the workflow of a run that is under way.
            for run_id in self.active_runs(key):
                self._move(self.runs[run_id], "FAILED")
        del self.recurring_runs[key]
        return {}

    # What the requests share

    def _namespace(self, request: Request, namespace: str, *, shared: bool = False) -> str:
        """The namespace that counts: none in single-user mode; else one that the user may use.

        Args:
            shared: Pipelines without a namespace are everybody's.
        """
        if not self.multi_user:
            return ""
        if not namespace and shared:
            return ""
        if not namespace:
            raise Refusal("INVALID_ARGUMENT", "Namespace cannot be empty")
        if not request.user:
            raise Refusal(
                "UNAUTHENTICATED", "Failed to check authorization. User identity is empty in the request header"
            )
        if namespace not in self.users.get(request.user, set()):
            raise Refusal(
                "PERMISSION_DENIED", f"User '{request.user}' is not authorized with reason: (namespace: {namespace})"
            )
        return namespace

    def _own(self, request: Request, kept: Mapping[str, Record], key: str, kind: str) -> Record:
        found = _find(kept, key, kind)
        self._namespace(request, self.experiments.get(found["experiment_id"], {}).get("namespace", ""))
        return found

    def _listable(self, request: Request, kept: Mapping[str, Record]) -> list[Record]:
        experiment_id = request.query.get("experiment_id", "")
        if experiment_id:
            self._namespace(request, _find(self.experiments, experiment_id, "Experiment")["namespace"])
            return [each for each in kept.values() if each["experiment_id"] == experiment_id]
        namespace = self._namespace(request, request.query.get("namespace", ""))
        mine = {key for key, each in self.experiments.items() if not namespace or each["namespace"] == namespace}
        return [each for each in kept.values() if each["experiment_id"] in mine]

    def _experiment(self, request: Request, experiment_id: str) -> str:
        if experiment_id:
            self._namespace(request, _find(self.experiments, experiment_id, "Experiment")["namespace"])
            return experiment_id
        if self.multi_user:
            raise Refusal("INVALID_ARGUMENT", "Experiment id can not be empty in multi-user mode")
        for key, found in self.experiments.items():
            if found["display_name"] == "Default":
                return key
        return str(
            self.new_experiment("Default", "All runs created without specifying an experiment", "")["experiment_id"]
        )

    def _default_account(self) -> str:
        return "default-editor" if self.multi_user else "pipeline-runner"

    def _template(self, given: Record) -> Record:
        """The pipeline that is named. One that is not there is an internal error, as in the real server."""
        reference = given.get("pipeline_version_reference") or {}
        pipeline_id, version_id = reference.get("pipeline_id", ""), reference.get("pipeline_version_id", "")
        if version_id:
            version = self.versions.get(version_id)
            if version is None or (pipeline_id and version["pipeline_id"] != pipeline_id):
                raise Refusal("INTERNAL", f"PipelineVersion {version_id} not found")
        elif pipeline_id:
            versions = [each for each in self.versions.values() if each["pipeline_id"] == pipeline_id]
            if not versions:
                raise Refusal("INTERNAL", f"PipelineVersion {pipeline_id} not found")
            version = versions[-1]
            # Of a recurring run the version stays open: each of its runs takes the latest.
        elif given.get("pipeline_spec"):
            spec = given["pipeline_spec"]
            documents = [spec["pipeline_spec"], spec.get("platform_spec")] if "pipeline_spec" in spec else [spec]
            return parse_template(yaml.safe_dump_all([each for each in documents if each]).encode(), code="INTERNAL")
        else:
            raise Refusal("INTERNAL", "Failed to fetch a template with an empty pipeline spec manifest")
        template: Record = version["_template"]
        return template

    def _new_pipeline(self, name: str, given: Mapping[str, Any], namespace: str) -> Record:
        if any((each["name"], each["namespace"]) == (name, namespace) for each in self.pipelines.values()):
            raise Refusal(
                "ALREADY_EXISTS",
                f"Failed to create a new pipeline. The name {name} already exists. Please specify a new name",
            )
        key = str(uuid.uuid4())
        self.pipelines[key] = {
            "pipeline_id": key,
            "name": name,
            "display_name": given.get("display_name") or name,
            "description": given.get("description", ""),
            "created_at": stamp(self.now()),
            "namespace": namespace,
        }
        return self.pipelines[key]

    def _new_version(self, pipeline_id: str, name: str, query: Mapping[str, str], template: Record) -> Record:
        if any((each["name"], each["pipeline_id"]) == (name, pipeline_id) for each in self.versions.values()):
            raise Refusal(
                "ALREADY_EXISTS",
                f"Failed to create a new pipeline version. The name {name} already exist. Specify a new name",
            )
        key = str(uuid.uuid4())
        self.versions[key] = {
            "pipeline_id": pipeline_id,
            "pipeline_version_id": key,
            "name": name,
            "display_name": query.get("display_name") or name,
            "description": query.get("description", ""),
            "created_at": stamp(self.now()),
            "pipeline_spec": template["shown"],
            "_template": template,
        }
        return self.versions[key]

    def new_experiment(self, name: str, description: str, namespace: str) -> Record:
        key = str(uuid.uuid4())
        self.experiments[key] = {
            "experiment_id": key,
            "display_name": name,
            "description": description,
            "created_at": stamp(self.now()),
            "last_run_created_at": stamp(_EPOCH),
            "namespace": namespace,
            "storage_state": "AVAILABLE",
        }
        return self.experiments[key]

    def _new_run(self, given: Mapping[str, Any], template: Record) -> Record:
        key, moment = str(uuid.uuid4()), stamp(self.now())
        self.runs[key] = {
            **_source(given),
            "experiment_id": given["experiment_id"],
            "run_id": key,
            "recurring_run_id": "",
            "display_name": given["display_name"],
            "description": given.get("description", ""),
            "service_account": given.get("service_account") or self._default_account(),
            "runtime_config": _runtime_config(given),
            "storage_state": "AVAILABLE",
            "state": "PENDING",
            "state_history": [{"update_time": moment, "state": "PENDING"}],
            "created_at": moment,
            "scheduled_at": moment,
            "finished_at": stamp(_EPOCH),
            "_template": template,
        }
        self.workflows[key] = Workflow(f"{template['name']}-{key[:5]}", self.now())
        self.experiments[given["experiment_id"]]["last_run_created_at"] = moment
        return self.runs[key]


@dataclass
class Request:
    """A request, as the methods of the server read it."""

    query: dict[str, str]
    body: bytes
    headers: Message
    user: str

    def message(self, model: Any) -> Record:
        """The JSON of a message; a field that it does not have is refused, as protobuf's JSON reader does."""
        try:
            found = json.loads(self.body or b"{}")
        except ValueError as cause:
            raise Refusal("INVALID_ARGUMENT", f"proto: syntax error: {cause}") from cause
        if not isinstance(found, dict):
            raise Refusal("INVALID_ARGUMENT", "proto: syntax error: unexpected token")
        unknown = set(found) - set(model.attribute_map.values())
        if unknown:
            raise Refusal("INVALID_ARGUMENT", f'proto: (line 1:2): unknown field "{min(unknown)}"')
        return {name: value for name, value in found.items() if value is not None}

    def upload(self, problem: str) -> tuple[bytes, str]:
        """Content and name of the uploaded file."""
        head = f"Content-Type: {self.headers.get('Content-Type', '')}\r\n\r\n".encode()
        for part in message_from_bytes(head + self.body).walk():
            name, content = part.get_filename() or "", part.get_payload(decode=True)
            wanted = part.get_param("name", header="content-disposition") == "uploadfile"
            if wanted and name.endswith((".yaml", ".yml", ".json")) and isinstance(content, bytes):
                return content, name
        raise UploadRefusal(400, problem)


class UploadRefusal(Exception):
    """Uploads do not go through the gateway: their errors have another body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class PlainRefusal(Exception):
    """An error in plain text."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def parse_template(text: bytes, *, code: str = "INVALID_ARGUMENT") -> Record:
    """A compiled pipeline, checked as the server checks it: name, parameters, and how the API shows it."""

    def refuse(problem: str) -> Refusal:
        return Refusal(code, f"invalid v2 pipeline spec: {problem}")

    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as cause:
        raise refuse(f"unable to decode yaml document: {cause}") from cause
    specs = [each for each in documents if isinstance(each, dict) and "pipelineInfo" in each]
    platforms = [each for each in documents if isinstance(each, dict) and "platforms" in each]
    if len(specs) != 1 or len(platforms) > 1:
        raise refuse("no pipeline spec is provided" if not specs else "multiple pipeline or platform specs provided")
    try:
        spec = json_format.ParseDict(specs[0], pipeline_spec_pb2.PipelineSpec())
        if platforms:
            json_format.ParseDict(platforms[0], pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as cause:
        raise refuse(str(cause)) from cause
    if spec.schema_version != "2.1.0":
        raise refuse(f"KFP only supports schema version 2.1.0, but the pipeline spec has version {spec.schema_version}")
    name = spec.pipeline_info.name
    if not name or len(name) > 128 or not re.fullmatch(r"[a-z0-9][-a-z0-9]*", name):
        raise refuse(
            "name is empty"
            if not name
            else "pipeline's name must contain only lowercase alphanumeric characters or '-'"
        )
    if not spec.HasField("root"):
        raise refuse("root component is empty")
    shown = {"pipeline_spec": specs[0], "platform_spec": platforms[0]} if platforms else specs[0]
    return {"name": name, "parameters": dict(spec.root.input_definitions.parameters), "shown": shown}


def check_parameters(template: Record, given: Mapping[str, Any]) -> None:
    """Run parameters must be those of the pipeline, with values of their types."""
    kinds = pipeline_spec_pb2.ParameterType
    types: dict[int, tuple[type, ...]] = {kinds.NUMBER_DOUBLE: (int, float), kinds.NUMBER_INTEGER: (int, float)}
    types |= {kinds.STRING: (str,), kinds.BOOLEAN: (bool,), kinds.LIST: (list,), kinds.STRUCT: (dict,)}
    for name, spec in template["parameters"].items():
        if name not in given:
            if not spec.is_optional and not spec.HasField("default_value"):
                problem = f"parameter {name} is not optional, yet has neither default value nor user provided value"
                raise Refusal("INVALID_ARGUMENT", f"{problem}")
            continue
        value, wanted = given[name], types[spec.parameter_type]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            kind = kinds.ParameterTypeEnum.Name(spec.parameter_type).lower()
            problem = f"input parameter {name} requires type {kind}, but the parameter value is not of that type"
            raise Refusal("INVALID_ARGUMENT", f"{problem}")
    extra = [name for name in given if name not in template["parameters"]]
    if extra:
        problem = f"parameter(s) provided are not required by pipeline: {', '.join(extra)}"
        raise Refusal("INVALID_ARGUMENT", f"{problem}")


def _check_trigger(given: Record) -> None:
    concurrency = int(given.get("max_concurrency", 0))
    if not 1 <= concurrency <= 10:
        raise Refusal(
            "INVALID_ARGUMENT",
            f"Max concurrency of a recurring run must be at least 1 and at most 10. Received {concurrency}",
        )
    trigger = given.get("trigger") or {}
    cron = (trigger.get("cron_schedule") or {}).get("cron")
    if cron is not None and (problem := _cron_problem(cron)):
        raise Refusal(
            "INVALID_ARGUMENT",
            f"Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron). Error: {problem}",
        )
    periodic = trigger.get("periodic_schedule")
    if periodic is not None and int(periodic.get("interval_second", 0)) < 1:
        raise Refusal("INVALID_ARGUMENT", "Found invalid period schedule interval")


def _cron_problem(cron: str) -> str:
    """Why the real server's library does not read it; empty: it does.

    Five fields are taken too, as seconds, minutes, hours, days, months: a trap.
    """
    fields = cron.split()
    if cron.startswith("@"):
        known = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
        return "" if cron in known or cron.startswith("@every ") else f"Unrecognized descriptor: {cron}"
    if len(fields) not in (5, 6):
        return f"Expected 5 to 6 fields, found {len(fields)}: {cron}"
    for text, (lowest, highest) in zip(fields, ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6)), strict=False):
        for part in text.split(","):
            if not (found := re.fullmatch(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?", part)):
                return f"Failed to parse: {part}"
            for bound in found.groups()[:2]:
                if bound and bound.isdecimal() and not lowest <= int(bound) <= highest:
                    return f"Value ({bound}) out of range ({lowest} to {highest}): {part}"
    return ""


def _shown_trigger(trigger: Record) -> Record:
    shown = {}
    for name in ("cron_schedule", "periodic_schedule"):
        if trigger.get(name):
            shown[name] = {key: value for key, value in trigger[name].items() if value is not None}
            if "interval_second" in shown[name]:
                shown[name]["interval_second"] = str(shown[name]["interval_second"])
            break
    return shown


def _parameters(given: Mapping[str, Any]) -> Record:
    return dict((given.get("runtime_config") or {}).get("parameters") or {})


def _runtime_config(given: Mapping[str, Any]) -> Record | None:
    parameters, root = _parameters(given), (given.get("runtime_config") or {}).get("pipeline_root")
    kept = {"parameters": parameters} if parameters else {}
    return {**kept, **({"pipeline_root": root} if root else {})} or None


def _source(given: Mapping[str, Any]) -> Record:
    reference = given.get("pipeline_version_reference")
    return {"pipeline_version_reference": reference} if reference else {"pipeline_spec": given.get("pipeline_spec")}


def _k8s_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())[:25]


def _length(what: str, text: str, limit: int, *, code: str) -> None:
    if len(text) > limit:
        raise Refusal(code, f"{what} length cannot exceed {limit}")


def _find(kept: Mapping[str, Record], key: str, kind: str) -> Record:
    if key not in kept:
        raise Refusal("NOT_FOUND", f"{kind} {key} not found")
    return kept[key]


def _shown(record: Mapping[str, Any]) -> Record:
    """As protobuf writes JSON: what is empty, zero or false is left out."""
    return {
        name: value for name, value in record.items() if not name.startswith("_") and value not in ("", 0, None, [], {})
    }


def _listed(what: str, found: list[Record], columns: Columns, query: dict[str, str], key: str) -> Record:
    try:
        some, following = page(found, columns, query, key)
        count = total(found, columns, query)
    except ListingError as cause:
        raise Refusal("INVALID_ARGUMENT", f"{cause}") from cause
    return _shown({what: [_shown(each) for each in some], "total_size": count, "next_page_token": following})


def _columns(key: str, *names: str, **others: str) -> Columns:
    moments = ("created_at", "updated_at", "finished_at", "scheduled_at", "last_run_created_at")
    sources = {"id": key, key: key, "name": "name", **{name: name for name in names}, **others}

    def reader(column: str) -> Callable[[Record], Any]:
        return lambda record: _seconds(record[column]) if column in moments else record.get(column, "")

    return {name: reader(column) for name, column in sources.items()}


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


_SHARED = ("display_name", "created_at", "description")
_PIPELINE_COLUMNS = _columns("pipeline_id", *_SHARED, "namespace")
_VERSION_COLUMNS = _columns("pipeline_version_id", *_SHARED)
_EXPERIMENT_COLUMNS = _columns(
    "experiment_id", *_SHARED, "last_run_created_at", "namespace", "storage_state", name="display_name"
)
_RUN_COLUMNS = _columns(
    "run_id", *_SHARED, "finished_at", "scheduled_at", "storage_state", "experiment_id", "state", "recurring_run_id",
    name="display_name",
)  # fmt: skip
_JOB_COLUMNS = _columns("recurring_run_id", *_SHARED, "updated_at", name="display_name")

_API, _ID = "/apis/v2beta1", "([^/:]+)"
_ROUTES = [
    ("GET", f"{_API}/healthz", "healthz"),
    ("POST", f"{_API}/pipelines/upload", "upload_pipeline"),
    ("POST", f"{_API}/pipelines/upload_version", "upload_version"),
    ("POST", f"{_API}/pipelines", "create_pipeline"),
    ("GET", f"{_API}/pipelines", "list_pipelines"),
    ("GET", f"{_API}/pipelines/names/([^/]+)", "get_pipeline_by_name"),
    ("GET", f"{_API}/pipelines/{_ID}", "get_pipeline"),
    ("DELETE", f"{_API}/pipelines/{_ID}", "delete_pipeline"),
    ("GET", f"{_API}/pipelines/{_ID}/versions", "list_versions"),
    ("GET", f"{_API}/pipelines/{_ID}/versions/{_ID}", "get_version"),
    ("DELETE", f"{_API}/pipelines/{_ID}/versions/{_ID}", "delete_version"),
    ("POST", f"{_API}/experiments", "create_experiment"),
    ("GET", f"{_API}/experiments", "list_experiments"),
    ("GET", f"{_API}/experiments/{_ID}", "get_experiment"),
    ("DELETE", f"{_API}/experiments/{_ID}", "delete_experiment"),
    ("POST", f"{_API}/experiments/{_ID}:(archive|unarchive)", "archive_experiment"),
    ("POST", f"{_API}/runs", "create_run"),
    ("GET", f"{_API}/runs", "list_runs"),
    ("GET", f"{_API}/runs/{_ID}", "get_run"),
    ("DELETE", f"{_API}/runs/{_ID}", "delete_run"),
    ("POST", f"{_API}/runs/{_ID}:(terminate|archive|unarchive)", "change_run"),
    ("GET", f"/apis/v1beta1/runs/{_ID}", "get_run_v1"),
    ("GET", f"/apis/v1alpha1/runs/{_ID}/nodes/{_ID}/log", "read_log"),
    ("POST", f"{_API}/recurringruns", "create_recurring_run"),
    ("GET", f"{_API}/recurringruns", "list_recurring_runs"),
    ("GET", f"{_API}/recurringruns/{_ID}", "get_recurring_run"),
    ("DELETE", f"{_API}/recurringruns/{_ID}", "delete_recurring_run"),
    ("POST", f"{_API}/recurringruns/{_ID}:(enable|disable)", "change_recurring_run"),
]


class _Handler(BaseHTTPRequestHandler):
    twin: KfpServer
    protocol_version = "HTTP/1.1"

    def handle_one_method(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.twin.look(self.headers)
        with self.twin.lock:
            self.twin.requests.append((self.command, address.path))
            fault = next((each for each in self.twin.faults if self._hit(each, address.path)), None)
            if fault:
                fault.times -= 1
        if fault and fault.cut == "before":
            return self._cut()
        if fault and fault.delay:
            time.sleep(fault.delay)
        if fault and fault.status:
            return self._answer(fault.status, fault.body.encode(), fault.content_type, fault.headers)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        path = address.path.removeprefix(self.twin.prefix) if address.path.startswith(self.twin.prefix) else "/"
        status, answer = self._do(path, query, body)
        if fault and fault.cut == "after":
            return self._cut()
        plain = isinstance(answer, str)
        content = answer.encode() if plain else json.dumps(answer).encode()
        self._answer(status, content, "text/plain; charset=utf-8" if plain else "application/json", {})

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = handle_one_method

    def _do(self, path: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        if self.twin.token and self.headers.get("Authorization") != f"Bearer {self.twin.token}":
            return 401, "Jwt is not in the form of Header.Payload.Signature or is expired\n"
        if not path.startswith("/apis/"):
            return 404, "404 page not found\n"
        try:
            return self.twin.handle(self.command, path, query, body, self.headers)
        except PlainRefusal as refusal:
            return refusal.status, f"{refusal}\n"
        except UploadRefusal as refusal:
            return refusal.status, {"error_message": str(refusal), "error_details": str(refusal)}
        except Refusal as refusal:
            status = _CODES[refusal.code][1]
            if path.startswith(f"{_API}/pipelines/upload"):
                known = (
                    "Failed to create a pipeline version"
                    if "version" in path
                    else "Failed to create a pipeline and a pipeline version"
                )
                text = refusal.message if status == 400 else known
                return status, {"error_message": text, "error_details": text}
            return status, refusal.body()

    def _hit(self, fault: Fault, path: str) -> bool:
        return fault.times > 0 and fault.method == self.command and bool(re.search(fault.path, path))

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _answer(self, status: int, content: bytes, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: tests read `requests`."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is nothing to tell."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def handler_of(twin: KfpServer) -> type[BaseHTTPRequestHandler]:
    """What answers the requests of an HTTP server."""
    return type("Handler", (_Handler,), {"twin": twin})


@contextmanager
def kfp_server(*, multi_user: bool = False) -> Iterator[KfpServer]:
    """A server on loopback, for as long as the block lasts."""
    twin = KfpServer(multi_user=multi_user)
    with _Server(("127.0.0.1", 0), handler_of(twin)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        twin.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield twin
        finally:
            server.shutdown()
            thread.join()
