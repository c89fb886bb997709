"""Which sources a run reads: globs and `{date}` spans of the task file, resolved to exact objects.

`{date}` stands for each day of the window in the task's time zone, as `2013-06-30`; `{date:%Y%m%d}` writes it another
way, and a pattern may hold several (`{date:%Y}/{date:%m}/{date:%d}.csv`).
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterable
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from components._shared import storage
from components._shared.errors import DataError, TaskError
from components._shared.manifest import Listing, Source
from components._shared.store import ObjectInfo, glob_expression
from components._shared.windows import Window, zone

_DATE = re.compile(r"\{date(?::([^{}]+))?\}")
_BRACES = re.compile(r"\{[^{}]*\}")
_MARK = "\ue000"
_NAMED_DAYS = 5
_NEAR = 5


def absolute(uri: str) -> str:
    """A URI as it is, or a local path made absolute: the next step may run in another folder."""
    if uri.startswith("file://"):
        uri = unquote(uri.removeprefix("file://"))
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())


def relative_to(base: str, reference: str) -> str:
    """A path or URI of the task file as an absolute one: relative paths start at the folder of `base`."""
    if "://" in reference or reference.startswith(("/", "~")):
        return absolute(reference)
    scheme, separator, path = base.rpartition("://")
    return scheme + separator + posixpath.normpath(posixpath.join(posixpath.dirname(path), reference))


def days_of(span: Window, timezone: str) -> list[date]:
    """The calendar days of the zone that a window touches; the window has a start."""
    assert span.start is not None
    first = span.start.astimezone(zone(timezone)).date()
    last = (span.end - timedelta(microseconds=1)).astimezone(zone(timezone)).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def find_sources(
    task_uri: str, patterns: Iterable[str], *, span: Window | None, timezone: str
) -> tuple[Listing, list[ObjectInfo]]:
    """Every object that the patterns mean, sorted by URI, with the generation that it has now.

    Returns:
        The listing, and the same objects as the store describes them.

    Raises:
        DataError: A pattern finds nothing; the message names files that lie near.
        TaskError: A pattern cannot be read, or asks for days of a window without a start.
    """
    found: dict[str, ObjectInfo] = {}
    notices: list[str] = []
    for pattern in patterns:
        objects, notice = _resolve(relative_to(task_uri, pattern), pattern, span=span, timezone=timezone)
        found.update({info.uri: info for info in objects})
        notices += notice
    infos = [found[uri] for uri in sorted(found)]
    sources = tuple(Source(uri=info.uri, generation=info.generation, size=info.size) for info in infos)
    return Listing(sources=sources, notices=tuple(notices)), infos


def _resolve(uri: str, pattern: str, *, span: Window | None, timezone: str) -> tuple[list[ObjectInfo], list[str]]:
    for brace in _BRACES.findall(uri):
        if not _DATE.fullmatch(brace):
            raise TaskError(
                f"{brace} means nothing in a source pattern",
                where=f"data.sources in the task file: {pattern}",
                fix="write {date}, or for example {date:%Y%m%d}",
            )
    if _DATE.search(uri):
        return _resolve_days(uri, pattern, span=span, timezone=timezone)
    objects = storage.glob(uri)
    if not objects:
        raise _nothing(uri, pattern)
    return objects, []


def _resolve_days(uri: str, pattern: str, *, span: Window | None, timezone: str) -> tuple[list[ObjectInfo], list[str]]:
    if span is None or span.start is None:
        raise TaskError(
            "A pattern with {date} needs to know the first day, but the window has no start",
            where=f"data.sources in the task file: {pattern}",
            fix="give window.start (such as 2013-01-01) or window.length (such as 365d) in the task file"
            + ("" if span else "; both need a time column"),
        )
    formats = [match or "%Y-%m-%d" for match in _DATE.findall(uri)]
    days = {tuple(day.strftime(form) for form in formats): day for day in days_of(span, timezone)}
    # One listing for all days: a request for each would take minutes on a bucket.
    everything = _DATE.sub(lambda match: "/".join("*" for _ in (match[1] or "").split("/")), uri)
    expression = _expression(uri, [{texts[i] for texts in days} for i in range(len(formats))])
    objects, seen = [], set()
    for info in storage.glob(everything):
        match = expression.fullmatch(info.uri)
        day = days.get(match.groups()) if match else None
        if day is not None:
            objects.append(info)
            seen.add(day)
    if not objects:
        first, last = min(days.values()), max(days.values())
        raise _nothing(uri, pattern, f" for any day from {first} to {last}")
    return objects, _missing_days(pattern, sorted(set(days.values()) - seen))


def _missing_days(pattern: str, missing: list[date]) -> list[str]:
    if not missing:
        return []
    named = ", ".join(str(day) for day in missing[:_NAMED_DAYS])
    more = f" and {len(missing) - _NAMED_DAYS} more" if len(missing) > _NAMED_DAYS else ""
    return [f"{pattern}: no source for {len(missing)} days of the window: {named}{more}"]


def _expression(uri: str, texts: list[set[str]]) -> re.Pattern[str]:
    """The regular expression of the pattern, with a group for each `{date}` that matches one of its texts."""
    pieces = glob_expression(_DATE.sub(_MARK, uri)).pattern.split(_MARK)
    groups = ["(" + "|".join(re.escape(text) for text in sorted(each, key=len, reverse=True)) + ")" for each in texts]
    return re.compile("".join(piece + group for piece, group in zip(pieces, [*groups, ""], strict=True)), re.DOTALL)


def _nothing(uri: str, pattern: str, days: str = "") -> DataError:
    folder = re.split(r"[*?\[{]", uri)[0].rpartition("/")[0]
    names = [info.uri[len(folder) :].strip("/") for info in islice(_below(folder), 1000)]
    wanted = uri[len(folder) :].strip("/")
    near = difflib.get_close_matches(wanted, names, n=_NEAR, cutoff=0.5) or names[:_NEAR]
    lies = f"there are: {', '.join(near)}" if near else "there is nothing at all"
    return DataError(
        f"No source matches {pattern}{days}",
        where=f"data.sources in the task file: {uri}",
        fix=f"correct the pattern, or put the file there; in {folder or '/'} {lies}",
    )


def _below(folder: str) -> Iterable[ObjectInfo]:
    return storage.list_objects(folder) if folder and not folder.endswith(":/") else ()
