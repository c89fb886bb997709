"""The only door to a Kubeflow Pipelines API server: what goes wrong on the way to it, and what is tried again.

`kfp.Client` looks for tokens, cookies, kubeconfigs and a namespace in a dozen places when it is made, may ask
questions, and waits for ever for an answer. Here it is made with what the user has said (`access.py`) and nothing
else; each request has a time limit; and each failure is a `KfpError` that says what to do.
"""

from __future__ import annotations

import json
import random
import re
import ssl
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from components._shared.errors import InputError, SaikiError, masked
from pipelines.cluster.access import Access, Credentials

ANSWER_WITHIN = (10, 60)
"""Seconds to connect, and to wait for the answer."""

_PAUSES = (0.5, 1.0, 2.0)
_LONGEST_PAUSE = 30.0
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_NOT_DONE = (0, 425, 429)
"""Without an answer: only if nothing was sent."""


class KfpError(SaikiError, ConnectionError):
    """The API server did not do what was asked.

    Attributes:
        status: Of HTTP; 0 if there was no answer.
        unsure: The server may have done it all the same.
        passing: It may work a moment later.
    """

    def __init__(
        self, what: str, *, where: str, fix: str, status: int = 0, unsure: bool = False, passing: bool = False
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.status = status
        self.unsure = unsure
        self.passing = passing
        self.pause: float | None = None


class Connection:
    """A server that has answered.

    Attributes:
        client: All that `kfp.Client` can do; its calls raise `KfpError`. Those that create things print links: use the
            methods here, or the generated calls (`client.runs.run_service_create_run`).
        namespace: Where runs and experiments belong; empty on a server for one user.
    """

    def __init__(self, client: Any, endpoint: str, namespace: str, ui: str) -> None:
        self.client = client
        self.endpoint = endpoint
        self.namespace = namespace
        self._ui = (ui or endpoint).rstrip("/")

    def __repr__(self) -> str:
        return f"Connection({masked(self.endpoint)!r}, namespace={self.namespace!r})"

    def link(self, *parts: str) -> str:
        """The page of something in Kubeflow's UI, such as `link("runs", run_id)`."""
        kind, *rest = parts
        return f"{self._ui}/#/{kind}/details/{'/'.join(rest)}"

    def pages(self, call: Callable[..., Any], items: str, **arguments: Any) -> Iterator[Any]:
        """Everything that a list call gives, page by page.

        Args:
            items: The field of the answer that holds a page: `runs`, `recurring_runs`.
        """
        token = ""
        while True:
            answer = call(page_token=token, page_size=100, **arguments)
            yield from getattr(answer, items) or []
            token = answer.next_page_token
            if not token:
                return

    def pipeline_id(self, name: str, description: str) -> str:
        """The pipeline of this name, made if there is none; two that make it at once end with the same one."""
        import kfp_server_api

        pipelines = self.client.pipelines
        wanted = {"namespace": self.namespace} if self.namespace else {}
        for found in self.pages(
            pipelines.pipeline_service_list_pipelines, "pipelines", filter=equals("name", name), **wanted
        ):
            return str(found.pipeline_id)
        pipeline = kfp_server_api.V2beta1Pipeline(name=name, display_name=name, description=description, **wanted)
        try:
            made = pipelines.pipeline_service_create_pipeline(pipeline=pipeline)
        except KfpError as error:
            if not (error.status == 409 or error.unsure):
                raise
            for found in self.pages(
                pipelines.pipeline_service_list_pipelines, "pipelines", filter=equals("name", name), **wanted
            ):
                return str(found.pipeline_id)
            raise
        return str(made.pipeline_id)

    def experiment_id(self, name: str) -> str:
        """The experiment of this name, made if there is none."""
        import kfp_server_api

        experiments = self.client.experiments
        wanted = {"namespace": self.namespace} if self.namespace else {}

        def find() -> str:
            listed = experiments.experiment_service_list_experiments
            for found in self.pages(listed, "experiments", filter=equals("display_name", name), **wanted):
                return str(found.experiment_id)
            return ""

        if found := find():
            return found
        experiment = kfp_server_api.V2beta1Experiment(display_name=name, **wanted)
        try:
            made = experiments.experiment_service_create_experiment(experiment=experiment)
        except KfpError as error:
            if (error.status == 409 or error.unsure) and (found := find()):
                return found
            raise
        return str(made.experiment_id)

    def workflow(self, run_id: str) -> dict[str, Any] | None:
        """Argo's workflow behind a run, which only the older API shows; None if it does not."""
        try:
            answer = json.loads(self._get(f"/apis/v1beta1/runs/{quote(run_id, safe='')}"))
            found = json.loads((answer.get("pipeline_runtime") or {}).get("workflow_manifest") or "null")
        except KfpError as error:
            if error.passing:
                raise
            return None
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def log(self, run_id: str, pod: str) -> str:
        """What a step has printed; empty if it is not to be had."""
        space = f"&podnamespace={quote(self.namespace)}" if self.namespace else ""
        # Of the API server itself, and of Kubeflow's page, which does not hand on the first.
        for path in (
            f"/apis/v1alpha1/runs/{quote(run_id, safe='')}/nodes/{quote(pod, safe='')}/log",
            f"/k8s/pod/logs?podname={quote(pod, safe='')}&runid={quote(run_id, safe='')}{space}",
        ):
            try:
                text = self._get(path)
            except KfpError:
                continue
            # An error comes with status 200, after what was read.
            return text[: found.start()] if (found := re.search(r'\{"error_message":', text)) else text
        return ""

    def _get(self, path: str) -> str:
        api = self.client._run_api.api_client
        answer = api.call_api(path, "GET", _preload_content=False, _return_http_data_only=True)
        return str(answer.data.decode("utf-8", "replace"))


def connect(endpoint: str, *, namespace: str = "", access: Access | None = None, ui: str = "") -> Connection:
    """Reaches the server and asks how it is.

    Args:
        endpoint: URL of the API server, or of the page that it stands behind.
        namespace: Used if the server has many users, who have one each.
        access: Who we are; None: nobody in particular.
        ui: URL that links lead to; empty: the endpoint.

    Raises:
        InputError: The endpoint is not a URL, or a file of the credentials cannot be read.
        KfpError: The server does not answer, or does not let us in.
    """
    access = access or Access()
    url = _checked(access.reached(endpoint, namespace))
    client = _client(url, access)
    answer = client.healthzs.healthz_service_get_healthz()
    if answer.multi_user and not namespace:
        raise InputError(
            "This server has many users, and no namespace is given", where=url, fix="add --namespace YOUR-NAMESPACE"
        )
    client._context_setting["namespace"] = namespace if answer.multi_user else ""
    return Connection(client, url, client._context_setting["namespace"], ui)


def equals(key: str, value: str) -> str:
    """The filter of a list call for what has this value."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})


def _checked(endpoint: str) -> str:
    url = endpoint.strip()
    if url and "://" not in url:
        url = f"https://{url}"
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise InputError(
            "No endpoint of Kubeflow Pipelines is given" if not url else f"'{url}' is not a URL",
            where="--endpoint, or `endpoint` in the settings given as --cluster",
            fix="give one such as https://kubeflow.example.com/pipeline, or http://localhost:8888 while "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline 8888` runs",
        )
    # A link that was copied from the browser: what is after the page's address is not part of it.
    url = url.split("#")[0].rstrip("/")
    return url.removesuffix("/apis/v2beta1").removesuffix("/apis")


def _client(url: str, access: Access) -> Any:
    """A `kfp.Client` that asks nobody for anything, over our own transport."""
    import kfp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        # With a token, a cookie and a namespace it looks for none of them; they are replaced below.
        client = kfp.Client(host=url, existing_token="-", cookies="", namespace="-", ui_host=url)
    client._context_setting = {"namespace": ""}
    api = client._run_api.api_client
    api.default_headers = {"User-Agent": "saiki"}
    configuration = api.configuration
    configuration.retries = False
    settings = access.tls(url)
    configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file = settings
    api.rest_client = _transport(configuration, url, access.credentials(url), access.user)
    return client


def _transport(configuration: Any, url: str, credentials: Credentials, user: str) -> Any:
    """What carries the requests: with time limits, credentials, attempts, and errors that a user can act upon."""
    from kfp_server_api import rest

    class Transport(rest.RESTClientObject):  # type: ignore[misc]
        def request(self, method: str, address: str, headers: Any = None, **arguments: Any) -> Any:
            arguments["_request_timeout"] = arguments.get("_request_timeout") or ANSWER_WITHIN
            renewed = False
            for attempt in range(len(_PAUSES) + 1):
                try:
                    own = credentials.headers() | ({"kubeflow-userid": user} if user else {})
                    kept = {name: value for name, value in (headers or {}).items() if name != "authorization"}
                    return self._once(method, address, kept | own, arguments)
                except KfpError as error:
                    if error.status == 401 and not renewed and credentials.renew():
                        renewed = True
                        continue
                    repeatable = method in ("GET", "HEAD") or (error.status in _NOT_DONE and not error.unsure)
                    if attempt == len(_PAUSES) or not (error.passing and repeatable):
                        raise
                    time.sleep(_pause(error, attempt))
            raise AssertionError("unreachable")

        def _once(self, method: str, address: str, headers: dict[str, str], arguments: dict[str, Any]) -> Any:
            import kfp_server_api
            import urllib3

            try:
                answer = super().request(method, address, headers=headers, **arguments)
            except kfp_server_api.ApiException as cause:
                # Without a status it is a TLS error, of which the generated client keeps the text.
                if not cause.status:
                    raise _unreachable(ssl.SSLError(str(cause.reason)), url, credentials) from None
                raise _refused(cause, address, credentials) from None
            except (urllib3.exceptions.HTTPError, OSError) as cause:
                raise _unreachable(cause, url, credentials) from None
            _check_is_json(answer, url)
            return answer

    return Transport(configuration)


def _pause(error: KfpError, attempt: int) -> float:
    if error.pause is not None:
        return min(error.pause, _LONGEST_PAUSE)
    # A little chance, so that many clients do not come back at the same moment.
    return _PAUSES[attempt] * random.uniform(0.75, 1.25)


def _check_is_json(answer: Any, url: str) -> None:
    headers = getattr(answer, "urllib3_response", answer).headers
    if "html" in headers.get("content-type", ""):
        raise KfpError(
            "A web page answers where the API is expected: most likely one to log in",
            where=url,
            fix=_LOG_IN,
            status=401,
        )


def _unreachable(cause: Exception, url: str, credentials: Credentials) -> KfpError:
    """No answer, or half an answer."""
    import urllib3.exceptions as causes

    reason: Any = getattr(cause, "reason", None) or cause
    host = urlsplit(url).netloc.rsplit("@")[-1]
    fix = "check the endpoint, and that the network (VPN, port-forward) reaches it"
    sent = False
    if isinstance(reason, (causes.SSLError, ssl.SSLError)):
        text = str(reason)
        what = f"{host} cannot be trusted, or does not speak TLS: {_plain(text)}"
        fix = (
            "give the certificate of the authority that signed it as --ca-file"
            if "CERTIFICATE" in text.upper()
            else "check whether the endpoint begins with http:// or https://"
        )
        return KfpError(what, where=url, fix=fix)
    if isinstance(reason, causes.NameResolutionError):
        what = f"There is no host {urlsplit(url).hostname}: its name cannot be resolved"
    elif isinstance(reason, causes.ConnectTimeoutError) and not isinstance(reason, causes.NewConnectionError):
        what = f"{host} does not answer within {ANSWER_WITHIN[0]} seconds"
    elif isinstance(reason, causes.NewConnectionError):
        what = f"{host} cannot be reached: {_plain(str(reason))}"
    elif isinstance(reason, causes.ReadTimeoutError):
        what, sent = f"{host} took the request, but gave no answer within {ANSWER_WITHIN[1]} seconds", True
    else:
        what, sent = f"The connection to {host} broke: {_plain(str(_innermost(reason)))}", True
    return KfpError(credentials.masked(what), where=url, fix=fix, unsure=sent, passing=True)


def _innermost(cause: Any) -> Any:
    inner = cause.args[-1] if getattr(cause, "args", ()) else None
    return _innermost(inner) if isinstance(inner, Exception) else cause


_LOG_IN = (
    "log in again and give the token as --token-file or SAIKI_KFP_TOKEN, a session cookie as SAIKI_KFP_COOKIE, or an "
    "IAP client as --iap-client-id (docs/submit.md)"
)


def _refused(cause: Any, address: str, credentials: Credentials) -> KfpError:
    """An answer that says no."""
    status, (message, known) = int(cause.status or 0), _message(cause.body)
    message = credentials.masked(message)
    said = f": {message}" if message else ""
    match status:
        case 301 | 302 | 303 | 307 | 308:
            here, target = urlsplit(address), urlsplit(str((cause.headers or {}).get("Location", "")))
            what, fix = f"The server sends us to {target.netloc or 'another page'}, most likely to log in", _LOG_IN
            if here.scheme == "http" and target.scheme == "https" and here.hostname == target.hostname:
                what, fix = f"The server wants https: {target.hostname}", "write the endpoint with https://"
        case 401:
            what, fix = f"The server does not know us: the token is missing, wrong or expired{said}", _LOG_IN
        case 403 if "quota" in message.lower():
            what, fix = f"A quota is used up{said}", "wait until other runs are done, or have the quota raised"
        case 403:
            what = f"We are not allowed to do this{said}"
            fix = "check --namespace, and ask its owner for the role kubeflow-edit there"
        case 404 if not known:
            what = "There is no Kubeflow Pipelines API at this address"
            fix = (
                "give the part of the URL that stands before /apis/v2beta1; behind Kubeflow's page it ends in /pipeline"
            )
        case 404:
            what, fix = f"There is no such thing on the server{said}", "check the identifier and the endpoint"
        case 409:
            what, fix = f"There is one of that name already{said}", "choose another name"
        case 429:
            what, fix = f"Too many requests, or a quota is used up{said}", "try again in a few minutes"
        case _ if "exceeded quota" in message:
            what, fix = (
                f"A quota of the namespace is used up{said}",
                "wait until other runs are done, or have it raised",
            )
        case 400 | 413 | 422:
            what, fix = f"The server refuses the request{said}", "correct what it names"
        case _:
            what = f"The server failed (HTTP {status}){said}"
            fix = "try again; if it stays so, look at the log of the ml-pipeline pod"
    error = KfpError(
        what,
        where=address,
        fix=fix,
        status=status,
        # What the API itself calls an internal error it has not done.
        unsure=status in (408, 502, 503, 504) or (status == 500 and not known),
        passing=status in _PASSING and "exceeded quota" not in message,
    )
    wait = str((cause.headers or {}).get("Retry-After", ""))
    error.pause = float(wait) if wait.isdecimal() else None
    return error


def _message(body: Any) -> tuple[str, bool]:
    """What the server says, short, and whether it is the API that says it (and not something on the way to it)."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        found = json.loads(text)
    except ValueError:
        return ("" if "<" in text else _plain(text)), False
    if not isinstance(found, Mapping):
        return "", False
    # `message` holds every layer that the error went through, the details only what is meant for the user. Of an
    # internal error they say nothing.
    details = [each.get("message", "") for each in found.get("details") or [] if isinstance(each, Mapping)]
    outer = str(found.get("message") or found.get("error_message") or found.get("error") or "")
    inner = next((each for each in details if each and each != "Internal Server Error"), "")
    known = "code" in found or "error_message" in found
    return _plain(inner or outer), known and outer != "Not Found"


def _plain(text: str) -> str:
    """One line, without Python's names for it."""
    text = re.sub(r"<[\w.]+ object at 0x[0-9a-f]+>:? ?", "", " ".join(text.split()))
    text = "".join(each for each in text if each.isprintable())
    # The generated client's own wrapping of a TLS error: ('SSLError\\n[SSL: …] wrong version number',)
    text = re.sub(r"^\('SSLError\\n(.*)',\)$", r"\1", text)
    text = re.sub(r"^HTTPS?Connection(?:Pool)?\([^)]*\): ", "", text)
    text = re.sub(r"^Failed to establish a new connection: \[Errno -?\d+\] ", "", text)
    return text if len(text) <= 600 else f"{text[:300]} … {text[-250:]}"
