from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components._shared import storage
from components._shared.evidence import Estimate, Figures
from components._shared.ledger import Block, Outcome, Settlement, Settlements, decision_of
from components._shared.model_files import read_model_info
from components._shared.records import Attempt, Baseline, Lineage, ModelRef, Promise
from components._shared.registry import Registry
from components._shared.windows import Window, Windows
from pipelines.__main__ import saiki
from tests.components.push.conftest import SAMPLES, Run

ROLL_BACK = "saiki rollback --task-name flights --to 1 --why 'version 2: AUC worse'"


def around(value: float, half: float) -> Estimate:
    return Estimate(value=value, interval=(value - half, value + half))


def at(month: int, day: int = 1) -> datetime:
    return datetime(2013, month, day, tzinfo=UTC)


class Book:
    """A registry whose decisions are written down by hand: versions 1, 2, …, and losers."""

    def __init__(self, root: str, make_model: Callable[..., Path]) -> None:
        self.models = Registry(root, "flights")
        self.models.open(create=True)
        self.make_model = make_model

    def decide(self, month: int, result: Any, gain: Estimate | None) -> Attempt:
        model = self.make_model(str(month))
        windows = Windows(as_of=at(month), timezone="UTC", labelled_until=at(month))
        champion, generation = self.models.champion()
        made: dict[str, Any] = {
            "experiment": "e", "judgement": f"m{month}", "made_from": {}, "windows": windows, "created": at(month),
            "model_digest": read_model_info(model).digest,
        }  # fmt: skip
        version = None
        if result == "promoted":
            version = self.models.add_version(model, Lineage(code={}, **made))
            self.models.promote(version, generation=generation, who="push", why="better", judgement=f"m{month}")
        promise = Promise(
            metric="auc",
            candidate=around(0.7, 0.05),
            gain=gain,
            constant=0.5,
            tolerated=0.005,
            rows=1000,
            due=at(month + 1, 2),
            closed=at(month + 4, 2),
        )
        beside = None if champion is None else self.models.version_ref(champion.version)
        attempt = Attempt(
            task="flights", outcome="passed", result=result, reason=f"decided in {month}", version=version,
            baseline=Baseline(champion=beside), replaced=beside if result == "promoted" else None,
            promise=promise, **made,
        )  # fmt: skip
        self.models.record_attempt(attempt, {})
        return attempt

    def settle(self, attempt: Attempt, outcome: Outcome, *gains: Estimate, proposal: str = "") -> None:
        """After ever more blocks, one more for each gain."""
        assert attempt.promise is not None
        candidate = ModelRef(version=attempt.version or 0, uri="", digest=attempt.model_digest)
        decision = decision_of(attempt.judgement, attempt, attempt.promise, candidate)
        month = attempt.windows.as_of.month
        blocks = [
            Block(
                window=Window(start=at(month + number), end=at(month + number + 1)), rows=500, clusters=30,
                metrics={"auc": Figures(
                    candidate=around(0.7, 0.05), difference=gain, champion=around(0.68, 0.05),
                    reference=around(0.5, 0), reference_difference=gain,
                )},
            )
            for number, gain in enumerate(gains)
        ]  # fmt: skip
        for number, block in enumerate(blocks, start=1):
            made = Settlement(
                decision=decision, number=number, blocks=tuple(blocks[:number]),
                whole=block.model_copy(update={"rows": 500 * number}), gain=gains[number - 1], proposal=proposal,
                outcome=outcome if number == len(blocks) else "cannot_tell", reason=f"after {number} blocks",
                settled_as_of=block.window.end,
            )  # fmt: skip
            assert self.models.record_settlement(made)


@pytest.fixture
def book(tmp_path: Path, make_model: Callable[..., Path]) -> Book:
    return Book(str(tmp_path / "registry"), make_model)


def ledger(book: Book, *arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(saiki, ["ledger", "--registry", book.models.root, *arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if "--json" in arguments else result.stdout


def test_promised_came_true_by_block_outcome_and_sentence(book: Book) -> None:
    first = book.decide(1, "promoted", None)
    book.settle(first, "kept", around(0.15, 0.02))
    second = book.decide(3, "promoted", around(0.02, 0.01))
    book.settle(second, "short", around(0.0, 0.03), around(0.001, 0.002))
    book.decide(5, "rejected", around(-0.001, 0.004))

    text = ledger(book)

    lines = text.splitlines()
    assert lines[0] == "flights: champion is version 2"
    assert [line.split() for line in lines if line.startswith(("decision", "version", "rejected"))] == [
        ["decision", "(3", "of", "3)", "as", "of", "expected", "came", "true", "rows", "outcome"],
        ["rejected", "2013-05-01", "AUC", "−0.0010", "[−0.0050,", "0.0030]", "over", "version", "2",
         "due", "2013-06-02"],
        ["version", "2", "2013-03-01", "AUC", "+0.020", "[0.010,", "0.030]", "over", "version", "1",
         "+0.0010", "[−0.0010,", "0.0030]", "1,000", "short"],
        ["version", "1", "2013-01-01", "AUC", "+0.200", "[0.150,", "0.250]", "over", "a", "constant",
         "+0.150", "[0.130,", "0.170]", "500", "kept"],
    ]  # fmt: skip
    # The blocks of the last settlement, each once; the sentence of the last one.
    assert "from 2013-03-01 to before 2013-04-01: 0.000 [−0.030, 0.030] on 500 rows" in text
    assert "from 2013-04-01 to before 2013-05-01: +0.0010 [−0.0010, 0.0030] on 500 rows" in text
    assert ("after 2 blocks" in text, text.count("after 1 blocks"), "decided in 5" in text) == (True, 1, True)


def test_a_broken_promise_of_the_champion_ends_with_1_and_the_command_that_rolls_it_back(book: Book) -> None:
    book.decide(1, "promoted", None)
    book.settle(book.decide(3, "promoted", around(0.02, 0.01)), "broken", around(-0.03, 0.01), proposal=ROLL_BACK)

    text = ledger(book, code=1)
    assert "The promise of version 2, the champion, is broken." in text
    command = text.splitlines()[-1].strip()
    assert command == f"{ROLL_BACK} --registry {book.models.root}"
    facts = ledger(book, "--json", code=1)
    assert (facts["broken"], facts["proposal"]) == (True, command)

    done = CliRunner().invoke(saiki, shlex.split(command)[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    # It is not the champion any more.
    assert "is broken" not in ledger(book)
    assert ledger(book, "--json")["champion"]["version"] == 1


def proposals(page: str) -> list[str]:
    """What the page of the ledger says is proposed now: in its table, and below."""
    found = re.findall(r'data-label="Proposed now">(.*?)</td>|Proposed now:</strong> (<code>.*?</code>)', page)
    return [html.unescape(" ".join(each).strip()) for each in found]


def test_only_the_champion_s_rollback_is_proposed_and_with_the_registry_that_was_looked_into(
    book: Book, tmp_path: Path
) -> None:
    book.decide(1, "promoted", None)
    book.settle(book.decide(3, "promoted", around(0.02, 0.01)), "broken", around(-0.03, 0.01), proposal=ROLL_BACK)
    page = tmp_path / "ledger.html"
    ledger(book, "--html", str(page), code=1)
    command = f"<code>{ROLL_BACK} --registry {book.models.root}</code>"
    assert proposals(page.read_text(encoding="utf-8")) == [command, command]

    # Version 3 has put it right.
    book.decide(5, "promoted", around(0.05, 0.01))
    ledger(book, "--html", str(page))
    assert proposals(page.read_text(encoding="utf-8")) == ["–"]
    assert "saiki rollback" not in page.read_text(encoding="utf-8")


def test_a_champion_that_somebody_promoted_by_hand_has_promised_nothing_and_that_is_said(
    book: Book, tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    book.settle(book.decide(1, "promoted", None), "broken", around(0.02, 0.01))
    lineage = book.models.versions()[0].lineage
    book.models.add_version(make_model("by hand"), lineage.model_copy(update={"judgement": "h", "model_digest": "h"}))
    command = ["promote", "2", "--registry", book.models.root, "--why", "I know better"]
    assert CliRunner().invoke(saiki, command, catch_exceptions=False).exit_code == 0

    said = "The champion, version 2, was promoted by hand: nothing was promised."
    page = tmp_path / "ledger.html"
    assert said in ledger(book, "--html", str(page)).splitlines()
    assert said in page.read_text(encoding="utf-8")
    facts = ledger(book, "--json")
    assert (facts["broken"], facts["unpromised"]) == (False, said)

    # Who returns to version 1 returns to its promise.
    command = ["promote", "1", "--registry", book.models.root, "--why", "I did not"]
    assert CliRunner().invoke(saiki, command, catch_exceptions=False).exit_code == 0
    assert ledger(book, "--json", code=1)["unpromised"] == ""


def test_a_decision_that_no_run_has_settled_in_time_says_so(book: Book) -> None:
    book.decide(1, "promoted", None)
    book.decide(5, "rejected", around(-0.001, 0.004))
    assert "due 2013-02-02" in ledger(book)
    book.decide(6, "rejected", around(-0.001, 0.004))
    text = ledger(book)
    assert "not settled in time" in text and "due 2013-02-02" not in text and "due 2013-06-02" in text


def test_of_a_missed_model_the_sentence_is_printed_and_no_command(book: Book) -> None:
    book.decide(1, "promoted", None)
    book.settle(book.decide(3, "rejected", around(0.01, 0.02)), "missed", around(0.02, 0.01))
    text = ledger(book)
    assert "after 1 blocks" in text
    assert "saiki " not in text


def test_the_json_holds_every_decision_with_all_its_settlements(book: Book) -> None:
    attempt = book.decide(1, "promoted", None)
    book.settle(attempt, "kept", around(0.15, 0.02), around(0.16, 0.02))
    facts = ledger(book, "--json")
    (entry,) = facts["decisions"]
    assert (entry["record"], entry["result"], entry["version"], entry["outcome"]) == ("m1", "promoted", 1, "kept")
    assert entry["promise"]["due"] == "2013-02-02T00:00:00Z"
    assert [each["number"] for each in entry["settlements"]] == [1, 2]
    assert (facts["broken"], facts["proposal"], facts["html"]) == (False, "", "")


def test_the_page_shows_settled_and_waiting_decisions(book: Book, tmp_path: Path) -> None:
    book.settle(book.decide(1, "promoted", None), "kept", around(0.15, 0.02))
    book.decide(5, "rejected", around(-0.001, 0.004))
    page = tmp_path / "ledger.html"
    assert str(page) in ledger(book, "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert "Promise kept" in text and "Not settled yet: 1" in text
    assert ledger(book, "--html", str(page), "--json")["html"] == str(page)


def test_a_registry_without_promises_says_so(book: Book) -> None:
    attempt = book.decide(1, "promoted", None)
    storage.delete(storage.join(book.models.root, "flights/attempts/m1.json"))
    book.models.record_attempt(attempt.model_copy(update={"promise": None}), {})
    assert ledger(book).splitlines() == [
        "flights: champion is version 1; no decision has promised anything yet",
        "The champion, version 1, promised nothing: no rows could judge it, or the run that promoted it did not end.",
    ]


def test_the_report_of_a_decision_says_what_happened_afterwards(
    book: Book, tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    run = Run(book.models.root, tmp_path / "files", make_model("x"), "j1", "passed", SAMPLES)
    run.files["settlements"].write_text(Settlements().to_json())
    run.push()
    out = tmp_path / "page.html"
    command = ["report", "--registry", book.models.root, "--version", "1", "--out", str(out)]
    assert CliRunner().invoke(saiki, command, catch_exceptions=False).exit_code == 0
    assert out.read_text() == "<html>"

    attempt = book.models.attempt("j1")
    assert attempt is not None
    book.settle(attempt, "kept", around(0.15, 0.02))
    assert CliRunner().invoke(saiki, command, catch_exceptions=False).exit_code == 0
    assert "afterwards: promise kept" in out.read_text().lower()


def test_the_report_proposes_a_rollback_of_the_present_champion_only(
    book: Book, tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    root = book.models.root

    def push(judgement: str) -> None:
        run = Run(root, tmp_path / "files", make_model(judgement), judgement, "passed", SAMPLES)
        run.files["settlements"].write_text(Settlements().to_json())
        assert run.push().result == "promoted"

    push("j1")
    push("j2")
    attempt = book.models.attempt("j2")
    assert attempt is not None
    book.settle(attempt, "broken", around(-0.03, 0.01), proposal=ROLL_BACK)
    out = tmp_path / "page.html"
    report = ["report", "--registry", root, "--version", "2", "--out", str(out)]
    assert CliRunner().invoke(saiki, report, catch_exceptions=False).exit_code == 0
    assert f"{ROLL_BACK} --registry {root}" in html.unescape(out.read_text())
    push("j3")
    assert CliRunner().invoke(saiki, report, catch_exceptions=False).exit_code == 0
    assert "promise broken" in out.read_text().lower()
    assert "saiki rollback" not in out.read_text()
