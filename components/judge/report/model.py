"""The report's section on the model: what it is and what it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from components._shared.contract import canonical_json
from components._shared.evidence import Point
from components._shared.facts import Facts
from components._shared.windows import Window, floor
from components.judge.report import plots
from components.judge.report.curves import Panel
from components.judge.report.wording import length, moment, number, period, shorten

_MOST_COEFFICIENTS = 25


@dataclass(frozen=True)
class TimelineRow:
    """A part of the run's time."""

    name: str
    when: str
    length: str
    plot: Markup


@dataclass(frozen=True)
class Coefficient:
    """A term of a linear model and its weight."""

    term: str
    weight: str
    plot: Markup


def timeline(facts: Facts) -> list[TimelineRow]:
    """The parts on one scale of time, with the embargoes between them and what is too young; empty without time."""
    windows, zone_name = facts.windows, facts.windows.timezone
    train = windows.train
    if train is not None and train.start is None and facts.dataset.first is not None:
        train = Window(start=floor(facts.dataset.first, "daily", zone_name), end=train.end)
    named = [("train", train), ("tune", windows.tune), ("test", windows.test)]
    if windows.labelled_until is not None and windows.labelled_until < windows.as_of:
        named.append(("recent", Window(start=windows.labelled_until, end=windows.as_of)))
    found = [(name, window) for name, window in named if window is not None]
    if not found:
        return []
    with_gaps = []
    for n, (name, window) in enumerate(found):
        before = found[n - 1][1] if n else None
        if before is not None and window.start is not None and before.end < window.start:
            with_gaps.append(("embargo", Window(start=before.end, end=window.start)))
        with_gaps.append((name, window))
    starts = [window.start for _, window in with_gaps if window.start is not None]
    first = min(starts, default=windows.as_of)
    if found[0][1].start is None:
        first -= (windows.as_of - first) * 0.5 or (windows.as_of - found[0][1].end) * 2
    whole = (windows.as_of - first).total_seconds() or 1.0

    def at(when: datetime | None) -> float:
        return 0.0 if when is None else min(1.0, max(0.0, (when - first).total_seconds() / whole))

    return [
        TimelineRow(
            name=name,
            when=period(window, zone_name),
            length=length(window, zone_name),
            plot=plots.span(at(window.start), at(window.end), name, f"{name}: {period(window, zone_name)}"),
        )
        for name, window in with_gaps
    ]


def parameters(facts: Facts) -> list[tuple[str, str]]:
    """The trainer's parameters, as given."""
    trainer = facts.model.learning.trainer
    given = [
        (name, shorten(value if isinstance(value, str) else canonical_json(value).decode()))
        for name, value in sorted(trainer.parameters.items())
    ]
    budget = facts.model.learning.budget
    return [*given, ("seed", str(trainer.seed)), *([("budget (epochs)", str(budget))] if budget else [])]


def description(facts: Facts) -> list[tuple[str, str]]:
    """What the model is, in a few lines."""
    model, zone_name = facts.model, facts.windows.timezone
    base = ", ".join(number(value) for value in model.base[:10]) + (", …" if len(model.base) > 10 else "")
    rows = ", ".join(f"{number(value)} to {'fit' if name == 'train' else name}" for name, value in model.rows.items())
    found = [
        ("Trainer", shorten(model.learning.trainer.name)),
        ("Rows used", rows),
        (
            "Labels used",
            f"before {moment(model.fit_until, zone_name)}" if model.fit_until else "of the train and tune parts",
        ),
        ("Constant to beat", base),
    ]
    found += [(f"Trainer reports {name}", number(value)) for name, value in sorted(model.metrics.items())]
    return found


def unused_columns(facts: Facts) -> list[str]:
    """Columns of the data that the model does not see."""
    return sorted(set(facts.dataset.columns) - set(facts.learning.features))


def learning_curve(facts: Facts) -> Panel | None:
    """Loss by epoch on *train* and *tune*; none without epochs."""
    curve = facts.model.curve
    if not curve:
        return None
    train = tuple(Point(x=point.epoch, y=point.train_loss) for point in curve)
    tune = tuple(Point(x=point.epoch, y=point.tune_loss) for point in curve if point.tune_loss is not None)
    best = min(curve, key=lambda point: point.train_loss if point.tune_loss is None else point.tune_loss)
    loss = best.train_loss if best.tune_loss is None else best.tune_loss
    note = f"Lowest {'train' if best.tune_loss is None else 'tune'} loss {number(loss)} in epoch {best.epoch}."
    few = len(curve) <= 30
    return Panel(
        title="Learning curve",
        plot=plots.chart(
            [
                plots.Series("champion", train, "dots" if few else "line"),
                plots.Series("candidate", tune, "dots" if few else "line"),
            ],
            x_title="epoch",
            y_title="loss",
            alt=f"Learning curve: loss on train and tune by epoch. {note}",
            whole_x=True,
        ),
        note=note,
        headings=("epoch", "train loss", "tune loss", "seconds"),
        rows=tuple(
            (str(point.epoch), number(point.train_loss), number(point.tune_loss), number(point.seconds, 1))
            for point in curve
        ),
    )


def coefficients(facts: Facts) -> tuple[list[Coefficient], list[Coefficient]]:
    """The terms of a linear model by the size of their weight: those shown, and the rest."""
    found = sorted(facts.model.coefficients.items(), key=lambda item: (-abs(item[1]), item[0]))
    largest = abs(found[0][1]) if found else 0.0
    rows = [
        Coefficient(
            term=shorten(term),
            weight=number(weight, 3),
            plot=plots.bar(weight / largest if largest else 0.0, "signed candidate", f"weight {number(weight, 3)}"),
        )
        for term, weight in found
    ]
    return rows[:_MOST_COEFFICIENTS], rows[_MOST_COEFFICIENTS : _MOST_COEFFICIENTS * 40]


def lineage(facts: Facts) -> list[tuple[str, str]]:
    """Name → digest of all that this judgement rests on."""
    found = [
        ("experiment", facts.experiment),
        ("examples", facts.dataset.digest),
        ("model", facts.model.digest),
        *((f"model made from: {name}", digest) for name, digest in sorted(facts.model.made_from.items())),
    ]
    if facts.model.code:
        found.append(("code that trained it", facts.model.code))
    if facts.champion is not None:
        found.append((f"champion, version {facts.champion.version}", facts.champion.digest))
    if facts.evaluation.reference:
        found.append(("pinned reference", facts.evaluation.reference))
    if facts.data.previous:
        found.append(("drift is measured against", facts.data.previous))
    return found
