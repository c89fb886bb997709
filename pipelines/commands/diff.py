"""`saiki diff`: what changed between two models, read as a reviewer reads a code diff."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from components._shared import storage
from components._shared.errors import InputError, NotFoundError
from components._shared.evidence import Estimate
from components._shared.facts import Facts
from components._shared.gates import HIGHER_IS_BETTER, METRIC_NAMES
from components._shared.model_changes import (
    CategoryChange,
    Changed,
    Judged,
    MetricChange,
    ModelChanges,
    Side,
    TermChange,
)
from components._shared.model_difference import data_window, differences
from components._shared.model_files import MODEL_JSON, verify_model
from components._shared.model_info import ModelInfo, Term
from components._shared.records import TURNED_DOWN, Attempt
from components._shared.registry import Registry
from components._shared.windows import Windows, zone
from components._shared.wording import listed_values, number, on_one_line, rows_word, with_interval
from pipelines.commands.registry_options import JSON, registry_of, registry_options
from pipelines.commands.tables import plain, print_json

_SHOWN = 8
"""Lines of a section, and values of a line, unless all are asked for."""

_LONGEST = 100
"""Characters of a name or value that rows have given: a longer one fills lines of a terminal, and looks like them."""

_LONGEST_VERSION = 5
"""Digits: a longer number may be the start of a judgement too."""


@dataclass(frozen=True)
class Found:
    """A model that was asked for.

    Attributes:
        checked: Whether its files were read, and are those that `model.json` describes.
        facts: The report's facts of the run that judged it, where they were recorded.
    """

    name: str
    info: ModelInfo
    checked: bool = False
    windows: Windows | None = None
    facts: Facts | None = None


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
        before_data=data_window(before.info, before.windows),
        after_data=data_window(after.info, after.windows),
        before_checked=before.checked,
        after_checked=after.checked,
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
        if text.isdecimal() and len(text) <= _LONGEST_VERSION:
            raise InputError(
                f"'{self._registry.task}' has no version {int(text)}",
                where=self._registry.root,
                fix=f"versions: {self._versions}; of a judgement give at least {_LONGEST_VERSION + 1} digits",
            )
        return self._attempt(text)

    @property
    def _registry(self) -> Registry:
        self._opened = self._opened or self._make()
        return self._opened

    def _version(self, wanted: int, name: str) -> Found:
        version = next((each for each in self._registry.versions() if each.number == wanted), None)
        if version is None:
            raise InputError(f"Version {wanted} is not complete", where=self._registry.root)
        attempts = self._registry.tries().values()
        judged = [attempt for attempt in attempts if attempt.judgement == version.lineage.judgement]
        facts = self._facts(judged[-1]) if judged else None
        info, checked = _read(version.uri)
        return Found(name, info, checked, version.lineage.windows, facts)

    @property
    def _versions(self) -> str:
        """Those that there are, in words."""
        return ", ".join(str(version.number) for version in self._registry.versions()) or "none"

    def _attempt(self, text: str) -> Found:
        chosen = [attempt for attempt in self._registry.tries().values() if attempt.judgement.startswith(text)]
        judgements = {attempt.judgement for attempt in chosen}
        if not re.fullmatch("[0-9a-f]+", text) or not judgements:
            raise InputError(
                f"'{self._registry.task}' has no version, attempt or directory {text!r}",
                where=self._registry.root,
                fix=f"versions: {self._versions}; saiki models lists the attempts",
            )
        if len(judgements) > 1:
            raise InputError(f"Several judgements start with {text!r}", where="MODEL", fix="give more of it")
        attempt = chosen[-1]
        facts = self._facts(attempt)
        if facts is None:
            raise InputError(
                "Of this attempt, the model's description was not kept",
                where=self._registry.file_of(attempt, "evidence.json"),
                fix="name a version, or run it again",
            )
        became = f"{attempt.result}, its model was collected" if self._collected(attempt) else attempt.result
        name = f"attempt {attempt.judgement[:12]} ({became})"
        return Found(name, facts.model, windows=attempt.windows, facts=facts)

    def _collected(self, attempt: Attempt) -> bool:
        """Whether garbage collection has taken the model that was kept of it: what is compared is its description."""
        kept = attempt.result in TURNED_DOWN and attempt.promise is not None and attempt.promise.closed is not None
        return kept and self._registry.attempted_model(attempt) is None

    def _facts(self, attempt: Attempt) -> Facts | None:
        """What the run that judged it knew; none where it was not kept, or is of another version of Saiki."""
        uri = self._registry.file_of(attempt, "evidence.json")
        try:
            return Facts.from_json(storage.read(uri), where=uri)
        except (NotFoundError, InputError):
            return None


def _in_directory(text: str) -> Found:
    uri = text if "://" in text else str(Path(text).expanduser().resolve())
    return Found(text, *_read(uri))


def _read(uri: str) -> tuple[ModelInfo, bool]:
    """What a model's `model.json` says, and whether its files are those: of a model in a bucket they are not fetched.

    Raises:
        InputError: There is no model.
        CorruptError: Its files are not those that `model.json` describes.
    """
    folder, place = storage.local_path(uri), storage.join(uri, MODEL_JSON)
    try:
        if folder is not None:
            return verify_model(folder), True
        return ModelInfo.from_json(storage.read(place), where=place), False
    except NotFoundError as cause:
        raise InputError(
            "There is no model here: model.json is missing", where=place, fix="name the directory that a trainer wrote"
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
    yield _styled(f"--- {_title(changes.before)}", bold=True)
    yield _styled(f"+++ {_title(changes.after)}", bold=True)
    sections = [(title, lines) for title, lines in _sections(changes, most) if lines]
    if changes.same or not sections:
        yield _summary(changes, nothing_else=not sections)
    for title, lines in sections:
        yield ""
        yield _styled(title, dim=True)
        yield from lines[:most]
        if most is not None and len(lines) > most:
            yield _styled(f"  {len(lines) - most} more: --all", dim=True)
    for notice in changes.notices:
        yield ""
        yield on_one_line(notice)


def _styled(text: str, **style: Any) -> str:
    """A part of a line. What rows, names and parameters hold must not end it, nor tell the terminal what to do."""
    return click.style(on_one_line(text), **style)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _title(side: Side) -> str:
    return f"{side.name}: {side.trainer}, fitted on {rows_word(side.rows.get('train', 0))} ({side.digest[:12]})"


def _summary(changes: ModelChanges, *, nothing_else: bool) -> str:
    """What to say of models whose files are the same, or that differ in nothing but their files.

    Args:
        changes: What changed.
        nothing_else: No section has anything to show.
    """
    if not changes.same:
        return "Nothing that is compared here differs, but their files do."
    unchecked = [side.name for side in (changes.before, changes.after) if not side.checked]
    if unchecked:
        names = on_one_line(" and ".join(dict.fromkeys(unchecked)))
        said = f"The digests of their files agree; the files of {names} were not checked"
        return f"{said}. Nothing else differs." if nothing_else else f"{said}. What model.json says of them differs:"
    if nothing_else:
        return "They are the same model, byte for byte."
    return "Their files are the same, byte for byte. What is recorded of them differs:"


def _sections(changes: ModelChanges, most: int | None) -> Iterator[tuple[str, list[str]]]:
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
    told = not changes.same or any(found.before != found.after for found in changes.metrics)
    yield f"metrics, {_rows_of(changes)}", [*_metric_lines(changes)] if told else []
    order = "the clear ones first" if any(term.clear for term in changes.terms) else "the largest effect first"
    sides = [side for term in changes.terms for side in (term.before, term.after) if side is not None]
    against = "; categories against the average row of the second model" if any(side.category for side in sides) else ""
    yield f"weights, {order}{against}", [*map(_term, changes.terms)]
    yield "categories", [line for change in changes.categories for line in _categories(change, most)]
    yield "preprocessing", [*_figures(changes.preprocessing)]
    yield "the trainer's own figures", [*_figures(changes.native)]


def _added(text: str) -> str:
    return _styled(f"+ {text}", fg="green")


def _removed(text: str) -> str:
    return _styled(f"- {text}", fg="red")


def _moved(text: str) -> str:
    return _styled(f"~ {text}", fg="yellow")


def _changed(change: Changed) -> str:
    name = _cut(change.name)
    if change.before is None:
        return _added(f"{name}: {change.after}")
    if change.after is None:
        return _removed(f"{name}: {change.before}")
    return _moved(f"{name}: {change.before} → {change.after}")


def _without_metrics(changes: ModelChanges) -> Side | None:
    """The model of which no metrics are known, if the other one has some."""
    if not any(found.before for found in changes.metrics):
        return changes.before
    return None if any(found.after for found in changes.metrics) else changes.after


def _rows_of(changes: ModelChanges) -> str:
    """Which rows judged."""
    without = _without_metrics(changes)
    if without is not None:
        other = changes.after if without is changes.before else changes.before
        return f"of {other.name}; of {without.name} none are known"
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
    one_side = _without_metrics(changes) is not None
    for found in changes.metrics:
        name = METRIC_NAMES.get(found.metric, found.metric)
        if found.difference is not None and found.before is not None and found.after is not None:
            yield _paired(name, found, found.before.value, found.after.value, found.difference)
            continue
        before, after = (None if side is None else with_interval(side.value, side.interval)
                         for side in (found.before, found.after))  # fmt: skip
        if one_side or before == after:
            yield _styled(f"  {name}: {before or after}")
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
    return _styled(f"~ {text}, {'better' if better else 'worse'}", fg="green" if better else "red")


def _figures(changes: Sequence[Changed]) -> Iterator[str]:
    """A line for each feature."""
    for feature, group in groupby(changes, key=lambda change: change.name.rpartition(": ")[0]):
        figures = [f"{one.name.rpartition(': ')[2]} {one.before or 'none'} → {one.after or 'none'}" for one in group]
        yield _moved(f"{_cut(feature)}: {', '.join(figures)}")


def _term(change: TermChange) -> str:
    before, after = (None if term is None else _weight(term, change) for term in (change.before, change.after))
    some = change.after or change.before
    unit = f", {some.unit}" if some is not None and some.unit else ""
    clear = "; the intervals do not meet" if change.clear and before and after else ""
    text = _changed(Changed(name=change.name, before=before, after=after))
    return f"{text}{_styled(f'{unit}{clear}', dim=True)}"


def _weight(term: Term, change: TermChange) -> str:
    """The weight of a side; that of other values is named so."""
    text = with_interval(term.weight, term.interval) if term.interval else number(term.weight)
    return text if term.name == change.name else f"{term.category} {text}"


def _categories(change: CategoryChange, most: int | None) -> Iterator[str]:
    name = _cut(change.feature)
    if change.gained:
        yield _added(f"{name}: {_some(change.gained, most)}")
    if change.lost:
        yield _removed(f"{name}: {_some(change.lost, most)}")


def _some(values: tuple[str, ...], most: int | None) -> str:
    shown = listed_values(map(_cut, values[:most]))
    return shown if most is None or len(values) <= most else f"{shown} and {len(values) - most} more"
