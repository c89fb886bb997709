from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from components._shared.decision_rule import DecisionRule
from components._shared.evidence import CalibrationLine, Curves, Estimate, Figures, Saving, SliceFigures, Value
from components._shared.facts import Facts
from components._shared.ledger import Outcome
from components._shared.model_changes import Changed, TermChange
from components._shared.model_info import Term
from components._shared.verdict import Check, Verdict
from components.judge.executor import judge
from components.judge.report.afterwards import afterwards
from components.judge.report.card import model_card
from components.judge.report.document import JUMP
from components.judge.report.ledger import render_ledger
from components.judge.report.metrics import metric_rows, slice_tables
from components.judge.report.page import render
from components.judge.report.value import no_clear_saving
from tests.late_flights_evidence import (
    behaviour_of,
    changes_of,
    comparison_of,
    explanation_of,
    settlement_of,
    settlements_of,
)

Inputs = Callable[..., dict[str, Any]]
PROBLEMS = ("binary_classification", "multiclass_classification", "regression")
VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed, in order; collects what the tests ask about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        self.tags.append((tag, dict(attrs)))
        self.text += " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2", "h3", "h4"):
            self.headings.append(f"{self.open[-1]} {data.strip()}")
        if self.open and self.open[-1] != "style":
            self.text += data

    def words(self) -> str:
        return " ".join(self.text.split())


def with_evaluation(inputs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**inputs, "evaluation": inputs["evaluation"].model_copy(update=changes)}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("champion", [True, False])
@pytest.mark.parametrize("outcome", ["passed", "failed", "cannot_judge"])
def test_every_state_of_every_problem_gives_a_well_formed_page(
    make_inputs: Inputs, problem: str, champion: bool, outcome: str
) -> None:
    html = judge(**make_inputs(problem, champion=champion, outcome=outcome)).report_html
    page = Page(html)

    assert len(html.encode()) < 2_000_000
    assert not any(tag in ("iframe", "object", "link", "img") for tag, _ in page.tags)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {(attributes["href"] or "").removeprefix("#") for tag, attributes in page.tags if tag == "a"}
    assert targets <= set(ids)
    assert "None" not in page.words()


def test_the_page_loads_nothing(make_inputs: Inputs) -> None:
    html = judge(**make_inputs()).report_html

    assert not re.search(r"https?:|[\"'(]//|url\(|@import|\ssrc=", html)
    assert "default-src 'none'" in html


def test_the_decision_stands_first_and_headings_follow_in_order(make_inputs: Inputs) -> None:
    page = Page(judge(**make_inputs()).report_html)

    assert page.headings[0] == "h1 Rejected"
    assert [heading for heading in page.headings if heading.startswith("h2")] == [
        "h2 Why?", "h2 Is it better?", "h2 How does it differ?", "h2 Where is it better or worse?",
        "h2 Does it behave?", "h2 What has it learned?", "h2 What changed?", "h2 Is it calibrated?",
        "h2 Were earlier promises kept?", "h2 Can the rows be trusted?", "h2 What was it made from?",
        "h2 Can it be made again?",
    ]  # fmt: skip
    words = page.words()
    assert (
        words.index("Log-loss is worse than the champion’s")
        < words.index("27,012 rows on 30 days")
        < words.index("Why? Every limit")
    )
    for needed in (
        "mature before 30 Sep 2013, 12:00",
        "412 rows are too young",
        "champion, version 1",
        "beats both models",
        "all test rows",
    ):
        assert needed in words


def test_the_same_inputs_give_the_same_bytes(make_inputs: Inputs) -> None:
    first, second = judge(**make_inputs()), judge(**make_inputs())

    assert first.report_html == second.report_html
    assert first.facts.to_json() == second.facts.to_json()


def test_the_page_is_made_from_the_facts_alone(make_inputs: Inputs) -> None:
    judged = judge(**make_inputs())

    assert render(Facts.from_json(judged.facts.to_json())) == judged.report_html


def test_every_gate_stands_on_the_page_failures_first(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    drift = tuple(
        Check(
            name="data.drift_psi",
            slice=f"feature=x{n}",
            observed=0.01,
            limit="at most 0.25",
            outcome="passed",
            reason="Hardly moved.",
        )
        for n in range(120)
    )
    data = inputs["verdicts"].data
    fine = data.model_copy(update={"checks": (*data.checks, *drift)})
    inputs["verdicts"] = replace(inputs["verdicts"], data=fine)
    judged = judge(**inputs)
    words = Page(judged.report_html).words()

    for check in judged.verdict.checks:
        assert check.name in words and check.reason in words and (check.slice in words)
    gates = words[words.index("Why? Every limit") :]
    assert gates.index("champion.log_loss") < gates.index("metric.auc") < gates.index("feature=x0")


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_one_of_200_slices_stands_on_a_small_page(make_inputs: Inputs, problem: str) -> None:
    names = [f"town {n}" for n in range(200)]
    html = judge(**make_inputs(problem, slices={"town": names})).report_html
    words = Page(html).words()

    assert all(f"{name} " in words for name in names)
    assert "185 smaller slices" in words
    assert len(html.encode()) < 1_000_000


def test_of_thousands_of_slices_features_and_classes_the_page_shows_what_matters_and_says_so(
    make_inputs: Inputs, make_feature: Callable[..., Any]
) -> None:
    inputs = make_inputs("multiclass_classification", slices={"town": [f"town {n}" for n in range(3000)]})
    features = tuple(make_feature(f"f{n}", "numeric", drift=0.9 if n == 777 else 0.0) for n in range(1000))
    inputs["data_evidence"] = inputs["data_evidence"].model_copy(update={"features": features})
    many = tuple(tuple(1 if i == j else int(i == 7 and j == 9) * 5 for j in range(150)) for i in range(150))
    curves = Curves(confusion=many, classes=tuple(f"class {n}" for n in range(150)))
    judged = judge(**with_evaluation(inputs, curves=curves))
    words = Page(judged.report_html).words()

    assert len(judged.report_html.encode()) < 2_000_000
    assert "2,600 more, smaller slices stand in the facts" in words
    assert "850 more features, those that moved least, stand in the facts" in words
    assert "f777" in words
    assert "class 7 class 9 5 83.3 %" in words
    assert len(judged.facts.evaluation.slices) == 3000
    assert len(judged.markdown.encode()) <= 50_000


def test_no_script_runs_but_the_one_that_makes_links_work_in_a_frame(make_inputs: Inputs) -> None:
    html = judge(**make_inputs()).report_html

    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    (script,) = re.findall(r"<script>(.*?)</script>", html)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert script == JUMP


def test_names_and_values_are_text_and_never_markup(make_inputs: Inputs, make_feature: Callable[..., Any]) -> None:
    evil = "<script>alert('x')</script>\"&amp;<b> | `日本` 🛫"
    inputs = make_inputs(slices={evil: [evil, ""]}, features={evil: "categorical"})
    check = Check(name="metric.auc", slice=f"{evil}={evil}", limit=evil, outcome="failed", reason=evil)
    bad = Verdict(subject="metrics", outcome="failed", checks=(check,), summary=evil)
    inputs["verdicts"] = replace(inputs["verdicts"], metrics=bad)
    inputs["data_evidence"] = inputs["data_evidence"].model_copy(update={"proposal": evil, "notices": (evil,)})
    term = Term(name=evil, feature=evil, category=evil, weight=0.2, interval=(0.1, 0.3), unit=evil, share=0.1)
    inputs["model"] = inputs["model"].model_copy(update={"terms": (term,), "notices": (evil,)})
    words = {"task": evil, "question": evil, "label": evil, "population": evil}
    inputs["gates"] = inputs["gates"].model_copy(update=words)
    inputs["comparison"], inputs["changes"] = comparison_of(evil=evil), changes_of(evil)
    inputs["behaviour"], inputs["settlements"] = behaviour_of(evil), settlements_of(evil)
    inputs["explanation"] = explanation_of({evil: "categorical", "x": "numeric"}, evil=evil)
    judged = judge(**inputs)
    page = Page(render(judged.facts, (settlement_of("broken", evil=evil),)))

    assert not any(tag == "b" for tag, _ in page.tags)
    assert judged.report_html.count("<script") == 1 and "<script" not in judged.markdown
    assert "<b>" not in judged.card and "<script" not in judged.card
    assert page.words().count("<script>alert('x')</script>") >= 10
    assert "日本 🛫" in page.words().replace("`", "")


def test_a_name_of_any_length_is_cut(make_inputs: Inputs) -> None:
    inputs = make_inputs(slices={"column" * 500: ["value" * 5000]}, features={"feature" * 500: "numeric"})

    assert len(judge(**inputs).report_html.encode()) < 200_000


def test_slices_and_metrics_without_figures_are_shown_as_empty(make_inputs: Inputs) -> None:
    inputs = make_inputs(champion=False, outcome="passed")
    empty = SliceFigures(column="origin", value="EWR", rows=0, clusters=0, label_mean=None, metrics={})
    nothing = with_evaluation(
        inputs,
        rows=0,
        clusters=0,
        window=None,
        overall=empty.model_copy(update={"column": "", "value": ""}),
        slices=(empty,),
        constant_beats_both=(),
        curves=Curves(),
    )
    words = Page(judge(**nothing).report_html).words()

    assert "No metric could be computed." in words
    assert "Judged on no rows" in words
    assert "EWR" in words


def test_a_figure_without_interval_or_constant_is_shown(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    bare = Figures(candidate=Estimate(value=0.6512), champion=Estimate(value=0.6), difference=Estimate(value=0.0512))
    overall = inputs["evaluation"].overall.model_copy(update={"metrics": {"auc": bare}})
    words = Page(judge(**with_evaluation(inputs, overall=overall, constant_beats_both=())).report_html).words()

    assert "0.5 is chance; higher is better 0.651 0.600 – +0.051" in words


def test_rows_left_out_to_be_fair_are_told(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    fair = with_evaluation(inputs, left_out=1204, fair_from=inputs["windows"].test.start)
    words = Page(judge(**fair).report_html).words()

    assert "rows from 1 Sep 2013" in words
    assert "1,204 earlier rows left out" in words


def test_rows_that_are_not_accounted_for_are_told(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    rows = inputs["data_evidence"].rows.model_copy(update={"read": 336_786})
    inputs["data_evidence"] = inputs["data_evidence"].model_copy(update={"rows": rows})

    assert "10 of the rows read are not accounted for." in Page(judge(**inputs).report_html).words()


def test_a_task_without_time_has_no_timeline(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    none = dict.fromkeys(("span", "labelled_until", "train", "tune", "test"))
    inputs["windows"] = inputs["windows"].model_copy(update={**none, "tune_share": 0.1, "test_share": 0.2})
    inputs["gates"] = inputs["gates"].model_copy(update={"has_time": False})
    judged = judge(**with_evaluation(inputs, window=None))
    words = Page(judged.report_html).words()

    assert "judged over 27,012 rows;" in judged.verdict.summary
    assert "by a hash of their key" in words
    assert "From what time" not in words


def test_every_plot_says_what_it_shows_and_gives_its_numbers(make_inputs: Inputs) -> None:
    for problem in PROBLEMS:
        page = Page(judge(**make_inputs(problem)).report_html)
        plots = [attributes for tag, attributes in page.tags if tag == "svg"]

        assert plots and all(plot.get("role") == "img" and plot.get("aria-label") for plot in plots)
        charts = sum(plot.get("class") == "chart" for plot in plots)
        assert charts == sum(attributes.get("class") == "numbers-of-a-plot" for _, attributes in page.tags)
        summaries = re.findall(r"<summary>(Numbers[^<]*)</summary>", judge(**make_inputs(problem)).report_html)
        assert "Numbers" not in summaries and len(set(summaries)) == len(summaries)


def test_text_stands_out_from_its_background_in_both_schemes(make_inputs: Inputs) -> None:
    html = judge(**make_inputs()).report_html
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", html, re.S)[:2]
    )

    for scheme in (light, dark):
        for text, background in (
            ("text", "page"), ("text", "surface"), ("quiet", "page"), ("quiet", "surface"), ("accent", "page"),
            ("good", "page"), ("good", "good-soft"), ("bad", "page"), ("bad", "bad-soft"),
            ("unsure", "page"), ("unsure", "unsure-soft"), ("good", "surface"), ("bad", "surface"), ("quiet", "page"),
        ):  # fmt: skip
            assert _contrast(scheme[text], scheme[background]) >= 4.5, (text, background)
        assert all(_contrast(scheme["zero"], scheme[background]) >= 3 for background in ("page", "surface"))


def test_on_a_phone_every_cell_of_a_card_is_named(make_inputs: Inputs) -> None:
    html = judge(**make_inputs()).report_html
    for name in ("fates", "features"):
        (table,) = re.findall(rf'<table class="cards {name}">.*?</table>', html, re.S)
        cells = re.findall(r"<td[^>]*>", table)
        assert cells and all("data-label=" in cell or 'class="reason"' in cell for cell in cells)


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_what_happened_afterwards_heads_the_page_once_it_is_known(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    inputs["gates"] = inputs["gates"].model_copy(update={"question": "Will it be late?"})
    judged = judge(**inputs)
    later = render(judged.facts, (settlement_of("broken"),))
    page = Page(later)
    words = page.words()

    assert "What happened afterwards" not in Page(judged.report_html).words()
    assert page.headings[1] == "h2 What happened afterwards: promise broken"
    assert words.index("What happened afterwards") < words.index("Why? Every limit")
    assert "Promised:" not in words and "AUC is better by 0.003 [−0.003, 0.009], clearly less than the 0.023" in words
    assert (
        "The candidate asked to replace the champion of the time; it was promoted as version 2 as of 1 Oct 2013."
        in words
    )
    assert "The candidate asks to replace the champion, the model in use." in Page(judged.report_html).words()
    assert "Proposed now: saiki rollback 1" in words
    for row in ("Promised 1 – 30 Sep 2013 0.671 0.648 +0.023", "Block 3 1 – 30 Nov 2013 0.646", "Came true 1 Oct – 29"):
        assert row in words
    assert render(judged.facts, (settlement_of("broken"),)) == later


def test_of_other_decisions_nothing_is_said_of_afterwards(make_inputs: Inputs) -> None:
    judged = judge(**make_inputs())
    other = settlement_of("broken", candidate=judged.facts.champion)

    assert render(judged.facts, (other,)) == judged.report_html


def test_earlier_promises_are_shown_and_never_merged(make_inputs: Inputs) -> None:
    inputs = make_inputs(outcome="passed")
    inputs["settlements"] = inputs["settlements"].model_copy(update={"settlements": (settlement_of("broken"),)})
    judged = judge(**inputs)

    assert judged.verdict.outcome == "passed"
    assert "Promoted as of 1 Oct 2013 version 2 Promise broken" in Page(judged.report_html).words()


def test_how_it_differs_is_told_before_it_is_shown(make_inputs: Inputs) -> None:
    words = Page(judge(**make_inputs()).report_html).words()
    section = words[words.index("How does it differ?", words.index("Why? Every limit")) :]

    told = [
        "There is much to see",
        "Quantiles of the scores",
        "31 of the 49 points with a band lie outside it",
        "act → do not act 1,402 1,390 with a label 5.1 % [4.5 %, 5.7 %] 81.0 %",
        "carrier EV stands out 30.0 %",
        "0.210 → 0.620 (+0.410), label 0",
    ]
    places = [section.index(text) for text in told]
    assert places == sorted(places)


def test_a_test_of_behaviour_stands_beside_its_limit_the_champion_and_its_worst_case(make_inputs: Inputs) -> None:
    words = Page(judge(**make_inputs()).report_html).words()

    assert "15 is added to sched_dep_minute Expected: the score moves by at most 0.05" in words
    assert "at most 2.0 % 1.2 % [0.8 %, 1.6 %] 2,000 rows 30 days" in words
    assert "3.4 % [2.6 %, 4.2 %]" in words and " near the threshold, " in words
    assert "sched_dep_minute: 765 → 780 score 0.243 → 0.297 (+0.054), decided do not act → act" in words


def test_what_it_has_learned_stands_beside_what_the_champion_has(make_inputs: Inputs) -> None:
    page = Page(judge(**make_inputs()).report_html)

    assert "carrier categorical 0.0300 [0.0280, 0.0320]" in page.words()
    assert "h4 distance" in page.headings and "h4 carrier" in page.headings
    assert "On the standardised scale" not in page.words()


def test_terms_are_on_the_natural_scale_with_what_they_do_to_the_odds(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    term = Term(
        name="carrier=EV", feature="carrier", category="EV", weight=0.405, interval=(0.35, 0.46),
        unit="against the average", share=0.16,
    )  # fmt: skip
    inputs["model"] = inputs["model"].model_copy(update={"terms": (term,), "coefficients": {"carrier=EV": 1.0}})

    assert (
        "carrier=EV against the average +0.405 [0.350, 0.460] × 1.50 16.0 %"
        in Page(judge(**inputs).report_html).words()
    )


@pytest.mark.parametrize(
    ("weight", "odds"),
    [(5000, "× 10²¹⁷¹"), (-5000, "× 10⁻²¹⁷¹"), (4978.5, "× 10²¹⁶²"), (-750, "× 10⁻³²⁶"), (600, "× 3.77 × 10²⁶⁰")],
)
def test_what_a_large_weight_does_to_the_odds_is_a_power_of_ten(weight: float, odds: str, make_inputs: Inputs) -> None:
    inputs = make_inputs()
    term = Term(
        name="rate", feature="rate", weight=weight, interval=(weight - 1, weight + 1), unit="per unit",
    )  # fmt: skip
    inputs["model"] = inputs["model"].model_copy(update={"terms": (term,), "coefficients": {"rate": 1.0}})

    assert f"] {odds} " in Page(judge(**inputs).report_html).words()


def test_a_share_of_what_may_be_nothing_has_no_interval(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    sure, unsure, *_ = inputs["explanation"].importances
    unsure = unsure.model_copy(update={"importance": Estimate(value=0.0084, interval=(-0.0004, 0.0173))})
    inputs["explanation"] = inputs["explanation"].model_copy(update={"importances": (sure, unsure)})

    words = Page(judge(**inputs).report_html).words()

    assert "carrier categorical 0.0300 [0.0280, 0.0320] 40.0 % [35.0 %, 45.0 %]" in words
    assert "origin categorical 0.0084 [−0.0004, 0.0173] not certain 0.0125" in words

    below = unsure.model_copy(update={"importance": Estimate(value=-0.0084, interval=(-0.0173, -0.0004))})
    inputs["explanation"] = inputs["explanation"].model_copy(update={"importances": (sure, below)})
    assert "origin categorical −0.0084 [−0.0173, −0.0004] none 0.0125" in Page(judge(**inputs).report_html).words()


def test_what_changed_reads_as_a_diff(make_inputs: Inputs) -> None:
    page = Page(judge(**make_inputs()).report_html)
    words = page.words()

    for line in (
        "+ weekday categorical",
        "~ epochs 8 12",
        "− dropout 0.1",
        "+ dest 2: ANC and LEX",
        "~ carrier=EV clear",
    ):
        assert line in words
    assert {"ins", "del"} <= {tag for tag, _ in page.tags}


def test_lines_of_the_diff_that_are_left_out_are_counted(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    terms = tuple(
        TermChange(
            name=f"shop={number}",
            before=Term(name=f"shop={number}", category=str(number), weight=0.0),
            after=Term(name=f"shop={number}", category=str(number), weight=1.0),
        )
        for number in range(1000)
    )
    inputs["changes"] = inputs["changes"].model_copy(update={"terms": terms})
    words = Page(judge(**inputs).report_html).words()

    assert "292 more" in words
    assert "700 more lines stand in the facts." in words
    assert "On the natural scale; both against the candidate’s average row." in words


def test_weights_per_standard_deviation_are_not_called_natural(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    sides = [Term(name="distance", weight=weight, unit="standardised") for weight in (1.0, 2.0)]
    change = TermChange(name="distance", before=sides[0], after=sides[1], size=1.0)
    inputs["changes"] = inputs["changes"].model_copy(update={"terms": (change,)})
    words = Page(judge(**inputs).report_html).words()

    assert "Terms Per standard deviation, the largest change first." in words
    assert "On the natural scale, the clear ones" not in words


def test_the_diff_shows_the_weight_of_the_others_and_the_trainers_own_figures(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    others = Term(name="dest=(other)", feature="dest", category="(other)", bucket="other", weight=0.5)
    known = Term(name="dest=ACK", feature="dest", category="ACK", weight=-0.25)
    inputs["changes"] = inputs["changes"].model_copy(update={
        "terms": (TermChange(name="dest=ACK", before=others, after=known, size=0.1),),
        "native": (Changed(name="distance: gain", before="12", after="15"),),
        "same": True,
    })  # fmt: skip
    words = Page(judge(**inputs).report_html).words()

    assert "~ dest=ACK (other) +0.5" in words
    assert "The trainer’s own figures Of the features. 1 change" in words
    assert "~ distance: gain 12 15" in words
    assert "Unchanged: the model’s files." in words


def test_without_a_champion_what_cannot_be_compared_is_one_line_each(make_inputs: Inputs) -> None:
    words = Page(judge(**make_inputs(champion=False, outcome="passed")).report_html).words()

    assert "How does it differ? Nothing was compared: there is no champion yet." in words
    assert "What changed? There is no champion yet to change from." in words
    assert "Were earlier promises kept? No earlier decision could be settled" in words


def test_the_share_of_flips_is_that_of_all_ways_however_many_are_listed(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    words = Page(judge(**inputs).report_html).words()
    assert "Both decide alike (from a score of 0.25) on all but 2,157 of 27,314 rows, 7.9 %." in words
    assert "most frequent" not in words

    more = {"flipped": Estimate(value=0.4), "ways": 1056}
    inputs["comparison"] = inputs["comparison"].model_copy(update=more)
    words = Page(judge(**inputs).report_html).words()
    assert "on all but 10,926 of 27,314 rows, 40.0 %. Shown are the 2 most frequent of 1,056 ways." in words


def test_labels_of_flips_are_called_fair_where_known_ones_were_left_out(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    assert "1,390 with a label" in Page(judge(**inputs).report_html).words()
    inputs["comparison"] = inputs["comparison"].model_copy(update={"labelled": 20_000})
    assert "1,390 fair to both" in Page(judge(**inputs).report_html).words()


@pytest.mark.parametrize(
    ("banded", "outside", "cluster", "says"),
    [
        (37, 34, None, "34 of the 37 points with a band lie outside it: more than chance would do."),
        (37, 1, None, "1 of the 37 points with a band lies outside it"),
        (37, 0, None, "The band is what chance alone would do; no point lies outside."),
        (0, 0, None, "Too few days for a band."),
        (0, 0, "store", "Too few clusters for a band."),
    ],
)
def test_the_note_on_quantiles_speaks_of_the_band_that_is_there(
    make_inputs: Inputs, banded: int, outside: int, cluster: str | None, says: str
) -> None:
    inputs = make_inputs()
    inputs["gates"] = inputs["gates"].model_copy(update={"cluster": cluster})
    (output,) = inputs["comparison"].outputs
    points = tuple(
        point if number < banded else point.model_copy(update={"low": None, "high": None})
        for number, point in enumerate(output.qq)
    )
    output = output.model_copy(update={"qq": points, "outside": outside})
    inputs["comparison"] = inputs["comparison"].model_copy(update={"outputs": (output,)})
    words = Page(judge(**inputs).report_html).words()
    assert says in words and ("The band is" in words) == bool(banded)


def test_the_value_is_in_the_unit_of_the_task(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    rule = DecisionRule(costs={"false_positive": 12, "false_negative": 60}, unit="minutes")
    inputs["gates"] = inputs["gates"].model_copy(update={"decision": rule})
    saving = Saving(
        cost=13.5,
        per_row=Estimate(value=0.13, interval=(0.05, 0.21)),
        per_cluster=Estimate(value=118.0, interval=(45.0, 191.0)),
        total=Estimate(value=3540.0, interval=(1350.0, 5730.0)),
    )
    value = Value(
        unit="minutes", cost=Estimate(value=13.4, interval=(11.6, 15.1)), champion=saving, constant=saving,
        constant_decision="1",
    )  # fmt: skip
    words = Page(judge(**with_evaluation(inputs, value=value)).report_html).words()

    assert "Deciding by the candidate saves 118 minutes a day [45, 191] beside the champion" in words
    assert "calling every row positive" in words
    assert "false positive: 12 minutes" in words


def deciding_otherwise(inputs: dict[str, Any]) -> dict[str, Any]:
    rule = DecisionRule(costs={"false_positive": 12, "false_negative": 48}, unit="minutes")
    return {**inputs, "gates": inputs["gates"].model_copy(update={"decision": rule})}


def test_accuracy_at_another_threshold_than_the_tasks_is_named_so_and_tells_nothing(make_inputs: Inputs) -> None:
    usual = {row.code: row for row in metric_rows(judge(**make_inputs()).facts)}["accuracy"]
    inputs = deciding_otherwise(make_inputs())
    figures = inputs["evaluation"].overall.metrics["accuracy"]
    clear = figures.model_copy(update={"difference": Estimate(value=0.012, interval=(0.006, 0.018))})
    overall = inputs["evaluation"].overall
    overall = overall.model_copy(update={"metrics": {**overall.metrics, "accuracy": clear}})
    changed = with_evaluation(inputs, overall=overall, constant_beats_both=("accuracy",))
    found = {row.code: row for row in metric_rows(judge(**changed).facts)}["accuracy"]

    assert usual.name == "Accuracy"
    assert (found.name, found.tells, found.constant_wins) == ("Accuracy at 0.5", "unclear", "")
    assert "nobody acts on it here" in found.meaning
    assert ", better, but nobody acts on it" in found.plot
    assert "nobody acts on it" not in usual.plot
    grey = "A difference is grey where it may be luck, and in a metric that nobody acts on."
    assert grey in Page(judge(**changed).report_html).words()
    assert grey not in Page(judge(**make_inputs()).report_html).words()


def test_each_metric_says_what_its_constant_does(make_inputs: Inputs) -> None:
    inputs = deciding_otherwise(make_inputs())
    value = Value(cost=Estimate(value=6.6), constant_decision="1")
    found = {row.code: row.constant_is for row in metric_rows(judge(**with_evaluation(inputs, value=value)).facts)}

    assert found["accuracy"] == "calling no row positive"
    assert found["log_loss"].startswith("always the training rate")
    assert found["auc"] == "one score for all rows"


def saving(cost: float, per_row: float, pair: tuple[float, float]) -> Saving:
    one = Estimate(value=per_row, interval=pair)
    many = Estimate(value=900 * per_row, interval=(900 * pair[0], 900 * pair[1]))
    return Saving(cost=cost, per_row=one, per_cluster=many, total=many)


@pytest.mark.parametrize(
    ("per_row", "pair", "said"),
    [
        (0.1, (-0.1, 0.3), "That it saves minutes is not shown: 90 a day [−90, 270] beside the champion."),
        (
            -0.1,
            (-0.3, 0.1),
            "That it saves minutes is not shown: by estimate it costs 90 a day [−90, 270] more than the champion.",
        ),
        (-0.2, (-0.3, -0.1), "Deciding by the candidate costs 180 minutes a day [90, 270] more than the champion."),
        (0.2, (0.1, 0.3), ""),
    ],
)
def test_that_no_saving_is_shown_is_said_at_the_top_before_any_constant(
    per_row: float, pair: tuple[float, float], said: str, make_inputs: Inputs
) -> None:
    value = Value(
        unit="minutes",
        cost=Estimate(value=8.7, interval=(8.2, 9.2)),
        champion=saving(8.8, per_row, pair),
        hindsight=saving(8.4, -0.3, (-0.9, 0.3)),
        hindsight_decision="0",
        constant_decision="1",
    )
    facts = judge(**with_evaluation(deciding_otherwise(make_inputs()), value=value)).facts
    words = Page(render(facts)).words()
    top = words[: words.index("Why? Every limit")]

    assert no_clear_saving(facts) == said.replace(" minutes a", "\u00a0minutes a")
    assert f"{said} One decision for all rows may have been cheaper" in top


def test_without_a_champion_or_an_interval_nothing_is_said_of_a_saving_that_is_not_shown(make_inputs: Inputs) -> None:
    alone = Value(cost=Estimate(value=8.7))
    one = Estimate(value=-0.1)
    bare = Saving(cost=8.6, per_row=one, per_cluster=one, total=one)

    for value in (None, alone, alone.model_copy(update={"champion": bare})):
        assert no_clear_saving(judge(**with_evaluation(make_inputs(), value=value)).facts) == ""


def test_the_mean_cost_of_a_row_stands_for_both_models_and_every_single_decision(make_inputs: Inputs) -> None:
    inputs = deciding_otherwise(make_inputs())
    overall = inputs["evaluation"].overall
    cost = Figures(
        candidate=Estimate(value=8.67, interval=(8.19, 9.16)),
        champion=Estimate(value=8.72, interval=(8.09, 9.35)),
        difference=Estimate(value=-0.05, interval=(-0.38, 0.29)),
        constant=12.0,
    )
    value = Value(
        unit="minutes",
        cost=cost.candidate,
        champion=saving(8.72, 0.05, (-0.29, 0.38)),
        constant=saving(12.0, 3.3, (2.8, 3.8)),
        constant_decision="1",
        hindsight=saving(8.04, -0.63, (-3.3, 2.0)),
        hindsight_decision="0",
    )

    def said(**changes: Any) -> str:
        changed = with_evaluation(inputs, value=value.model_copy(update=changes), overall=known)
        return Page(judge(**changed).report_html).words()

    known = overall.model_copy(update={"metrics": {**overall.metrics, "cost": cost}})
    models = (
        "Mean cost of a row: candidate 8.67 [8.19, 9.16], champion 8.72 [8.09, 9.35], calling every row positive 12.00"
    )
    assert f"{models}, calling no row positive (the best in hindsight) 8.04, in minutes." in said()
    assert f"{models}, in minutes." in said(hindsight_decision="1")


@pytest.mark.parametrize(("interval", "luck"), [((-0.9, 0.3), True), ((-0.5, -0.1), False)])
def test_one_decision_that_would_have_been_cheaper_than_both_is_said_at_the_top(
    interval: tuple[float, float], luck: bool, make_inputs: Inputs
) -> None:
    value = Value(
        unit="minutes",
        cost=Estimate(value=8.7, interval=(8.2, 9.2)),
        champion=saving(8.8, 0.1, (-0.1, 0.3)),
        hindsight=saving(8.4, -0.3, interval),
        hindsight_decision="0",
        constant_decision="1",
    )
    inputs = with_evaluation(deciding_otherwise(make_inputs()), value=value, constant_beats_both=())
    words = Page(judge(**inputs).report_html).words()
    told = "cheaper than both models: calling no row positive (in hindsight) costs 270 minutes a day"

    assert words.index(told) < words.index("Why? Every limit")
    assert told in words[words.index("What is it worth?") :][:200]
    assert ("less than the candidate, which may be luck." in words) == luck
    have = "may have" if luck else "would have"
    assert words.count(f"One decision for all rows {have} been cheaper than both models") == 3


def test_what_both_models_promise_and_what_is_acted_on_stands_at_the_top(make_inputs: Inputs) -> None:
    def curves(mean: float, bias: float, acted: int) -> Curves:
        line = CalibrationLine(score_mean=mean, bias=Estimate(value=bias, interval=(bias - 0.02, bias + 0.02)))
        return Curves(confusion=((900 - acted, acted), (50, 50)), classes=("0", "1"), threshold=0.2, line=line)

    inputs = make_inputs()
    far = with_evaluation(inputs, curves=curves(0.25, 0.15, 450), champion_curves=curves(0.24, 0.14, 350))
    words = Page(judge(**far).report_html).words()
    top = words[: words.index("Why? Every limit")]

    assert (
        "Both models promise too much: 0.250 (candidate) and 0.240 (champion) on average, where 0.100 came true." in top
    )
    assert "The candidate acts on 50.0 % of these rows (the champion on 40.0 %): on scores from 0.200 on." in top
    near = with_evaluation(inputs, curves=curves(0.11, 0.01, 450), champion_curves=curves(0.24, 0.14, 350))
    assert "Both models promise" not in Page(judge(**near).report_html).words()


def test_afterwards_the_other_metrics_of_the_settlement_stand_beside_the_promised_one(make_inputs: Inputs) -> None:
    judged = judge(**make_inputs())
    settlement = settlement_of("kept")
    blocks = tuple(
        block.model_copy(update={"metrics": {**block.metrics, "log_loss": _gain(gain)}})
        for block, gain in zip(settlement.blocks, (-0.003, 0.005, 0.017), strict=True)
    )
    whole = settlement.whole.model_copy(update={"metrics": {**settlement.whole.metrics, "log_loss": _gain(0.006)}})
    words = Page(render(judged.facts, (settlement.model_copy(update={"blocks": blocks, "whole": whole}),))).words()

    assert "Gain in other metrics: plus is better." in words
    assert "Log-loss +0.006 [0.001, 0.011] −0.003 [−0.008, 0.002] +0.005 [0.000, 0.010] +0.017 [0.012, 0.022]" in words
    assert (
        "Kept means: the gain is not clearly less than was promised, and its whole interval says that the model is not "
        "worse than version 1 by more than the tolerated 0.005." in words
    )


def test_afterwards_a_cost_has_its_unit_and_each_block_its_colour() -> None:
    settlement = settlement_of("kept")
    blocks = tuple(
        block.model_copy(update={"metrics": {**block.metrics, "cost": _gain(gain)}})
        for block, gain in zip(settlement.blocks, (-0.02, 0.002, 0.03), strict=True)
    )
    whole = settlement.whole.model_copy(update={"metrics": {**settlement.whole.metrics, "cost": _gain(0.006)}})
    settlement = settlement.model_copy(update={"blocks": blocks, "whole": whole})

    (cost,) = afterwards(settlement, "UTC", "minutes").others
    assert cost.name == "Cost, minutes saved a row"
    assert [side for _, side in cost.blocks] == ["worse", "unclear", "better"]
    assert afterwards(settlement, "UTC").others[0].name == "Cost saved a row"


@pytest.mark.parametrize(
    ("outcome", "result", "champion", "told"),
    [
        ("kept", "promoted", False, "is not worse than a constant."),
        ("kept", "rejected", True, "for it is not better than version 1 by more than 0.01, the least that matters."),
        ("short", "promoted", True, "is not clearly worse than version 1 by more than the tolerated 0.005."),
        ("broken", "promoted", True, "by more than the tolerated 0.005, or clearly worse than a constant."),
        ("missed", "rejected", True, "version 1, which was kept, and by more than 0.01, the least that matters."),
    ],
)
def test_each_outcome_says_what_it_means(outcome: Outcome, result: str, champion: bool, told: str) -> None:
    settlement = settlement_of(outcome, result=result, champion=champion)
    promise = settlement.decision.promise.model_copy(update={"worth": 0.01})
    decision = settlement.decision.model_copy(update={"promise": promise})

    assert afterwards(settlement.model_copy(update={"decision": decision}), "UTC").means.endswith(told)


@pytest.mark.parametrize(
    ("candidate", "champion", "told"),
    [
        (0.634, 0.618, "AUC itself went from 0.671 to 0.634 (the champion’s from 0.648 to 0.618): both do worse"),
        (0.69, 0.66, "AUC itself went from 0.671 to 0.690 (the champion’s from 0.648 to 0.660): both do better"),
        (0.634, 0.66, ""),
        (0.6711, 0.66, ""),
    ],
)
def test_where_both_models_moved_the_same_way_that_is_said(candidate: float, champion: float, told: str) -> None:
    settlement = settlement_of("kept")
    came = settlement.whole.metrics["auc"].model_copy(
        update={"candidate": Estimate(value=candidate), "champion": Estimate(value=champion)}
    )
    whole = settlement.whole.model_copy(update={"metrics": {"auc": came}})
    moved = afterwards(settlement.model_copy(update={"whole": whole}), "UTC").moved

    assert moved == (f"{told} on the later rows." if told else "")


def _gain(gain: float) -> Figures:
    difference = Estimate(value=-gain, interval=(-gain - 0.005, -gain + 0.005))
    return Figures(candidate=Estimate(value=0.4), champion=Estimate(value=0.4 + gain), difference=difference)


def test_slices_that_cost_more_than_is_allowed_are_listed_and_what_may_be_luck_is_said_so(make_inputs: Inputs) -> None:
    inputs = make_inputs(slices={"town": [f"town {n}" for n in range(10)]})

    def named(values: list[float]) -> str:
        slices = tuple(
            one.model_copy(
                update={
                    "metrics": {
                        "calibration_error": one.metrics["calibration_error"].model_copy(
                            update={
                                "difference": Estimate(
                                    value=value, interval=(value - 0.02, value + 0.02), error=0.01, skewness=0.0
                                )
                            }
                        )
                    }
                }
            )
            for one, value in zip(inputs["evaluation"].slices, values, strict=True)
        )
        return Page(judge(**with_evaluation(inputs, slices=slices)).report_html).words()

    together = "slices, by estimate. With 10 slices looked at together,"
    assert f"in 1 of 10 {together} none is beyond 0.02 for certain. town town 0 +0.025" in named([0.025, *[0.0] * 9])
    sure = named([0.09, *[0.0] * 9])
    assert f"in 1 of 10 {together} 1 of them is beyond 0.02 hardly by luck. town town 0 +0.090" in sure
    assert "[0.070, 0.110] hardly by luck" in sure
    alone = "none is beyond 0.02 for certain, though town town 0 is by its own interval. town"
    assert f"in 1 of 10 {together} {alone}" in named([0.0405, *[0.0] * 9])
    alone = "none is beyond 0.02 for certain, though town town 0 and town town 1 are by their own intervals. town"
    assert f"in 3 of 10 {together} {alone}" in named([0.0406, 0.0405, 0.03, *[0.0] * 7])
    alone = "1 of them is beyond 0.02 hardly by luck, and town town 1 is by its own interval. town"
    assert f"in 2 of 10 {together} {alone}" in named([0.09, 0.0405, *[0.0] * 8])
    assert "in none of 10 slices." in named([0.0] * 10)


def test_a_slice_of_few_positives_has_no_auc(make_inputs: Inputs) -> None:
    inputs = make_inputs(slices={"town": ["small"]})
    (one,) = inputs["evaluation"].slices
    few = one.model_copy(update={"rows": 40, "label_mean": 0.1})

    assert (
        slice_tables(judge(**with_evaluation(inputs, slices=(few,))).facts)[0].first[1].candidate == "too few positives"
    )


def test_numbers_of_a_limit_are_written_as_the_page_writes_numbers(make_inputs: Inputs) -> None:
    words = Page(judge(**make_inputs()).report_html).words()

    assert "at most 1 × 10⁻⁵" in words and "1e-05" not in words


def test_a_slice_is_coloured_only_beyond_the_luck_of_many(make_inputs: Inputs) -> None:
    inputs = make_inputs(slices={"town": [f"town {n}" for n in range(40)]})
    clear = Estimate(value=-0.08, interval=(-0.1, -0.06), error=0.01, skewness=0.0)
    lucky = Estimate(value=-0.02, interval=(-0.0397, -0.0003), error=0.0097, skewness=0.0)
    nothing = Estimate(value=0.001, interval=(-0.019, 0.021), error=0.0097, skewness=0.0)
    differences = (clear, lucky, *[nothing] * 38)
    slices = tuple(
        one.model_copy(update={"metrics": {"auc": one.metrics["auc"].model_copy(update={"difference": difference})}})
        for one, difference in zip(inputs["evaluation"].slices, differences, strict=True)
    )
    found = slice_tables(judge(**with_evaluation(inputs, slices=slices)).facts)[0].first

    assert {row.value: row.tells for row in found if row.value in ("town 0", "town 1")} == {
        "town 0": "worse",
        "town 1": "unclear",
    }


def test_the_ledger_puts_every_promise_beside_its_outcome() -> None:
    broken, kept = settlement_of("broken"), settlement_of("kept", champion=False)
    html = render_ledger("flights", (broken, kept), (kept.decision,), timezone="America/New_York")
    page = Page(html)
    words = page.words()

    assert "Promise kept: 1 Promise broken: 1 Not settled yet: 1" in words
    assert "h2 Promoted as of 1 Oct 2013: promise broken" in page.headings
    assert "saiki rollback 1" in words
    assert "default-src 'none'" in html and html == render_ledger(
        "flights", (broken, kept), (kept.decision,), timezone="America/New_York"
    )
    assert "No decision could be settled yet." in Page(render_ledger("flights", ())).words()


def test_the_model_card_has_the_sections_of_a_model_card_and_names_its_gaps(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    inputs["gates"] = inputs["gates"].model_copy(
        update={"task": "flights", "question": "Will it be late?", "label": "arr_delay > 15"}
    )
    judged = judge(**inputs)
    sections = [line.removeprefix("## ") for line in judged.card.splitlines() if line.startswith("## ")]

    assert judged.card.startswith("# Model card: flights\n\n> Rejected: log-loss")
    assert sections == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    assert "- Will it be late?\n- It predicts arr\\_delay &gt; 15." in judged.card
    assert "27,012 rows on 30 days: 1 – 30 Sep 2013." in judged.card
    assert judged.card.count("*For the owner to fill in: ") == 6
    assert model_card(Facts.from_json(judged.facts.to_json())) == judged.card


def test_the_markdown_twin_is_small_and_says_the_decision_first(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    drift = tuple(
        Check(
            name="data.drift_psi",
            slice=f"feature={'x' * 100}{n}",
            limit="at most 0.25",
            outcome="failed",
            reason="long " * 200,
        )
        for n in range(500)
    )
    no = Verdict(subject="data", outcome="failed", checks=drift, summary="No.")
    inputs["verdicts"] = replace(inputs["verdicts"], data=no)
    markdown = judge(**inputs).markdown

    assert markdown.startswith("## Rejected: ")
    assert len(markdown.encode()) <= 50_000
    assert "stands in the report" in markdown or "stand in the report" in markdown
