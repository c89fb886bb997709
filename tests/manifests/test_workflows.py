"""The workflow that users copy: well-formed, with few rights, and its scripts do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.objects import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yaml"
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


def workflow() -> dict[str, Any]:
    # `on` is the word of YAML 1.1 for true; here it only matters that it parses.
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())
    return found


def steps() -> list[dict[str, Any]]:
    return [step for job in workflow()["jobs"].values() for step in job["steps"]]


def script(job: str, name: str) -> str:
    (found,) = [step["run"] for step in workflow()["jobs"][job]["steps"] if step["name"] == name]
    return str(found)


def run(text: str, folder: Path, **environ: str) -> str:
    """Runs a step as a runner does; what it adds to the job's summary."""
    summary = folder / "summary.md"
    answer = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", text],
        cwd=folder,
        env=os.environ | {"GITHUB_STEP_SUMMARY": str(summary), "SAIKI_PROFILE": "laptop"} | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return summary.read_text() if summary.exists() else ""


def test_actionlint_finds_nothing() -> None:
    if shutil.which("go") is None:
        pytest.skip("no Go: install it (apt-get install golang-go) to check the workflow with actionlint")
    fetched = subprocess.run(["go", "run", ACTIONLINT, "-version"], capture_output=True, text=True, check=False)
    if fetched.returncode != 0:
        pytest.skip(f"actionlint cannot be had here: {fetched.stderr[-200:]}")

    answer = subprocess.run(["go", "run", ACTIONLINT, str(WORKFLOW)], capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stdout


def test_every_action_is_pinned_to_a_commit_and_says_its_version() -> None:
    used = [line.split("uses:", 1)[1].strip() for line in WORKFLOW.read_text().splitlines() if "uses:" in line]

    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used), used


def test_a_job_has_no_right_to_write_but_the_one_that_comments() -> None:
    found = workflow()

    assert found["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in found["jobs"].items() if "permissions" in job}
    assert more == {"comment": {"pull-requests": "write"}}


def test_the_job_that_may_write_runs_no_code_of_the_change() -> None:
    used = [step.get("uses", "") for step in workflow()["jobs"]["comment"]["steps"]]

    assert not any(each.startswith("actions/checkout") for each in used)


def test_no_script_is_made_of_what_others_wrote() -> None:
    """An expression in a script is put in before the shell reads it: values come by the environment."""
    assert not [step["name"] for step in steps() if "${{" in step.get("run", "")]


def test_no_check_out_leaves_its_token_behind() -> None:
    outs = [step for step in steps() if step.get("uses", "").startswith("actions/checkout")]

    assert outs
    assert all(step["with"]["persist-credentials"] is False for step in outs)


def test_secrets_are_seen_by_the_steps_that_need_them_only() -> None:
    with_secrets = {step["name"] for step in steps() if "secrets." in str(step)}

    assert with_secrets == {"Build all and push", "Upload"}
    assert "secrets." not in str(workflow().get("env"))


def test_every_job_ends() -> None:
    assert all(job["timeout-minutes"] <= 90 for job in workflow()["jobs"].values())


def compared(folder: Path, base: str, head: str) -> str:
    for name, text in (("base", base), ("head", head)):
        (folder / "build" / name).mkdir(parents=True)
        (folder / "build" / name / "training.yaml").write_text(text)
    return run(script("compile", "Compare"), folder)


def test_a_change_of_a_pipeline_is_shown_with_its_lines(tmp_path: Path) -> None:
    summary = compared(tmp_path, "image: saiki-light:1\n", "image: saiki-light:2\n")

    assert "1 files differ from main" in summary
    assert "-image: saiki-light:1\n+image: saiki-light:2" in summary
    assert (tmp_path / "build" / "comment.md").read_text() == summary


def test_no_change_is_said_in_a_sentence(tmp_path: Path) -> None:
    assert "Nothing changes on the cluster." in compared(tmp_path, "a: 1\n", "a: 1\n")


def test_a_large_change_fits_a_comment(tmp_path: Path) -> None:
    summary = compared(tmp_path, "", "".join(f"line: {number}\n" for number in range(20_000)))

    assert len(summary.encode()) < 65_536
    assert "The whole diff is the artifact `pipelines`." in summary


def test_a_pipeline_cannot_end_the_block_that_shows_it(tmp_path: Path) -> None:
    summary = compared(tmp_path, "", "~~~~~~\n</details>\n# Approved\n")

    lines = summary.splitlines()
    assert [number for number, line in enumerate(lines) if line.startswith("~~~~~~")] == [
        lines.index("~~~~~~diff"),
        len(lines) - 2,
    ]


def test_the_compile_steps_run_on_a_clone_and_main_against_itself_shows_nothing(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone of the repository: there is no history to compare with")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(clone)], check=True)
    (clone / ".venv").symlink_to(sys.prefix)
    head = subprocess.run(["git", "-C", str(clone), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    cluster = {"SAIKI_CLUSTER": "manifests/overlays/gke/settings.yaml", "BASE": head.stdout.strip()}

    # This environment may be without the command itself, as in an image: the module is the same.
    text = script("compile", "Compile").replace(".venv/bin/saiki", ".venv/bin/python -m pipelines")
    run(text, clone, **cluster)
    run(script("compile", "Compile what this is compared with"), clone, **cluster)
    summary = run(script("compile", "Compare"), clone)

    assert "Nothing changes on the cluster." in summary
    assert (clone / "build" / "head" / "pipelines" / "training.yaml").is_file()
