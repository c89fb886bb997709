"""What compare, behave, explain and settle say of a monthly retraining on late flights, for the tests of the report."""

from __future__ import annotations

import math
from datetime import datetime
from zoneinfo import ZoneInfo

from components._shared.behaviour import Before, BehaviourCase, BehaviourEvidence, BehaviourFound
from components._shared.comparison import (
    Comparison,
    Flip,
    OutputComparison,
    QuantilePoint,
    RowComparison,
    SliceComparison,
)
from components._shared.evidence import Estimate, Figures
from components._shared.explanation import (
    Dependence,
    DependencePoint,
    Explanation,
    FeatureImportance,
    SliceImportance,
)
from components._shared.ledger import Block, Decision, Outcome, Settlement, Settlements
from components._shared.model_changes import (
    CategoryChange,
    Changed,
    MetricChange,
    ModelChanges,
    Side,
    TermChange,
)
from components._shared.model_info import Term
from components._shared.records import ModelRef, Promise
from components._shared.windows import Window

_CARRIERS = ("EV", "UA", "B6", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL", "AS", "F9", "YV")
_ZONE = ZoneInfo("America/New_York")
CHAMPION = ModelRef(
    version=1,
    uri="gs://models/flights/versions/1",
    digest="c1" * 32,
    fit_until=datetime(2013, 6, 1, tzinfo=_ZONE),
)


def month(number: int) -> Window:
    return Window(start=datetime(2013, number, 1, tzinfo=_ZONE), end=datetime(2013, number + 1, 1, tzinfo=_ZONE))


def about(value: float, half: float) -> Estimate:
    return Estimate(value=value, interval=(value - half, value + half))


def comparison_of(outputs: tuple[str, ...] = ("score",), *, evil: str = "") -> Comparison:
    qq = tuple(
        QuantilePoint(
            level=n / 50,
            champion=0.02 + 0.9 * (n / 50) ** 2,
            candidate=0.03 + 0.96 * (n / 50) ** 2.1,
            low=0.02 + 0.9 * (n / 50) ** 2 - 0.01,
            high=0.02 + 0.9 * (n / 50) ** 2 + 0.01,
        )
        for n in range(1, 50)
    )
    row = {"carrier": evil or "EV", "origin": "EWR", "dest": "TYS", "distance": "631", "weekday": "Thursday"}
    return Comparison(
        champion=CHAMPION.digest,
        rows=27314,
        clusters=30,
        window=month(9),
        story=evil
        or "There is much to see: scores differ by 0.061 on average, and 7.9 % of the flights are decided otherwise. "
        "A third of it comes from carrier = EV, which now scores higher.",
        known=27000,
        labelled=27000,
        threshold=0.25,
        flipped=about(0.078970491, 0.007),
        ways=2,
        judged=2140,
        outputs=tuple(
            OutputComparison(
                name=name,
                mean=about(-0.018, 0.004),
                absolute=about(0.061, 0.003),
                quantiles={"0.05": -0.121, "0.25": -0.05, "0.5": -0.02, "0.75": 0.011, "0.95": 0.094},
                psi=0.137,
                ks=0.118,
                rank_agreement=about(0.87, 0.01),
                qq=qq,
                outside=31,
            )
            for name in outputs
        ),
        flips=(
            Flip(
                before="act", after="do not act", rows=1402, share=about(0.0513, 0.006), labelled=1390,
                right=about(0.81, 0.03), label_mean=0.19, saved=2130.0,
            ),
            Flip(
                before="do not act", after="act", rows=755, share=about(0.0276, 0.004), labelled=750,
                right=about(0.31, 0.06), label_mean=0.31, saved=-410.0,
            ),
        ),
        slices=tuple(
            SliceComparison(
                column="carrier",
                value=evil or name,
                rows=3000 - 100 * n,
                mean=about(0.05 * math.cos(n), 0.01),
                absolute=about(0.05, 0.004),
                flipped=0.08 - 0.004 * n,
                share_of_difference=0.3 / (1 + n),
                surprising=n == 0,
            )
            for n, name in enumerate(_CARRIERS)
        ),
        most_different=tuple(
            RowComparison(
                key=evil or f"2013-09-12T18:00:00Z|EV|{4100 + n}",
                time=datetime(2013, 9, 12, 14, tzinfo=_ZONE),
                label="1" if n % 2 else "0",
                candidate=0.62 - 0.01 * n,
                champion=0.21,
                features=row,
            )
            for n in range(10)
        ),
    )  # fmt: skip


def behaviour_of(evil: str = "") -> BehaviourEvidence:
    case = BehaviourCase(
        key=evil or "2013-09-03T10:00:00Z|UA|1137",
        changed=(Before(feature="sched_dep_minute", before=evil or "765", after="780"),),
        row={"carrier": evil or "UA", "origin": "EWR", "dest": "ORD", "distance": "719", "sched_dep_minute": "765"},
        score_before=0.243,
        score_after=0.297,
        decision_before="do not act",
        decision_after="act",
    )
    return BehaviourEvidence(
        rows=2000,
        near=1000,
        boundary=0.25,
        farthest=0.031,
        tests=(
            BehaviourFound(
                name="quarter-of-an-hour",
                change=evil or "15 is added to sched_dep_minute",
                expectation="the score moves by at most 0.05",
                rows=2000,
                clusters=30,
                violations=about(0.034, 0.008),
                near=about(0.041, 0.01),
                elsewhere=about(0.027, 0.009),
                limit=0.02,
                champion=about(0.012, 0.004),
                largest=0.093,
                cases=(case, case.model_copy(update={"score_after": 0.301})),
            ),
            BehaviourFound(
                name="airport-by-name",
                change="origin: EWR ↔ Newark, JFK ↔ Kennedy",
                expectation="the decision does not change",
                rows=2000,
                clusters=30,
                violations=Estimate(value=0.0, interval=(0.0, 0.0018)),
                limit=0.01,
                champion=Estimate(value=0.0, interval=(0.0, 0.0018)),
                largest=0.011,
            ),
        ),
    )


def explanation_of(features: dict[str, str], *, evil: str = "") -> Explanation:
    names = list(features)
    return Explanation(
        loss="log_loss",
        base=about(0.42, 0.01),
        rows=20000,
        clusters=30,
        repeats=5,
        importances=tuple(
            FeatureImportance(
                feature=name,
                kind=features[name],  # type: ignore[arg-type]
                importance=about(0.03 / (1 + n), 0.002),
                share=0.4 / (1 + n),
                share_interval=(0.35 / (1 + n), 0.45 / (1 + n)),
                champion=about(0.025 / (1 + n), 0.002),
                slices=tuple(
                    SliceImportance(column="origin", value=value, rows=6000, importance=about(0.02 / (1 + n), 0.003))
                    for value in ("EWR", evil or "JFK", "LGA")
                ),
            )
            for n, name in enumerate(names)
        ),
        dependences=tuple(
            Dependence(
                feature=name,
                kind=features[name],  # type: ignore[arg-type]
                points=tuple(
                    DependencePoint(
                        x=float(60 * n) if features[name] == "numeric" else None,
                        label=f"{60 * n}" if features[name] == "numeric" else (evil or f"value {n}"),
                        mean=0.2 + 0.05 * math.sin(n / 3),
                        low=0.19 + 0.05 * math.sin(n / 3),
                        high=0.21 + 0.05 * math.sin(n / 3),
                        share=0.05,
                        champion=0.21 + 0.04 * math.sin(n / 3),
                    )
                    for n in range(20)
                ),
            )
            for name in names[:6]
        ),
        notices=(evil,) if evil else (),
    )


def changes_of(evil: str = "") -> ModelChanges:
    def term(weight: float) -> Term:
        return Term(
            name=evil or "carrier=EV", feature="carrier", category="EV", weight=weight,
            interval=(weight - 0.05, weight + 0.05), unit="against the average", share=0.16,
        )  # fmt: skip

    return ModelChanges(
        before=Side(name="version 1", digest="c1" * 32, trainer="mlp", rows={"train": 118277}),
        after=Side(name=evil or "candidate d4d4d4d4d4d4", digest="d4" * 32, trainer="mlp", rows={"train": 201770}),
        features_gained={evil or "weekday": "categorical"},
        parameters=(Changed(name="epochs", before="8", after="12"), Changed(name="dropout", before="0.1", after=None)),
        data=(
            Changed(name="rows to fit", before="118,277", after=evil or "201,770"),
            Changed(name="window", before="1 Jan – 30 May 2013", after="1 Jan – 30 Aug 2013"),
        ),
        categories=(CategoryChange(feature="dest", gained=("ANC", evil or "LEX"), lost=("LGA",)),),
        preprocessing=(Changed(name="distance: mean", before="1039.9", after="1041.2"),),
        terms=(TermChange(name=evil or "carrier=EV", before=term(0.31), after=term(0.52), clear=True, size=0.08),),
        metrics=(MetricChange(metric="auc", before=about(0.648, 0.012), after=about(0.671, 0.012)),),
    )


def settlement_of(
    outcome: Outcome = "short",
    *,
    candidate: ModelRef | None = None,
    as_of: datetime = datetime(2013, 10, 1, tzinfo=_ZONE),
    result: str = "promoted",
    champion: bool = True,
    evil: str = "",
) -> Settlement:
    def figures(gain: float) -> dict[str, Figures]:
        return {
            "auc": Figures(
                candidate=about(0.652 + gain, 0.012),
                champion=about(0.652, 0.012) if champion else None,
                difference=about(gain, 0.009) if champion else None,
                reference=about(0.5, 0.0),
                reference_difference=about(0.152 + gain, 0.012),
                constant=0.5,
            )
        }

    blocks = tuple(
        Block(window=month(8 + n), rows=28000 + n, clusters=30, metrics=figures(gain))  # type: ignore[arg-type]
        for n, gain in enumerate((0.011, 0.004, -0.006), start=1)
    )
    return Settlement(
        decision=Decision(
            record="ab" * 32,
            judgement="ab" * 32,
            result=result,  # type: ignore[arg-type]
            as_of=as_of,
            why=evil or "Accepted: AUC is better than the champion’s by 0.023 [0.010, 0.039], and every gate holds.",
            candidate=candidate or ModelRef(version=2, uri="gs://models/flights/versions/2", digest="d4" * 32),
            champion=CHAMPION if champion else None,
            promise=Promise(
                metric="auc", candidate=about(0.671, 0.012), gain=about(0.023, 0.0145) if champion else None,
                constant=0.5, tolerated=0.005, rows=27012, clusters=30, window=month(9),
            ),
        ),
        number=3,
        blocks=blocks,
        whole=Block(
            window=Window(start=month(9).end, end=datetime(2013, 12, 30, tzinfo=_ZONE)), rows=84006, clusters=90,
            metrics=figures(0.003),  # type: ignore[arg-type]
        ),
        gain=about(0.003, 0.006),
        outcome=outcome,
        reason=evil or "AUC is better by 0.003 [−0.003, 0.009], clearly less than the 0.023 that was promised.",
        proposal=evil or ("saiki rollback 1 --why 'promise broken'" if outcome == "broken" else ""),
        settled_as_of=datetime(2014, 1, 1, tzinfo=_ZONE),
    )  # fmt: skip


def settlements_of(evil: str = "") -> Settlements:
    july = datetime(2013, 7, 1, tzinfo=_ZONE)
    return Settlements(settlements=(settlement_of("kept", candidate=CHAMPION, as_of=july, champion=False, evil=evil),))
