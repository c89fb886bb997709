"""A Python that has TensorFlow imported already: each `python -m MODULE …` is a fork of it, and so starts at once.

python tests/end_to_end/forking_python.py SOCKET                  serves until standard input closes
python tests/end_to_end/forking_python.py SOCKET -m MODULE …      what takes the place of `sys.executable`
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys
from pathlib import Path


def serve(path: Path) -> None:
    """Answers each request with the exit code of a fork that has run it."""
    import select
    import signal

    import tensorflow

    assert tensorflow.__version__
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            message, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 2)
            request = json.loads(message)
            for target, descriptor in enumerate(descriptors, start=1):
                os.dup2(descriptor, target)
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["env"])
            sys.path[0] = request["cwd"]
            sys.argv = request["argv"][1:]
            code = 0
            try:
                runpy.run_module(request["argv"][1], run_name="__main__", alter_sys=True)
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            except BaseException:
                import traceback

                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            connection.sendall(str(code).encode())
            os._exit(0)
        connection.close()


def ask(path: Path, argv: list[str]) -> int:
    """Has a command run, and says how it ended."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    request = {"argv": argv, "cwd": os.getcwd(), "env": dict(os.environ)}  # noqa: PTH109
    socket.send_fds(connection, [json.dumps(request).encode()], [1, 2])
    return int(connection.recv(16) or b"137")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(Path(sys.argv[1]))
    else:
        sys.exit(ask(Path(sys.argv[1]), sys.argv[2:]))
