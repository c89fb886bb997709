"""A container engine with the images of the present code; what is missing is installed, if it may be."""

import shutil
import subprocess

import pytest

from pipelines.images import build as images
from tests.apt_packages import install


class Contained:
    """Runs commands in containers of the images, with nothing but what a step has."""

    def __init__(self, engine):
        self.engine = engine

    def run(self, image, *command, user="", timeout=300):
        limits = [f"--ulimit={name}={limit}:{limit}" for name, limit in images.limits().items()]
        # Podman would mount more than /tmp.
        only_tmp = ["--read-only-tmpfs=false"] if self.engine.name == "podman" else []
        return subprocess.run(
            [self.engine.name, "run", "--rm", "--interactive", "--network=none", "--read-only", *only_tmp]
            + ["--tmpfs=/tmp:rw,mode=1777", "--cap-drop=ALL", "--security-opt=no-new-privileges", *limits]
            + ([f"--user={user}"] if user else [])
            + [image, *command],
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def said(self, image, *command, user=""):
        """What a command printed."""
        done = self.run(image, *command, user=user)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout


@pytest.fixture(scope="session")
def engine():
    """Docker or Podman, if it can run a container at all, with the base image."""
    try:
        found = images.Engine.find()
    except images.ImageError:
        install("podman", "runc", "mmdebstrap")
        found = images.Engine.find("podman")
    if found.name == "buildah":
        pytest.skip("Buildah builds and runs nothing: sudo apt-get install podman")
    try:
        found.need_base(images.BASE_IMAGE)
    except images.ImageError:
        if shutil.which("mmdebstrap") is None:
            install("mmdebstrap")
        try:
            images.make_base(found)
        except images.ImageError as error:
            pytest.skip(f"no base image: {error}")
    tried = Contained(found).run(images.BASE_IMAGE, "true")
    if tried.returncode != 0:
        pytest.skip(f"{found.name} cannot run a container here: {tried.stderr.strip()[-300:]}")
    return found


@pytest.fixture(scope="session")
def contained(engine):
    return Contained(engine)


@pytest.fixture(scope="session")
def built(engine):
    """Builds an image unless the very same is here; returns what became of it."""
    done = {}

    def build(target):
        if target not in done:
            try:
                done[target] = images.build(engine, target)
            except images.ImageError as error:
                if "GB are free" in error.what:
                    pytest.skip(str(error))
                raise
        return done[target]

    return build
