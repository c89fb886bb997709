"""Data never becomes code: neither in our packages, nor by what they read."""

from __future__ import annotations

import ast
import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest

from components._shared.contract import Contract, load_yaml, yaml_problem
from components._shared.errors import CorruptError, DataError, InputError, StorageError, TaskError
from components._shared.expressions import check
from components._shared.manifest import Listing, Source
from components._shared.task import DataSection

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "components").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")])

MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "code", "telnetlib"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.unsafe_load_all", "os.system", "os.popen",
    "pandas.read_pickle", "pd.read_pickle", "tf.keras.models.load_model", "keras.models.load_model",
    "zipfile.extractall", "tarfile.open", "tempfile.mktemp", "jinja2.Template",
}  # fmt: skip


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def offences(tree: ast.AST) -> list[str]:
    """What turns data into code, or lets it out of its place."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"imports {name}" for name in names if name.split(".")[0] in MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in BUILTINS | CALLS or name.endswith((".extractall", ".extract", ".allow_unsafe")):
            found.append(f"calls {name}")
        if name == "yaml.load":
            loaders = [dotted(k.value) for k in node.keywords if k.arg == "Loader"]
            if loaders not in (["_Loader"], ["yaml.SafeLoader"]):
                found.append("calls yaml.load with a loader that makes objects")
        for keyword in node.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if (keyword.arg, value) in {
                ("shell", True),
                ("allow_pickle", True),
                ("autoescape", False),
                ("verify", False),
            }:
                found.append(f"calls {name} with {keyword.arg}={value!r}")
        if name in {"np.load", "numpy.load"} and not any(
            k.arg == "allow_pickle" and isinstance(k.value, ast.Constant) and k.value.value is False
            for k in node.keywords
        ):
            found.append(f"calls {name} without allow_pickle=False")
    return found


def test_our_packages_turn_no_data_into_code() -> None:
    assert len(FILES) > 80
    found = {str(path.relative_to(ROOT)): offences(ast.parse(path.read_text(encoding="utf-8"))) for path in FILES}
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from joblib import load", "eval(x)", "yaml.load(x)", "yaml.load(x, Loader=yaml.Loader)",
        "np.load(x)", "np.load(x, allow_pickle=True)", "subprocess.run(x, shell=True)", "archive.extractall()",
        "requests.get(x, verify=False)",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_searches_for(line: str) -> None:
    assert offences(ast.parse(line))


def test_the_safe_loader_makes_no_objects() -> None:
    for text in ("!!python/object/apply:os.system ['true']", "!!python/name:os.system ''", "a: !!python/tuple [1]"):
        with pytest.raises(Exception, match="could not determine a constructor"):
            load_yaml(text)


# YAML


class _Any(Contract):
    value: object = None


LAUGHS = "\n".join(
    [f"a0: &a0 [{', '.join('x' * 10)}]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    + ["value: *a11"]
)


@pytest.mark.parametrize("text", [LAUGHS, "value: &a [*a]", "value: &a {b: *a}"])
def test_a_yaml_bomb_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="aliases stand for more than"):
        _Any.from_json(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "- " * 20_000 + "x"])
def test_endless_nesting_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        _Any.from_json(text)


def test_ordinary_aliases_work() -> None:
    assert load_yaml("a: &a {x: 1}\nb: *a\n") == {"a": {"x": 1}, "b": {"x": 1}}
    assert callable(yaml_problem)


# Sources


SECTION = DataSection.from_value(
    {
        "problem": "regression", "csv": {}, "file_format": None, "columns": {"a": {"type": "float64"}}, "derived": {},
        "label": {"expression": "a"}, "time": None, "timezone": "UTC", "key": (), "population": None, "cluster": None,
        "weight": None,
    }
)  # fmt: skip


def rows_of(path: Path, folder: Path) -> int:
    from components._shared import storage
    from components.ingest.blocks import Header
    from components.ingest.sources import read_sources

    info = storage.stat(str(path))
    assert info is not None
    listing = Listing(sources=(Source(uri=info.uri, generation=info.generation, size=info.size),))
    header = Header(SECTION.columns)
    return sum(len(block.rows) for _, block in read_sources(listing, SECTION, header, folder))


@pytest.mark.parametrize("name", ["../../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "..\\evil.csv"])
def test_a_member_whose_path_leads_out_of_the_archive_is_read_and_written_nowhere(name: str, tmp_path: Path) -> None:
    inner = tmp_path / "inner" / "deep"
    inner.mkdir(parents=True)
    with zipfile.ZipFile(inner / "data.zip", "w") as archive:
        archive.writestr(name, "a\n1\n2\n")
    before = sorted(tmp_path.rglob("*"))
    assert rows_of(inner / "data.zip", inner) == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/etc/evil.csv").exists()


def _bomb(kind: str, folder: Path, size: int = 200 << 20) -> Path:
    zeros = b"0" * (1 << 20)
    path = folder / f"bomb.csv{'.gz' if kind == 'gzip' else '.zip'}"
    if kind == "gzip":
        with gzip.open(path, "wb") as stream:
            stream.write(b"a\n")
            for _ in range(size >> 20):
                stream.write(zeros)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("bomb.csv", "w") as member:
            member.write(b"a\n")
            for _ in range(size >> 20):
                member.write(zeros)
    return path


@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_a_zip_bomb_is_refused(kind: str, tmp_path: Path) -> None:
    path = _bomb(kind, tmp_path)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(DataError, match="more than 250 times its size"):
        rows_of(path, tmp_path)


def test_an_archive_in_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    with pytest.raises(DataError, match="holds no data file"):
        rows_of(tmp_path / "outer.zip", tmp_path)


# Expressions


@pytest.mark.parametrize(
    "text",
    [
        "(SELECT content FROM read_text('{file}'))", "read_text('{file}')", "read_csv('{file}')", "read_blob('{file}')",
        "parquet_scan('{file}')", "glob('/*')", "getenv('HOME')", "current_setting('home_directory')",
        "query('SELECT 1')",
        "a; ATTACH '{file}'", "a) FROM read_csv('{file}') --", "a FROM duckdb_settings()", "PRAGMA database_list",
        "a; COPY (SELECT 1) TO '{file}'", "a; INSTALL httpfs", "a; LOAD httpfs", "a; SET enable_external_access=true",
        "a UNION SELECT 1", "(SELECT max(a) FROM '{file}')", "random()", "now()", "nextval('x')", "pg_catalog.pi()",
        "write_log('x')", "a IN (SELECT 1)", "list_transform([1], x -> x)", "COLUMNS(*)", "pragma_version()",
    ],
)  # fmt: skip
def test_an_expression_that_reaches_beyond_its_row_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("secret\n1\n")
    with pytest.raises(TaskError) as raised:
        check(text.format(file=file), {"a": "float64"}, "label.expression")
    assert "1\n" not in str(raised.value).replace("do:", "")
    assert file.read_text() == "secret\n1\n"


# Models from elsewhere


def test_a_model_that_is_not_the_promoted_one_is_refused_before_it_is_loaded(any_root: str, make_model: object) -> None:
    from components._shared import storage
    from components._shared.model_files import registered_model
    from components._shared.model_info import ModelInfo
    from components._shared.records import ModelRef

    ours, theirs = make_model("ours"), make_model("theirs")  # type: ignore[operator]
    digest = ModelInfo.from_json((ours / "model.json").read_bytes()).digest
    uri = storage.join(any_root, "flights", "versions", "1")
    for path in (path for path in theirs.rglob("*") if path.is_file()):
        storage.create(storage.join(uri, path.relative_to(theirs).as_posix()), path)
    with (
        pytest.raises(CorruptError, match="is not the model that it was"),
        registered_model(ModelRef(version=1, uri=uri, digest=digest)),
    ):
        raise AssertionError("it must not get so far")
    found = storage.stat(storage.join(uri, "saved_model.pb"))
    assert found is not None
    storage.replace(found.uri, b"other code", generation=found.generation)
    theirs_digest = ModelInfo.from_json((theirs / "model.json").read_bytes()).digest
    with (
        pytest.raises(CorruptError, match="not those that were trained"),
        registered_model(ModelRef(version=1, uri=uri, digest=theirs_digest)),
    ):
        raise AssertionError("it must not get so far")


# The report


def test_the_report_shows_hostile_values_as_text(tmp_path: Path) -> None:
    import jinja2

    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
    for path in (ROOT / "components").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "jinja2.Environment(" in text:
            assert "autoescape=True" in text, path
    templates = [*ROOT.glob("components/*/**/*.jinja")]
    assert templates
    for path in templates:
        marked = [part for part in path.read_text(encoding="utf-8").split("{{")[1:] if "|safe" in part.split("}}")[0]]
        assert all("jump_hash" in part.split("}}")[0] for part in marked), path
    assert "<" not in jinja2.Environment(autoescape=True).from_string("{{ v }}").render(v=hostile)


# Names and URIs


@pytest.mark.parametrize(
    "uri",
    [
        "gs://AKIA:SECRETSECRET@bucket/x", "s3://AKIA:SECRETSECRET@bucket/x", "https://user:SECRETSECRET@host/x",
        "https://storage.example/b/x?X-Goog-Signature=SECRETSECRET&X-Goog-Expires=1",
        "s3://bucket/x?X-Amz-Signature=SECRETSECRET", "gs://bucket/x?access_token=SECRETSECRET",
        "https://b.example/x?sv=1&sig=SECRETSECRET",
    ],
)  # fmt: skip
def test_a_uri_with_a_secret_is_refused_without_saying_it(uri: str) -> None:
    from components._shared import storage

    for call in (storage.read, storage.exists, storage.check_root, storage.glob):
        with pytest.raises(StorageError) as raised:
            call(uri)
        assert "SECRETSECRET" not in str(raised.value)
        assert "SECRETSECRET" not in json.dumps([raised.value.what, raised.value.where, raised.value.fix])


@pytest.mark.parametrize("name", ["../x", "a/b", "A", "", "x" * 64, "a\n", "..", "a b", "-a", "é"])
def test_a_task_name_that_is_more_than_a_name_is_refused(name: str) -> None:
    from components._shared.registry import Registry

    with pytest.raises(InputError, match="is not the name of a task"):
        Registry("/nowhere", name)
