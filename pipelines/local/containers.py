"""Runs each task of a local run in a container of its image, and as little else is there as on a cluster.

The root file system is read-only, only `/tmp` can be written to, all privileges are dropped, and there is no network
unless the run needs one. Folders of the run are seen at the same path as here, and files that a step writes in them are
the caller's. kfp.local's DockerRunner orchestrates; Docker and Podman answer it.
"""

from __future__ import annotations

import collections
import contextlib
import ipaddress
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from components._shared.contract import load_yaml
from components._shared.errors import InputError
from components._shared.image import ENVIRONMENT_OF, image_of
from components.plan.sources import absolute, relative_to
from pipelines.images.build import ImageError, limits
from pipelines.local.environment import variable
from pipelines.local.worker import ERROR_FILE

_HANDED_ON = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_EC2_METADATA_DISABLED",
    "GOOGLE_CLOUD_PROJECT",
    "STORAGE_EMULATOR_HOST",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_FILES_HANDED_ON = ("GOOGLE_APPLICATION_CREDENTIALS", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_ADDRESSES = ("STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTPS_PROXY", "https_proxy")

_LAST_LINES = 400
_PATIENCE = 600
"""Seconds in which the engine has to answer; a step that is silent for longer is waited for."""

_IDLE = 60
"""Seconds after which a Podman service ends that nobody asks anything any more."""

_BEGINS = re.compile(r"^components\._shared\.errors\.(?=\w+: )", re.MULTILINE)
_OURS = re.compile(
    r"(?P<kind>\w+): (?P<what>.*?)(?:\n  where: (?P<where>.*?))?(?:\n  do:    (?P<fix>.*?))?\s*\Z", re.DOTALL
)


@dataclass(frozen=True)
class Surroundings:
    """What the containers of a run see of this machine.

    Attributes:
        written, read: Folders and files, at the same path.
        variables: Environment.
        network: `none`, `host` (something answers on loopback here), or empty: the engine's own.
    """

    written: tuple[Path, ...]
    read: tuple[Path, ...]
    variables: Mapping[str, str]
    network: str


def surroundings_of(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> Surroundings:
    """What the steps of a run need.

    Args:
        arguments: Run parameters.
        environ: This machine's environment: credentials and addresses of stores are handed on, the rest is not.
    """
    roots = [arguments["data_root"], arguments["registry"]]
    places = [*roots, arguments["task"], *_sources(arguments["task"])]
    written = [Path(root) for root in roots if "://" not in root]
    for folder in written:
        folder.mkdir(parents=True, exist_ok=True)
    read = [_fixed_part(place) for place in places[len(roots) :] if "://" not in place]
    files = {name: Path(environ[name]).resolve() for name in _FILES_HANDED_ON if Path(environ.get(name, "")).is_file()}
    variables = {name: environ[name] for name in _HANDED_ON if environ.get(name)}
    if all("://" not in place for place in places):
        return Surroundings(_outermost(written), _outermost(read), {}, "none")
    return Surroundings(
        written=_outermost(written),
        read=_outermost([*read, *files.values()]),
        variables=variables | {name: str(path) for name, path in files.items()},
        network="host" if any(_is_loopback(environ.get(name, "")) for name in _ADDRESSES) else "",
    )


def _sources(task: str) -> list[str]:
    """The patterns of the sources; of a task file that cannot be read, none: `plan` says what is wrong with it."""
    if "://" in task:
        return []
    try:
        found = load_yaml(Path(task).read_bytes())
        patterns = found["data"]["sources"]
        return [relative_to(absolute(task), pattern) for pattern in patterns if isinstance(pattern, str)]
    except Exception:
        return []


def _fixed_part(path: str) -> Path:
    """The folder above the first part that is a pattern, and above a file."""
    return Path(os.path.dirname(re.split(r"[*?\[{]", path, maxsplit=1)[0]))  # noqa: PTH120 - a last "/" counts


def _outermost(folders: Iterable[Path]) -> tuple[Path, ...]:
    found = sorted({folder.resolve() for folder in folders if folder.exists()})
    return tuple(folder for folder in found if not any(other in folder.parents for other in found))


def _is_loopback(address: str) -> bool:
    host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class Containers:
    """A container for each task."""

    def __init__(self, client: Any, surroundings: Surroundings, run_dir: Path) -> None:
        """Takes an engine that answers.

        Args:
            client: A `docker.DockerClient`.
            run_dir: Receives what a failed task says.
        """
        self._client = client
        self._surroundings = surroundings
        self._run_dir = run_dir
        info = client.info()
        self._rootless = info.get("Rootless") or "name=rootless" in (info.get("SecurityOptions") or [])
        self._is_podman = "Podman" in str(client.version().get("Components"))

    @classmethod
    @contextlib.contextmanager
    def opened(cls, surroundings: Surroundings, images: Mapping[str, str], run_dir: Path) -> Iterator[Containers]:
        """Connects to the engine, looks whether all images are there, and has kfp.local's tasks run here.

        Args:
            images: Component → image in place of ours.

        Raises:
            ImageError: No engine answers, or an image is missing.
        """
        from kfp.local import docker_task_handler

        with _engine(run_dir) as client:
            containers = cls(client, surroundings, run_dir)
            for component in ENVIRONMENT_OF:
                containers.local_name(images.get(component, image_of(component)))
            original = docker_task_handler.run_docker_container
            # kfp's own pulls what is not here, lets the container vanish before its exit code is read and then takes
            # that for success, and knows no names with Podman's `localhost/`. `tests/images/test_images.py`
            # holds the signature.
            docker_task_handler.run_docker_container = containers.run
            try:
                yield containers
            finally:
                docker_task_handler.run_docker_container = original

    def local_name(self, image: str) -> str:
        """The image as the engine knows it.

        Raises:
            ImageError: It is not here.
        """
        import docker

        for name in (image, f"localhost/{image}"):
            with contextlib.suppress(docker.errors.ImageNotFound):
                self._client.images.get(name)
                return name
        ours = image.startswith("saiki-")
        raise ImageError(
            "The image of a step is not here", where=image, fix="run `make image`" if ours else "build it, or pull it"
        )

    def run(self, client: Any, image: str, command: list[str], volumes: Mapping[str, Any], **given: Any) -> int:
        """Runs a task and returns its exit code; kfp.local calls this."""
        container = self._client.containers.create(
            image=self.local_name(image),
            command=command,
            volumes=self._volumes(volumes),
            environment={**self._surroundings.variables, **given.get("environment", {})},
            read_only=True,
            tmpfs={"/tmp": "rw,mode=1777"},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            ulimits=self._ulimits(),
            labels={"saiki.run": self._run_dir.name},
            **self._user(),
            **({"network_mode": self._surroundings.network} if self._surroundings.network else {}),
        )
        last: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        try:
            container.start()
            for piece in container.logs(stream=True, follow=True):
                text = piece.decode(errors="replace")
                print(text, end="")
                last.append(text)
            code = int(container.wait()["StatusCode"])
        finally:
            container.remove(force=True)
        if code not in (0, 137):
            (self._run_dir / ERROR_FILE).write_text(json.dumps(_said("".join(last))), encoding="utf-8")
        return code

    def _volumes(self, of_kfp: Mapping[str, Any]) -> dict[str, Any]:
        """Those of kfp, and those of the run in the same mode (which relabels them where SELinux asks for it)."""
        modes = [volume["mode"] for volume in of_kfp.values()]
        relabel = ",z" if any(mode.endswith(",z") for mode in modes) else ""
        volumes = {str(path): {"bind": str(path), "mode": f"ro{relabel}"} for path in self._surroundings.read}
        volumes |= {str(path): {"bind": str(path), "mode": f"rw{relabel}"} for path in self._surroundings.written}
        return volumes | dict(of_kfp)

    def _user(self) -> dict[str, str]:
        """Who writes files that are the caller's."""
        caller = f"{os.getuid()}:{os.getgid()}"
        if not self._rootless:
            return {"user": caller}
        return {"user": caller, "userns_mode": "keep-id"} if self._is_podman else {"user": "0:0"}

    def _ulimits(self) -> list[Any]:
        from docker.types import Ulimit

        return [Ulimit(name=name, soft=limit, hard=limit) for name, limit in limits().items()]


@contextlib.contextmanager
def _engine(run_dir: Path) -> Iterator[Any]:
    """A client of Docker, or of a Podman service that is started for as long as it is needed."""
    client = _docker()
    if client is not None:
        with contextlib.closing(client):
            yield client
        return
    if shutil.which("podman") is None:
        raise ImageError(
            "Docker does not answer, and Podman is not installed",
            fix="start Docker, or install Podman: sudo apt-get install podman",
        )
    address = f"unix://{run_dir}/podman.sock"
    service = subprocess.Popen(
        ["podman", "system", "service", f"--time={_IDLE}", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        # kfp asks the environment where the engine is.
        with contextlib.closing(_connected(address, service)) as client, variable("DOCKER_HOST", address):
            yield client
    finally:
        service.terminate()
        service.wait()


def _docker() -> Any:
    """A client of the Docker, or of whatever DOCKER_HOST names; None: it does not answer."""
    import docker

    try:
        client = docker.from_env(timeout=_PATIENCE)
        client.ping()
    except docker.errors.DockerException:
        return None
    return client


def _connected(address: str, service: subprocess.Popen[bytes]) -> Any:
    import docker

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and service.poll() is None:
        with contextlib.suppress(docker.errors.DockerException):
            client = docker.DockerClient(base_url=address, timeout=_PATIENCE)
            if client.ping():
                return client
        time.sleep(0.1)
    raise ImageError("Podman's service does not answer", fix="see what `podman info` says")


def _said(text: str) -> dict[str, str]:
    """What a failed task said, in the form in which a worker reports it."""
    # An error that another one led to comes last.
    ours = [match.end() for match in _BEGINS.finditer(text)]
    found = _OURS.match(text, ours[-1]) if ours else None
    begin = text.rfind("Traceback (most recent call last)")
    report = {"traceback": text[begin:] if begin >= 0 else text, "where": "", "fix": ""}
    if found is None:
        lines = [line for line in text.splitlines() if line.strip()]
        return report | {"kind": "unexpected", "what": lines[-1].strip() if lines else "it said nothing"}
    return report | {name: value or "" for name, value in found.groupdict().items()}


def check_no_images_without_containers(containers: bool, images: Mapping[str, str]) -> None:
    """An image matters only where there are containers.

    Raises:
        InputError: Images are given, and no containers are asked for.
    """
    if images and not containers:
        raise InputError(
            "Without containers, steps run in no image", where="--image", fix="add --containers, or leave --image out"
        )
    if unknown := sorted(images.keys() - ENVIRONMENT_OF.keys()):
        raise InputError(
            f"There is no step '{unknown[0]}'", where="--image", fix=f"give one of: {', '.join(ENVIRONMENT_OF)}"
        )
