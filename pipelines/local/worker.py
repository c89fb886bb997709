"""A process that has an environment's heavy libraries imported, and forks a child for every task.

Importing TensorFlow takes longer than most steps do. On a laptop one worker per environment imports once, while
other steps run, and each task starts from a fork of it: as isolated as a process of its own, at once. On the cluster
nothing of this exists: there a task is a container.

The worker runs in the interpreter of its environment. It serves a Unix socket, and ends, with all its tasks, when its
standard input closes. Then it removes the run's folder: so neither processes nor files are left behind if the command
line is killed.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

ERROR_FILE = "error.json"
"""Written into the run's folder by a task that fails: what, where, fix, kind, traceback."""


def serve(run_dir: Path, environment: str, preload: list[str]) -> None:
    """Imports, then answers requests until standard input closes."""
    os.chdir(run_dir)
    listener = socket.socket(socket.AF_UNIX)
    # Relative, since the name of a socket has at most 107 bytes.
    listener.bind(f"{environment}.socket")
    listener.listen()
    imported = threading.Event()
    threading.Thread(target=_give_up, args=(run_dir, imported), daemon=True).start()
    for module in preload:
        # A module that fails here fails again, and is reported, in the task that needs it.
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    imported.set()
    children: set[int] = set()
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [], 1.0)
        children = {pid for pid in children if _is_running(pid)}
        if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1):
            break
        if listener in ready:
            connection, _ = listener.accept()
            pid = os.fork()
            if pid == 0:
                listener.close()
                _run_task(connection, run_dir)
            connection.close()
            children.add(pid)
    for pid in children:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
    shutil.rmtree(run_dir, ignore_errors=True)


def _give_up(run_dir: Path, imported: threading.Event) -> None:
    """Ends the worker if nobody needs it any more before it has imported everything."""
    while not imported.is_set():
        if select.select([sys.stdin], [], [], 0.1)[0]:
            shutil.rmtree(run_dir, ignore_errors=True)
            os._exit(0)


def _is_running(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def _run_task(connection: socket.socket, run_dir: Path) -> None:
    """The child: becomes the task, answers its exit code, ends."""
    with contextlib.suppress(OSError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a task does not outlive its worker
    os.setsid()  # the task and what it starts are one group, to be killed together
    message, descriptors = _receive(connection)
    for target, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, target)
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.chdir(message["cwd"])
    os.environ.clear()
    os.environ.update(message["env"])
    sys.path[1:1] = [entry for entry in (message["cwd"],) if entry not in sys.path]
    sys.argv = ["executor_main", *message["argv"]]
    code = _executed(run_dir)
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(code).encode())
    os._exit(code)


def _executed(run_dir: Path) -> int:
    from components._shared.errors import SaikiError

    try:
        runpy.run_module("kfp.dsl.executor_main", run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except SaikiError as error:
        report = {"kind": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
        report["traceback"] = traceback.format_exc()
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    except BaseException as error:
        report = {"kind": "unexpected", "what": f"{type(error).__name__}: {error}", "where": "", "fix": ""}
        report["traceback"] = traceback.format_exc()
        traceback.print_exc()
    else:
        return 0
    (run_dir / ERROR_FILE).write_text(json.dumps(report), encoding="utf-8")
    return 1


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(connection, 65536, 2)
    while not data.endswith(b"\n"):
        more = connection.recv(65536)
        if not more:
            os._exit(1)
        data += more
    return json.loads(data), list(descriptors)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
