"""What is in an image, and what is not."""

import json
import re
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from components._shared.image import ENVIRONMENT_OF, image_of
from pipelines.images import build as images

ROOT = Path(__file__).resolve().parents[2]
MB = 1_000_000


@pytest.fixture(scope="module", params=images.ENVIRONMENTS)
def image(request, built):
    return built(request.param).image


@pytest.fixture(scope="module")
def config(engine, image):
    told = subprocess.run([engine.name, "image", "inspect", image.name], capture_output=True, text=True, check=True)
    return json.loads(told.stdout)[0]["Config"]


# Imports every module that a component's step can reach, and everything that those import inside their functions.
IMPORT_ALL = """
import ast, importlib, sys
from pathlib import Path
from components._shared import image

failed = []
for component in sys.argv[1:]:
    folder = Path(image.__file__).parents[1] / component
    reached = image._closure(frozenset(path for path in folder.rglob("*.py") if path.name != "component.py"))
    wanted = set()
    for path in reached:
        wanted.add(".".join(path.relative_to(image._ROOT).with_suffix("").parts).removesuffix(".__init__"))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                wanted.add(node.module)
    for name in sorted(wanted):
        try:
            importlib.import_module(name)
        except ImportError as error:
            failed.append(f"{component}: {name}: {error}")
    print(component, len(wanted))
sys.exit("\\n".join(failed) or 0)
"""


def test_each_component_finds_all_that_it_imports_without_a_network_and_on_a_read_only_root(image, contained):
    components = images.components_of(image.target)

    done = contained.run(image.name, "python3", "-c", IMPORT_ALL, *components)

    assert done.returncode == 0, done.stderr[-3000:]
    assert [line.split()[0] for line in done.stdout.splitlines() if line.split()[0] in ENVIRONMENT_OF] == [*components]


def test_kfp_runs_a_lightweight_component_without_its_sdk(image, contained):
    done = contained.run(image.name, "sh", "-c", "mktemp -d && _KFP_RUNTIME=true python3 -m kfp.dsl.executor_main -h")

    assert done.returncode == 0, done.stderr
    assert "--executor_input" in done.stdout


def test_it_holds_what_its_lock_lists_and_nothing_else(image, contained):
    list_all = "import importlib.metadata as m; print(*{d.name for d in m.distributions()}, sep='\\n')"
    lock = (ROOT / "requirements" / f"{image.target}.txt").read_text()

    def plain(name):
        return re.sub(r"[-_.]+", "-", name).lower()

    listed = {plain(name) for name in re.findall(r"^([A-Za-z0-9][\w.-]*)==", lock, re.MULTILINE)} | {"kfp"}
    held = {plain(name) for name in contained.said(image.name, "python3", "-c", list_all).split()}

    assert held <= listed
    assert {"pyarrow", "pydantic", "kfp"} <= held
    assert not {"click", "kfp-kubernetes", "kfp-server-api", "docker"} & held or image.target == "analysis"


def test_nobody_can_compile_install_or_become_root(image, contained):
    tools = contained.said(image.name, "sh", "-c", "which gcc g++ cc c++ make pip pip3 uv git curl wget; true")
    privileged = contained.said(image.name, "sh", "-c", "find / -xdev -type f -perm /6000", user="0:0")

    assert tools == ""
    assert privileged == ""


def test_it_runs_as_a_numbered_user_who_writes_to_tmp_alone(image, config, contained):
    script = "id -u; id -g; echo $HOME; find / -xdev -writable -not -type l -not -path '/proc/*' 2> /dev/null; true"

    uid, gid, home, *writable = contained.said(image.name, "sh", "-c", script).split()

    assert config["User"] == "65532:65532"
    assert (uid, gid, home) == ("65532", "65532", "/tmp")
    assert [path for path in writable if not path.startswith(("/tmp", "/dev"))] == []


def test_an_import_writes_nothing_but_reads_bytecode(image, contained):
    script = """
import sys, pathlib, pyarrow, json
import components._shared.manifest as manifest
cached = [m.__cached__ for m in (pyarrow, json, manifest)]
print(all(pathlib.Path(path).is_file() for path in cached), *pathlib.Path("/tmp").rglob("*.pyc"))
"""
    assert contained.said(image.name, "python3", "-c", script).split() == ["True"]


def test_its_labels_say_what_it_is_and_the_clock_is_not_in_them(image, config):
    labels = {name.rpartition("image.")[2]: value for name, value in config["Labels"].items()}
    commit_time = subprocess.run(
        ["git", "-C", str(ROOT), "log", "--format=%cI"], capture_output=True, text=True, check=False
    ).stdout

    assert labels["title"] == f"saiki-{image.target}"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["base.name"] == images.BASE_IMAGE
    assert labels["version"] and labels["revision"]
    if commit_time:
        times = {datetime.fromisoformat(line) for line in commit_time.split()}
        assert datetime.fromisoformat(labels["created"]) in times


def test_where_packages_came_from_stays_out_of_it(engine, image, config, contained):
    history = subprocess.run(
        [engine.name, "history", "--no-trunc", "--format={{.CreatedBy}}", image.name], capture_output=True, text=True
    ).stdout
    script = r"ls -A /run/secrets; find / -xdev \( -name pip.conf -o -name uv.toml -o -name direct_url.json \); true"
    places = contained.said(image.name, "sh", "-c", script, user="0:0")

    assert places == ""
    assert "INDEX_URL=" not in history and "PROXY=" not in history.upper()
    assert not [entry for entry in config["Env"] if entry.startswith(("PIP_", "UV_", "http_proxy", "HTTP_PROXY"))]


def test_light_stays_small(built):
    assert built("light").size < 550 * MB


def test_an_image_knows_its_tags_as_this_machine_does(image, contained):
    """`plan` computes the digests of the code that it plans with in its own container."""
    names = [*ENVIRONMENT_OF] if image.target == "light" else [*images.components_of(image.target)]
    script = "import sys; from components._shared.image import image_of; print(*map(image_of, sys.argv[1:]))"

    assert contained.said(image.name, "python3", "-c", script, *names).split() == [image_of(name) for name in names]


def test_every_component_has_its_tag_on_the_one_image(engine, image):
    identities = {
        subprocess.run(
            [engine.name, "image", "inspect", "--format={{.Id}}", name], capture_output=True, text=True, check=True
        ).stdout
        for name in image.names
    }

    assert len(identities) == 1


def test_a_tag_that_another_build_has_taken_comes_back(engine, image):
    taken = image.names[-1]
    engine.tag(images.BASE_IMAGE, taken)

    images.build(engine, image.target)

    assert engine.inspect(taken) == engine.inspect(image.name) != engine.inspect(images.BASE_IMAGE)
