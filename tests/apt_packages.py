"""What tests need of the operating system: installed where they may, else the tests are skipped."""

import os
import shutil
import subprocess

import pytest


def install(*packages):
    """Installs with apt-get where this is root, else says what to install."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.skip(f"sudo apt-get install {' '.join(packages)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", "--quiet", *step], capture_output=True, text=True, env=quiet)
        if done.returncode != 0:
            pytest.skip(f"apt-get {' '.join(step)} failed: {done.stderr.strip()[-200:]}")
