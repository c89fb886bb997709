"""Builds the images of the Dockerfile with whichever container engine is there, and pushes them.

An image is built once per environment. It carries the tag of each of the environment's components, which is what the
steps name, and one tag over all of them, by which it is found again here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import resource
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components._shared.errors import InputError, SaikiError
from components._shared.image import ENVIRONMENT_OF, GPU_VARIANT, tags_of

ROOT = Path(__file__).resolve().parents[2]
BASE_IMAGE = "debian:trixie-slim"
ENVIRONMENTS = ("light", "analysis", "tensorflow")
TARGETS = (*ENVIRONMENTS, f"tensorflow-{GPU_VARIANT}")

_ENGINES = ("docker", "podman", "buildah")
_GB = 1_000_000_000
_DISK_NEEDED = {"light": 4, "analysis": 12, "tensorflow": 9, "tensorflow-gpu": 25}
"""Gigabytes while it is built: the packages lie in uv's cache, in the builder's layer and in the image's."""

_ENOUGH = 16_384
_LABEL = "org.opencontainers.image"


class ImageError(SaikiError, RuntimeError):
    """An image could not be built, found or pushed."""


@dataclass(frozen=True)
class Image:
    """What a target of the Dockerfile is called.

    Attributes:
        target: light, analysis, tensorflow or tensorflow-gpu.
        repository: Its name before the tag.
        tag: Over all components of the environment.
        tags: Component → tag.
    """

    target: str
    repository: str
    tag: str
    tags: Mapping[str, str]

    @property
    def name(self) -> str:
        """By which it is found: repository and tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is called; several components may have one tag."""
        return tuple(f"{self.repository}:{tag}" for tag in dict.fromkeys([self.tag, *self.tags.values()]))


@dataclass(frozen=True)
class Found:
    """An image that is there."""

    size: int
    labels: Mapping[str, str]


@dataclass
class Built:
    """What became of a target.

    Attributes:
        size: Bytes, unpacked.
        seconds: 0: it was there already.
        pushed, skipped: Names that were pushed, and that the image registry had.
    """

    image: Image
    size: int
    seconds: float
    pushed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def image_for(target: str, registry: str = "") -> Image:
    """What a target is called, with the present code and locks.

    Args:
        target: One of `TARGETS`.
        registry: Image registry and folder; empty: this machine's own.
    """
    environment = target.removesuffix(f"-{GPU_VARIANT}")
    tags = tags_of(environment)
    over_all = hashlib.sha256("\n".join(f"{name} {tag}" for name, tag in sorted(tags.items())).encode())
    repository = "/".join(filter(None, [registry.rstrip("/"), f"saiki-{target}"]))
    return Image(target=target, repository=repository, tag=over_all.hexdigest()[:16], tags=tags)


def components_of(target: str) -> tuple[str, ...]:
    """The components that run in a target's image."""
    environment = target.removesuffix(f"-{GPU_VARIANT}")
    return tuple(name for name, used in ENVIRONMENT_OF.items() if used == environment)


class Engine:
    """A container engine, by its command line."""

    def __init__(self, name: str) -> None:
        """Takes docker, podman or buildah."""
        self.name = name

    @classmethod
    def find(cls, wanted: str = "") -> Engine:
        """The engine that is asked for, else the first that answers.

        Raises:
            ImageError: None is there.
        """
        said = []
        for name in [wanted] if wanted else _ENGINES:
            if shutil.which(name) is None:
                said.append(f"{name} is not installed")
                continue
            answer = cls(name)._ask("info")
            if answer.returncode == 0:
                return cls(name)
            said.append(f"{name} does not answer: {_last_line(answer.stderr)}")
        raise ImageError(
            "There is no container engine: " + "; ".join(said),
            fix="install one, for example `sudo apt-get install podman` or Docker, and start it",
        )

    def inspect(self, name: str) -> Found | None:
        """The image of that name on this machine."""
        kind = ("inspect", "--type", "image") if self.name == "buildah" else ("image", "inspect")
        answer = self._ask(*kind, name)
        if answer.returncode != 0:
            return None
        found = json.loads(answer.stdout)
        if self.name == "buildah":
            sizes = json.loads(self._ask("images", "--json", name).stdout)
            labels = found["OCIv1"]["config"].get("Labels") or {}
            return Found(size=_bytes_of(sizes[0]["size"]), labels=labels)
        return Found(size=int(found[0]["Size"]), labels=found[0]["Config"].get("Labels") or {})

    def need_base(self, base: str) -> None:
        """Sees to it that the base image is here.

        Raises:
            ImageError: It is neither here nor can it be pulled.
        """
        if self.inspect(base) is not None:
            return
        answer = self._ask("pull", base)
        if answer.returncode != 0:
            raise ImageError(
                f"The base image cannot be pulled: {_last_line(answer.stderr)}",
                where=base,
                fix="give one that can, as --base; where no image registry is reached, `saiki image base` makes one "
                "from Debian's packages with mmdebstrap",
            )

    def need_disk(self, target: str) -> None:
        """Looks for room before minutes of work.

        Raises:
            ImageError: There is too little.
        """
        place = {"docker": "{{.DockerRootDir}}", "podman": "{{.Store.GraphRoot}}"}.get(self.name)
        answer = self._ask("info", "--format", place).stdout.strip() if place else "/var/lib/containers/storage"
        folder = Path(answer or "/")
        free = shutil.disk_usage(folder if folder.exists() else "/").free
        if free < _DISK_NEEDED[target] * _GB:
            raise ImageError(
                f"{free / _GB:.1f} GB are free, the image {target} needs {_DISK_NEEDED[target]} while it is built",
                where=str(folder),
                fix=f"make room, for example: {self.name} system prune",
            )

    def build(self, image: Image, *, base: str, network: str, log: Path) -> None:
        """Builds a target with all its tags.

        Raises:
            ImageError: It failed; `log` has what the engine said.
        """
        names = [word for name in image.names for word in ("--tag", name)]
        labels = [word for label in _labels(base).items() for word in ("--label", "=".join(label))]
        with _secrets(os.environ) as secrets, log.open("w", encoding="utf-8") as stream:
            options = [word for secret in secrets for word in ("--secret", f"id={secret.name},src={secret}")]
            command = [
                "build",
                "--target",
                image.target,
                "--build-arg",
                f"BASE_IMAGE={base}",
                *options,
                *names,
                *labels,
            ]
            command += self._build_options(network)
            answer = subprocess.run(
                [self.name, *command, "--file", str(ROOT / "Dockerfile"), str(ROOT)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                check=False,
                env={**os.environ, "DOCKER_BUILDKIT": "1"},
            )
        if answer.returncode != 0:
            raise self._failed(image, log)

    def _build_options(self, network: str) -> list[str]:
        """What makes builds repeat: a time that is not the clock's; and what the engine needs to run at all."""
        epoch = str(_epoch())
        if self.name == "docker":
            return ["--build-arg", f"SOURCE_DATE_EPOCH={epoch}", *(["--network", network] if network else [])]
        # Both take limits from their configuration, also where those of this process are lower and cannot be raised.
        ulimits = [f"--ulimit={name}={limit}:{limit}" for name, limit in limits().items()]
        # The host's network works with and without root, and whether or not a network for containers is set up.
        return ["--timestamp", epoch, "--layers", *ulimits, "--network", network or "host"]

    def _failed(self, image: Image, log: Path) -> ImageError:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        fix = "see the log"
        if any("no space left" in line.lower() for line in lines[-50:]):
            fix = f"make room, for example: {self.name} system prune"
        elif any("netavark" in line or "CNI" in line for line in lines[-50:]):
            fix = "give --network host"
        said = "\n".join(f"  | {line}" for line in lines[-15:])
        return ImageError(f"The image {image.target} could not be built:\n{said}", where=str(log), fix=fix)

    def tag(self, name: str, other: str) -> None:
        """Gives an image one more name."""
        self._run("tag", name, other)

    def has_pushed(self, name: str, *, insecure: bool) -> bool:
        """Whether the image registry has that name."""
        plain_http = {"docker": ["--insecure"]}.get(self.name, ["--tls-verify=false"]) if insecure else []
        if self.name == "podman":
            # Its `manifest inspect` has no plain HTTP.
            repository, _, tag = name.rpartition(":")
            options = ["--list-tags", "--limit", "1000000", "--format", "{{.Tag}}", *plain_http]
            return tag in self._ask("search", *options, repository).stdout.split()
        place = name if self.name == "docker" else f"docker://{name}"
        return self._ask("manifest", "inspect", *plain_http, place).returncode == 0

    def push(self, name: str, *, insecure: bool) -> None:
        """Pushes a name.

        Raises:
            ImageError: The image registry did not take it.
        """
        plain_http = ["--tls-verify=false"] if insecure and self.name != "docker" else []
        answer = self._ask("push", *plain_http, name)
        if answer.returncode != 0:
            raise ImageError(
                f"The image registry did not take it: {_last_line(answer.stderr)}",
                where=name,
                fix=f"log in with `{self.name} login {name.split('/')[0]}`, and look whether the folder exists",
            )

    def load_base(self, archive: Path, name: str) -> None:
        """Makes a root file system an image."""
        self._run("import", str(archive), name)

    def _run(self, *arguments: str) -> None:
        answer = self._ask(*arguments)
        if answer.returncode != 0:
            raise ImageError(
                f"`{shlex.join([self.name, *arguments])}` failed: {_last_line(answer.stderr)}",
                fix="see what the engine says there",
            )

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.name, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )


def build(
    engine: Engine,
    target: str,
    *,
    base: str = BASE_IMAGE,
    registry: str = "",
    network: str = "",
    rebuild: bool = False,
    logs: Path = ROOT / "build",
) -> Built:
    """Builds a target unless the very same is here.

    Args:
        engine: Builds it.
        target: One of `TARGETS`.
        base: Image to start from: Debian 13, or another distribution with apt-get and a Python that the locks are for.
        registry: Image registry and folder; empty: this machine's own.
        network: Of the build; empty: the engine's own choice.
        rebuild: Build it even so, for example since the base image has changed.
        logs: Folder for what the engine says.

    Raises:
        ImageError: It could not be built.
    """
    image = image_for(target, registry)
    begin = time.monotonic()
    own = image_for(target)
    present = engine.inspect(own.name)
    if rebuild or present is None or present.labels.get(f"{_LABEL}.base.name") != base:
        engine.need_base(base)
        engine.need_disk(target)
        logs.mkdir(parents=True, exist_ok=True)
        engine.build(own, base=base, network=network, log=logs / f"image-{target}.log")
        present = engine.inspect(own.name)
        seconds = time.monotonic() - begin
    else:
        seconds = 0.0
    for name in {*own.names, *image.names} - {own.name}:
        # Also where it was there: another build may have taken the tag of a component that did not change, or lost it.
        engine.tag(own.name, name)
    return Built(image=image, size=present.size if present else 0, seconds=seconds)


def push(engine: Engine, built: Built, *, insecure: bool = False) -> None:
    """Pushes the names that the image registry does not have; what it has is never written again."""
    for name in built.image.names:
        if engine.has_pushed(name, insecure=insecure):
            built.skipped.append(name)
        else:
            engine.push(name, insecure=insecure)
            built.pushed.append(name)


def make_base(engine: Engine, name: str = BASE_IMAGE) -> None:
    """Makes the base image from Debian's packages, where no image registry is reached: Debian 13 without documentation.

    Raises:
        ImageError: mmdebstrap is missing or failed.
    """
    if shutil.which("mmdebstrap") is None:
        raise ImageError("mmdebstrap is not installed", fix="sudo apt-get install mmdebstrap")
    kept_out = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
    with tempfile.TemporaryDirectory(prefix="saiki-") as folder:
        archive = Path(folder, "root.tar")
        answer = subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                *(f"--dpkgopt=path-exclude={path}" for path in kept_out),
                "--customize-hook=rm -rf $1/var/cache/* $1/var/log/* $1/etc/hostname $1/etc/resolv.conf",
                "trixie",
                str(archive),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode != 0:
            raise ImageError(f"mmdebstrap failed: {_last_line(answer.stderr)}", fix="see whether apt-get works here")
        engine.load_base(archive, name)


def limits() -> dict[str, int]:
    """How many files and processes a container may have: what a step needs, or what this process may pass on."""
    kinds = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    found = {name: resource.getrlimit(kind)[1] for name, kind in kinds.items()}
    return {name: _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH) for name, hard in found.items()}


def _labels(base: str) -> dict[str, str]:
    version = _git("describe", "--tags", "--always") or "unknown"
    revision = _git("rev-parse", "HEAD") or "unknown"
    if _git("status", "--porcelain", "--", "components", "requirements", "Dockerfile"):
        revision += "-edited"
    created = datetime.fromtimestamp(_epoch(), UTC).isoformat()
    found = {"version": version, "revision": revision, "created": created, "base.name": base}
    return {f"{_LABEL}.{key}": value for key, value in found.items()}


def _epoch() -> int:
    """When the source was made: the clock would make another image each time."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct") or 0)


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


@contextmanager
def _secrets(environ: Mapping[str, str]) -> Iterator[list[Path]]:
    """Files that the build sees and no layer keeps: this machine's CA bundle, and where it gets packages from."""
    with tempfile.TemporaryDirectory(prefix="saiki-") as folder:
        secrets = []
        settings = installer_settings(environ)
        bundle = ca_bundle(environ)
        if bundle is not None:
            secrets.append(Path(folder, "ca"))
            shutil.copyfile(bundle, secrets[-1])
            inside = "/run/secrets/ca"
            settings |= {"SSL_CERT_FILE": inside, "PIP_CERT": inside}
            settings["APT_OPTIONS"] = f"-o Acquire::https::CAInfo={inside}"
        if settings:
            secrets.append(Path(folder, "installer"))
            lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(settings.items())]
            secrets[-1].write_text("".join(lines), encoding="utf-8")
        yield secrets


def ca_bundle(environ: Mapping[str, str]) -> Path | None:
    """The certificates that this machine trusts: of its variables the first that names a file, else Debian's."""
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
    places = [*(environ[name] for name in names if environ.get(name)), "/etc/ssl/certs/ca-certificates.crt"]
    return next((Path(place) for place in places if Path(place).is_file()), None)


def installer_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What pip and uv are configured with here, as variables; without what names a file or a folder of this machine."""
    set_up = _environments()
    pip = set_up.pip_settings(environ)
    handed_on = {
        "PIP_" + key.upper(): " ".join(pip[key].split())
        for key in ("index_url", "extra_index_url", "trusted_host", "proxy", "no_index", "timeout")
        if pip.get(key)
    }
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
    for name, value in set_up.installer_environ(environ, pip).items():
        of_uv = name.startswith(("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX", "UV_INSECURE_HOST", "UV_HTTP_"))
        if of_uv or name.upper() in proxies:
            handed_on[name] = value
    return handed_on


def _environments() -> Any:
    """The set-up's module, which is no package: it runs before anything is installed."""
    path = ROOT / "requirements" / "environments.py"
    spec = importlib.util.spec_from_file_location("saiki_environments", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their module up by name.
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def check_targets(given: Iterable[str]) -> tuple[str, ...]:
    """The targets that are asked for, else those that everybody needs.

    Raises:
        InputError: There is none of that name.
    """
    targets = tuple(given) or ENVIRONMENTS
    for target in targets:
        if target not in TARGETS:
            raise InputError(f"There is no image '{target}'", where="ENVIRONMENT", fix=f"give {', '.join(TARGETS)}")
    return targets


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _bytes_of(text: str) -> int:
    number, unit = text.split()
    return round(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit.upper()])
