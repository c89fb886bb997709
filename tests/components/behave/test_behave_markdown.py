"""The summary of the tests of behaviour: what stands in it comes from rows."""

from __future__ import annotations

from components._shared.behaviour import Before, BehaviourCase, BehaviourEvidence, BehaviourFound
from components._shared.markdown import safe
from components._shared.verdict import Verdict
from components.behave.markdown import summary

IMAGE, TAG = "![x](https://example.com/a.png)", "<img src=x>"


def test_categories_make_no_images_or_tags() -> None:
    case = BehaviourCase(
        key="k",
        changed=(Before(feature="shop", before=IMAGE, after=TAG),),
        row={"town": TAG},
        output=IMAGE,
        score_before=0.25,
        score_after=None,
        decision_before=TAG,
        decision_after=IMAGE,
    )
    found = BehaviourFound(
        name="shops",
        change=f"shop becomes '{TAG}'",
        expectation=f"as with {IMAGE}",
        rows=1,
        clusters=1,
        limit=0.0,
        cases=(case,),
    )
    verdict = Verdict(subject="tests", outcome="failed", checks=(), summary=f"Rows with {IMAGE} break it.")

    text = summary(verdict, BehaviourEvidence(rows=1, tests=(found,)))

    assert "![x]" not in text and "<img" not in text
    assert f"shop: {safe(IMAGE)} → {safe(TAG)}" in text
    assert text.count("\n| ") == 3  # The verdict's headings, the headings of the cases and the one case.
