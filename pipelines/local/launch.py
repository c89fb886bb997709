"""What kfp.local starts as `python3`: hands the task to the worker of its environment, waits for its exit code."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path


def main(run_dir: Path, environment_of: dict[str, str], argv: list[str]) -> int:
    """Sends the command `-m kfp.dsl.executor_main …` to a worker.

    Returns:
        The task's exit code; 137 if the task was killed.
    """
    function = argv[argv.index("--function_to_execute") + 1]
    request = {"argv": argv[2:], "cwd": os.getcwd(), "env": dict(os.environ)}  # noqa: PTH109 (pathlib costs time here)
    connection = _connect(run_dir, f"{environment_of[function]}.socket")
    data = json.dumps(request).encode() + b"\n"
    sent = socket.send_fds(connection, [data], [1, 2])
    connection.sendall(data[sent:])
    answer = connection.recv(64)
    return json.loads(answer) if answer else 137


def _connect(run_dir: Path, name: str) -> socket.socket:
    os.chdir(run_dir)  # the name of a socket has at most 107 bytes
    connection = socket.socket(socket.AF_UNIX)
    for _ in range(600):
        try:
            connection.connect(name)
            return connection
        except (FileNotFoundError, ConnectionRefusedError):
            if not run_dir.exists():
                sys.exit("the run has ended")
            time.sleep(0.1)
    raise TimeoutError(f"no worker answers at {run_dir / name}")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]))
