"""Free text in the Markdown that Kubeflow shows: it stays text."""

from __future__ import annotations

import pytest

from components._shared.markdown import safe, table
from components._shared.verdict import Check, Verdict

IMAGE, TAG = "![x](https://example.com/a.png)", "<img src=x>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (IMAGE, r"!\[x\](https://example.com/a.png)"),
        (TAG, "&lt;img src=x&gt;"),
        ("a | b\n# c", r"a \| b # c"),
        ("*a* `b` _c_ &lt;", r"\*a\* \`b\` \_c\_ &amp;lt;"),
        ("\\", "\\\\"),
    ],
)
def test_free_text_is_shown_as_itself(text: str, shown: str) -> None:
    assert safe(text) == shown
    assert table(("what",), [(text,)]).splitlines()[-1] == f"| {shown} |"


def test_no_part_of_a_verdict_makes_images_or_tags() -> None:
    hostile = f"{IMAGE} {TAG}"
    check = Check(name=hostile, slice=hostile, limit=hostile, outcome="failed", reason=hostile)
    text = Verdict(subject=hostile, outcome="failed", checks=(check,), summary=hostile).to_markdown()

    assert text.count(safe(hostile)) == 6
    assert "![x]" not in text and "<img" not in text


def test_a_verdict_shows_what_did_not_pass_first() -> None:
    checks = tuple(
        Check(name=f"metric.{name}", observed=0.5, interval=(0.25, 0.75), outcome=outcome, reason="It is so.")
        for name, outcome in (("auc", "passed"), ("log_loss", "failed"))
    )
    lines = Verdict(subject="metrics", outcome="failed", checks=checks, summary="No.").to_markdown().splitlines()

    assert lines[0] == "## metrics: failed"
    assert lines[-2] == r"| metric.log\_loss |  | 0.5 | \[0.25, 0.75\] |  | failed | It is so. |"
    assert lines[-1].startswith("| metric.auc |")
