"""`saiki diff`: what changed between two models, read as a reviewer reads a code diff."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import click

from components._shared import storage
from components._shared.errors import InputError, NotFoundError
from components._shared.evidence import Estimate
from components._shared.facts import Facts
from components._shared.gates import HIGHER_IS_BETTER, METRIC_NAMES
from components._shared.model_changes import CategoryChange, Changed, Judged, MetricChange, ModelChanges, TermChange
from components._shared.model_difference import differences
from components._shared.model_files import MODEL_JSON
from components._shared.model_info import ModelInfo, Term
from components._shared.registry import Registry
from components._shared.windows import Window, Windows, zone
from components._shared.wording import number, rows_word, with_interval
from pipelines.commands.registry_options import JSON, registry_of, registry_options
from pipelines.commands.tables import plain, print_json

_SHOWN = 8
"""Lines of a section, unless all are asked for."""


@dataclass(frozen=True)
class Found:
    """A model that was asked for.

    Attributes:
        facts: The report's facts of the run that judged it, where they were recorded.
    """

    name: str
    info: ModelInfo
    windows: Windows | None = None
    facts: Facts | None = None

    @property
    def data(self) -> Window | None:
        """From the first row that it was fitted on to the last one that it was tuned on."""
        if self.windows is None or self.windows.train is None:
            return None
        end = self.info.fit_until or self.windows.train.end
        return Window(start=self.windows.train.start, end=end)


@click.command(short_help="What changed between two models.")
@click.argument("before", metavar="MODEL")
@click.argument("after", metavar="MODEL")
@registry_options
@click.option("--all", "everything", is_flag=True, help="Show every change, not only the largest of each section.")
@JSON
def diff(
    before: str, after: str, registry: str, task_name: str, settings: Path | None, everything: bool, as_json: bool
) -> None:
    """Shows what changed from the first MODEL to the second: features, parameters, data, metrics, preprocessing, and of
    linear models the weights.

    MODEL is a version's number, `champion`, the start of an attempt's judgement (`saiki models` lists them), or the
    path or URI of a model's directory.

    \b
    Examples:
      saiki diff 1 champion
      saiki diff champion 3fa4c2 --all
      saiki diff 1 ./model --json
    """
    found = _Finder(lambda: registry_of(registry, task_name, settings)[0])
    changes = changes_between(found.model(before), found.model(after))
    if as_json:
        print_json(plain(changes))
    else:
        for line in _lines(changes, most=None if everything else _SHOWN):
            click.echo(line)


def changes_between(before: Found, after: Found) -> ModelChanges:
    """What changed; metrics are of the same rows where one of the runs judged both models, or both judged on those."""
    found = _metrics(before, after)
    zones = [each.windows.timezone for each in (after, before) if each.windows is not None]
    return differences(
        before.info,
        after.info,
        before_name=before.name,
        after_name=after.name,
        before_metrics=found.before,
        after_metrics=found.after,
        before_data=before.data,
        after_data=after.data,
        paired=found.difference,
        same_rows=found.judged is not None,
        judged=found.judged,
        timezone=zones[0] if zones else "UTC",
    )


class _Finder:
    """Finds models; the registry is opened when one is asked for that lies there."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        self._make = registry
        self._opened: Registry | None = None

    def model(self, text: str) -> Found:
        """The model of that name.

        Raises:
            InputError: There is none, or several.
        """
        if "/" in text or Path(text).is_dir():
            return _in_directory(text)
        if text == "champion":
            champion, _ = self._registry.champion()
            if champion is None:
                raise InputError(
                    "There is no champion yet", where=self._registry.root, fix="name a version, an attempt or a path"
                )
            return self._version(champion.version, f"version {champion.version}, the champion")
        if text.isdecimal() and int(text) in {version.number for version in self._registry.versions()}:
            return self._version(int(text), f"version {int(text)}")
        return self._attempt(text)

    @property
    def _registry(self) -> Registry:
        self._opened = self._opened or self._make()
        return self._opened

    def _version(self, wanted: int, name: str) -> Found:
        version = next((each for each in self._registry.versions() if each.number == wanted), None)
        if version is None:
            raise InputError(f"Version {wanted} is not complete", where=self._registry.root)
        records = [
            record
            for record, attempt in self._registry.tries().items()
            if attempt.judgement == version.lineage.judgement
        ]
        facts = self._facts(records[-1]) if records else None
        return Found(name, _read(storage.join(version.uri, MODEL_JSON)), version.lineage.windows, facts)

    def _attempt(self, text: str) -> Found:
        tries = self._registry.tries()
        chosen = {record: attempt for record, attempt in tries.items() if attempt.judgement.startswith(text)}
        judgements = {attempt.judgement for attempt in chosen.values()}
        if not re.fullmatch("[0-9a-f]+", text) or not judgements:
            versions = ", ".join(str(version.number) for version in self._registry.versions()) or "none"
            raise InputError(
                f"'{self._registry.task}' has no version, attempt or directory {text!r}",
                where=self._registry.root,
                fix=f"versions: {versions}; saiki models lists the attempts",
            )
        if len(judgements) > 1:
            raise InputError(f"Several judgements start with {text!r}", where="MODEL", fix="give more of it")
        record, attempt = list(chosen.items())[-1]
        facts = self._facts(record)
        if facts is None:
            raise InputError(
                "Of this attempt, the model's description was not kept",
                where=self._registry.file_of(record, "evidence.json"),
                fix="name a version, or run it again",
            )
        return Found(f"attempt {attempt.judgement[:12]} ({attempt.result})", facts.model, attempt.windows, facts)

    def _facts(self, record: str) -> Facts | None:
        """What the run that judged it knew; none where it was not kept, or is of another version of Saiki."""
        uri = self._registry.file_of(record, "evidence.json")
        try:
            return Facts.from_json(storage.read(uri), where=uri)
        except (NotFoundError, InputError):
            return None


def _in_directory(text: str) -> Found:
    uri = text if "://" in text else str(Path(text).expanduser().resolve())
    return Found(text, _read(storage.join(uri, MODEL_JSON)))


def _read(uri: str) -> ModelInfo:
    try:
        return ModelInfo.from_json(storage.read(uri), where=uri)
    except NotFoundError as cause:
        raise InputError(
            "There is no model here: model.json is missing", where=uri, fix="name the directory that a trainer wrote"
        ) from cause


@dataclass(frozen=True)
class _Metrics:
    """The metrics of both; the rows that judged them, if they are the same; and after minus before, if paired."""

    before: dict[str, Estimate]
    after: dict[str, Estimate]
    judged: Judged | None = None
    difference: dict[str, Estimate] = field(default_factory=dict)


def _metrics(before: Found, after: Found) -> _Metrics:
    for one, other, is_after in ((after, before, True), (before, after, False)):
        facts = one.facts
        if facts is not None and facts.champion is not None and facts.champion.digest == other.info.digest:
            figures = facts.evaluation.overall.metrics
            candidate: dict[str, Estimate] = {name: found.candidate for name, found in figures.items()}
            champion: dict[str, Estimate] = {
                name: found.champion for name, found in figures.items() if found.champion is not None
            }
            paired: dict[str, Estimate] = {
                name: found.difference for name, found in figures.items() if found.difference is not None
            }
            if champion and is_after:
                return _Metrics(champion, candidate, _judged(facts), paired)
            if champion:
                turned = {name: _turned(found) for name, found in paired.items()}
                return _Metrics(candidate, champion, _judged(facts), turned)
    rows = [_rows(each.facts) for each in (before, after)]
    same = after.facts if rows[0] is not None and rows[0] == rows[1] else None
    return _Metrics(_own_metrics(before), _own_metrics(after), _judged(same) if same is not None else None)


def _judged(facts: Facts) -> Judged:
    found, gates = facts.evaluation, facts.gates
    noun = "cluster" if gates.cluster is not None else "day" if gates.has_time else "row"
    return Judged(rows=found.rows, clusters=found.clusters, noun=noun, window=found.window)


def _turned(found: Estimate) -> Estimate:
    interval = None if found.interval is None else (-found.interval[1], -found.interval[0])
    return Estimate(value=-found.value, interval=interval)


def _own_metrics(found: Found) -> dict[str, Estimate]:
    if found.facts is None:
        return {}
    return {name: figures.candidate for name, figures in found.facts.evaluation.overall.metrics.items()}


def _rows(facts: Facts | None) -> tuple[object, ...] | None:
    """Which rows judged."""
    if facts is None:
        return None
    found = facts.evaluation
    return facts.dataset.digest, found.window, found.fair_from, found.rows


def _lines(changes: ModelChanges, most: int | None) -> Iterator[str]:
    """The terminal's text."""
    yield click.style(f"--- {_title(changes, 'before')}", bold=True)
    yield click.style(f"+++ {_title(changes, 'after')}", bold=True)
    if changes.same:
        yield "They are the same model, byte for byte."
        return
    any_change = False
    for title, lines in _sections(changes):
        if not lines:
            continue
        any_change = True
        yield ""
        yield click.style(title, dim=True)
        yield from lines[:most]
        if most is not None and len(lines) > most:
            yield click.style(f"  {len(lines) - most} more: --all", dim=True)
    if not any_change:
        yield "Nothing that is written down about them differs, but their files do."
    for notice in changes.notices:
        yield ""
        yield notice


def _title(changes: ModelChanges, which: str) -> str:
    side = changes.before if which == "before" else changes.after
    return f"{side.name}: {side.trainer}, fitted on {rows_word(side.rows.get('train', 0))} ({side.digest[:12]})"


def _sections(changes: ModelChanges) -> Iterator[tuple[str, list[str]]]:
    yield (
        "features",
        [
            *(_added(f"{name} ({kind})") for name, kind in changes.features_gained.items()),
            *(_removed(f"{name} ({kind})") for name, kind in changes.features_lost.items()),
            *map(_changed, changes.features_changed),
        ],
    )
    yield "parameters and code", [*map(_changed, changes.parameters)]
    yield "data", [*map(_changed, changes.data)]
    yield f"metrics, {_rows_of(changes)}", [*_metric_lines(changes)]
    unit = "the clear ones first" if any(term.clear for term in changes.terms) else "the largest effect first"
    yield f"weights, {unit}", [*map(_term, changes.terms)]
    yield "categories", [line for change in changes.categories for line in _categories(change)]
    yield "preprocessing", [*_preprocessing(changes.preprocessing)]


def _added(text: str) -> str:
    return click.style(f"+ {text}", fg="green")


def _removed(text: str) -> str:
    return click.style(f"- {text}", fg="red")


def _moved(text: str) -> str:
    return click.style(f"~ {text}", fg="yellow")


def _changed(change: Changed) -> str:
    if change.before is None:
        return _added(f"{change.name}: {change.after}")
    if change.after is None:
        return _removed(f"{change.name}: {change.before}")
    return _moved(f"{change.name}: {change.before} → {change.after}")


def _rows_of(changes: ModelChanges) -> str:
    """Which rows judged."""
    judged = changes.judged
    if judged is None:
        return "each on the rows of its own run, which differ"
    text = f"on the same {rows_word(judged.rows)}"
    if judged.noun != "row":
        text += f" in {judged.clusters:,} {judged.noun}{'' if judged.clusters == 1 else 's'}"
    if judged.window is None:
        return text
    # The window ends with the first moment that is not in it.
    ends = (judged.window.start, judged.window.end - timedelta(microseconds=1))
    days = [f"{end.astimezone(zone(changes.timezone)):%Y-%m-%d}" for end in ends if end is not None]
    return f"{text}, {' to '.join(dict.fromkeys(days))}"


def _metric_lines(changes: ModelChanges) -> Iterator[str]:
    for found in changes.metrics:
        name = METRIC_NAMES.get(found.metric, found.metric)
        if found.difference is not None and found.before is not None and found.after is not None:
            yield _paired(name, found, found.before.value, found.after.value, found.difference)
            continue
        before, after = (None if side is None else with_interval(side.value, side.interval)
                         for side in (found.before, found.after))  # fmt: skip
        if before is not None and before == after:
            yield f"  {name}: {before}"
        else:
            yield _changed(Changed(name=name, before=before, after=after))


def _paired(name: str, found: MetricChange, before: float, after: float, difference: Estimate) -> str:
    """Both values and the interval of their difference: their own intervals overlap where it leaves no doubt."""
    low, high = difference.interval or (0.0, 0.0)
    change = f"{'+' if difference.value > 0 else ''}{with_interval(difference.value, difference.interval)}"
    decimals = max(3, len(change.partition(" ")[0].partition(".")[2]))
    text = f"{name}: {number(before, decimals)} → {number(after, decimals)}, {change}"
    if difference.interval is None:
        return _moved(text)
    if found.metric == "bias" or low <= 0 <= high:
        return _moved(f"{text}{'' if found.metric == 'bias' else ', may be luck'}")
    better = (low > 0) == (found.metric in HIGHER_IS_BETTER)
    return click.style(f"~ {text}, {'better' if better else 'worse'}", fg="green" if better else "red")


def _preprocessing(changes: Sequence[Changed]) -> Iterator[str]:
    """A line for each feature."""
    for feature, group in groupby(changes, key=lambda change: change.name.rpartition(": ")[0]):
        figures = [f"{one.name.rpartition(': ')[2]} {one.before or 'none'} → {one.after or 'none'}" for one in group]
        yield _moved(f"{feature}: {', '.join(figures)}")


def _term(change: TermChange) -> str:
    before, after = (None if term is None else _weight(term) for term in (change.before, change.after))
    some = change.after or change.before
    unit = f", {some.unit}" if some is not None and some.unit else ""
    clear = "; the intervals do not meet" if change.clear and before and after else ""
    text = _changed(Changed(name=change.name, before=before, after=after))
    return f"{text}{click.style(f'{unit}{clear}', dim=True)}"


def _weight(term: Term) -> str:
    return with_interval(term.weight, term.interval) if term.interval else number(term.weight)


def _categories(change: CategoryChange) -> Iterator[str]:
    if change.gained:
        yield _added(f"{change.feature}: {_some(change.gained)}")
    if change.lost:
        yield _removed(f"{change.feature}: {_some(change.lost)}")


def _some(values: tuple[str, ...]) -> str:
    shown = ", ".join(values[:_SHOWN])
    return shown if len(values) <= _SHOWN else f"{shown} and {len(values) - _SHOWN} more"
