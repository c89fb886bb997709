"""Pushing to a real image registry, on loopback: what it has is not written again."""

import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress

import pytest

from pipelines.images import build as images
from tests.apt_packages import install


@pytest.fixture
def registry(tmp_path):
    """The address of an image registry that is empty."""
    if shutil.which("docker-registry") is None:
        install("docker-registry")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    config = tmp_path / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/store}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', secret: none}}\n"
    )
    server = subprocess.Popen(
        ["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/"):
                break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}/team"
    finally:
        server.terminate()
        server.wait()


def test_a_tag_that_the_registry_has_is_not_pushed_again(engine, built, registry):
    built("light")

    first = images.build(engine, "light", registry=registry)
    images.push(engine, first, insecure=True)
    second = images.build(engine, "light", registry=registry)
    images.push(engine, second, insecure=True)

    assert (first.seconds, second.seconds) == (0, 0), "it was built before"
    assert set(first.pushed) == set(first.image.names) and first.skipped == []
    assert set(second.skipped) == set(first.image.names) and second.pushed == []
    for name in first.image.names:
        subprocess.run([engine.name, "rmi", name], capture_output=True, check=True)


def test_a_registry_that_does_not_take_it_is_an_error_that_says_so(engine, built):
    image = images.image_for("light", "127.0.0.1:9/team")
    built("light")
    engine.tag(images.image_for("light").name, image.name)

    with pytest.raises(images.ImageError, match="did not take it") as caught:
        engine.push(image.name, insecure=True)

    assert "login 127.0.0.1:9" in caught.value.fix
    subprocess.run([engine.name, "rmi", image.name], capture_output=True, check=True)
