"""`schedules.yaml`, and what has to happen so that KFP keeps what it says.

KFP has no call that changes a recurring run, so a changed schedule is a new recurring run in place of the old one::

    old ──────▶ old and new ──────▶ new
        create               delete

Whatever is killed, the nights have a run: between the two calls there may be two recurring runs, never none. The next
`apply` finds both and removes what is not wanted. (Two runs of one night do no harm: the experiment is the same, or
only one of them can promote.)

A recurring run is ours if its description says so under the very name that it has: one that was cloned in the UI has
another name, and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from components._shared.contract import Contract, digest_of
from components._shared.errors import InputError
from components._shared.windows import parse_moment, parse_span, zone
from pipelines.cluster.cron import parse_cron
from pipelines.training.config import PROFILES

_FIX = "correct the fields named above; docs/schedules.md describes every field"
_CONTENT_DIGITS = 16
_VERSION_DIGITS = 12
"""As `saiki upload` names versions."""
_LONGEST = 255
"""Characters that KFP's database keeps of a description."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,47}$")]
Action = Literal["create", "replace", "pause", "resume", "tidy", "delete", "unchanged"]


class Schedule(Contract):
    """A pipeline that is run again and again.

    Attributes:
        cron: Five fields, or KFP's six with seconds first.
        interval: Span such as `6h`, in place of `cron`; a day is 24 hours.
        start, end: ISO 8601; nothing runs before or after.
        paused: None: as it is in the cluster.
        concurrency: Runs of this schedule that may be under way at once.
        catch_up: Start a run for each time that was missed, one after another.
        images: Step → an image of one's own, such as one with a trainer.
        experiment: Under which the UI lists the runs; empty: the task's name, as of submitted runs.
    """

    name: Name
    pipeline: Literal["training"] = "training"
    cron: str | None = None
    interval: str | None = None
    start: str | None = None
    end: str | None = None
    paused: bool | None = None
    concurrency: int = Field(1, ge=1, le=10)
    catch_up: bool = False
    profile: str = "cpu"
    images: dict[str, str] = {}
    experiment: str = ""
    parameters: dict[str, Any] = {}

    @field_validator("cron")
    @classmethod
    def _check_cron(cls, value: str | None) -> str | None:
        return None if value is None else parse_cron(value).text

    @field_validator("interval")
    @classmethod
    def _check_interval(cls, value: str | None) -> str | None:
        if value is not None and seconds_of(value) < 60:
            raise ValueError(f"{value!r} is shorter than a minute")
        return value

    @field_validator("profile")
    @classmethod
    def _check_profile(cls, value: str) -> str:
        if value not in PROFILES:
            raise ValueError(f"there is no profile {value!r}; give one of: {', '.join(PROFILES)}")
        return value

    @field_validator("start", "end")
    @classmethod
    def _check_moment(cls, value: str | None) -> str | None:
        if value is not None:
            _moment(value, "UTC")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if (self.cron is None) == (self.interval is None):
            raise ValueError("give cron (such as 30 3 * * *) or interval (such as 6h), one of the two")
        return self


class Schedules(Contract):
    """The file.

    Attributes:
        timezone: The one that `cron` is meant in, and moments without an offset. KFP's scheduler has one for all that
            it schedules, so it must be the cluster's.
    """

    format: Literal["saiki/schedules/v1"] = "saiki/schedules/v1"
    timezone: str = "UTC"
    schedules: tuple[Schedule, ...]

    @field_validator("schedules")
    @classmethod
    def _check_some(cls, value: tuple[Schedule, ...]) -> tuple[Schedule, ...]:
        # Not a length of the field: pydantic would count one that is wrong as one that is not there.
        if not value:
            raise ValueError("there is none; to delete what is on the cluster: saiki schedule delete NAME")
        return value

    @field_validator("timezone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        zone(value)
        return value

    @field_validator("schedules")
    @classmethod
    def _check_names(cls, value: tuple[Schedule, ...], info: ValidationInfo) -> tuple[Schedule, ...]:
        names = [schedule.name for schedule in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the name {twice[0]!r} stands twice")
        timezone = info.data.get("timezone", "UTC")
        for schedule in value:
            start, end = (_text(moment, timezone) for moment in (schedule.start, schedule.end))
            if end and start >= end:
                raise ValueError(f"{schedule.name}: end is not after start")
        return value


def read_schedules(path: Path) -> Schedules:
    """Reads the file.

    Raises:
        InputError: It cannot be read, or a field is wrong or unknown.
    """
    try:
        text = path.read_bytes()
    except OSError as cause:
        raise InputError(
            f"The schedules cannot be read: {cause.strerror}", where=str(path), fix="give the path of a schedules.yaml"
        ) from cause
    try:
        return Schedules.from_json(text, where=str(path))
    except InputError as cause:
        raise InputError(cause.what, where=str(path), fix=_FIX) from cause


@dataclass(frozen=True)
class Settled:
    """A schedule with nothing left open: as KFP is to keep it, or as it keeps it.

    Attributes:
        cron: Six fields, or empty.
        every: Seconds, or 0.
        start, end: ISO 8601 in UTC, or empty.
        version: Digest of the compiled pipeline, or the start of it.
    """

    name: str
    experiment: str
    version: str
    cron: str = ""
    every: int = 0
    start: str = ""
    end: str = ""
    concurrency: int = 1
    catch_up: bool = False
    pipeline_root: str = ""
    service_account: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """Of all that makes another recurring run."""
        return digest_of(self.fields() | {"parameters": self.parameters})[:_CONTENT_DIGITS]

    def fields(self) -> dict[str, Any]:
        """Name → value, as a person reads them; parameters each by itself."""
        return {
            "pipeline version": self.version[:_VERSION_DIGITS],
            "cron": self.cron,
            "every": f"{self.every} s" if self.every else "",
            "start": self.start,
            "end": self.end,
            "concurrency": self.concurrency,
            "catch up": self.catch_up,
            "experiment": self.experiment,
            "pipeline root": self.pipeline_root,
            "service account": self.service_account,
            **{f"parameters.{name}": value for name, value in sorted(self.parameters.items())},
        }

    def description(self) -> str:
        """What KFP keeps with it: who made it, and what no other field of KFP's holds."""
        text = (
            f"Kept by `saiki schedule apply`: change {self.name} in schedules.yaml, not here. "
            f"[saiki/v1 content={self.digest()} pipeline={self.version[:_VERSION_DIGITS]} start={self.start or '-'}]"
        )
        assert len(text) <= _LONGEST
        return text


@dataclass(frozen=True)
class Marker:
    """What a description of ours says."""

    content: str
    version: str
    start: str


_MARKER = re.compile(
    r"change ([a-z0-9-]+) in schedules\.yaml.*"
    r"\[saiki/v1 content=([0-9a-f]{16}) pipeline=([0-9a-f]{12}) start=(\S+)\]$"
)


def marker_of(display_name: str, description: str) -> Marker | None:
    """Whether a recurring run is ours, and which state of the file it stands for."""
    found = _MARKER.search(description)
    if found is None or found[1] != display_name:
        return None
    return Marker(content=found[2], version=found[3], start="" if found[4] == "-" else found[4])


@dataclass(frozen=True)
class Kept:
    """A recurring run of ours that KFP has.

    Attributes:
        began: From when on KFP counts its interval.
    """

    id: str
    created: datetime
    began: datetime
    paused: bool
    content: str
    settled: Settled


@dataclass(frozen=True)
class Wanted:
    """A schedule of the file.

    Attributes:
        paused: None: as it is in the cluster.
    """

    settled: Settled
    paused: bool | None


@dataclass(frozen=True)
class Change:
    """A field that differs; None: there is none."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Step:
    """What has to happen for one schedule.

    Attributes:
        paused: As it is to be.
        wanted: What is to be created.
        keep: The recurring run that stays.
        remove: Recurring runs that go, when all else is done.
        since: What is created takes the place of one that counts from then on; None: it is new.
    """

    name: str
    action: Action
    changes: tuple[Change, ...] = ()
    paused: bool = False
    wanted: Settled | None = None
    keep: str = ""
    remove: tuple[str, ...] = ()
    since: datetime | None = None


def steps_to(wanted: Iterable[Wanted], kept: Iterable[Kept], *, prune: bool = False) -> list[Step]:
    """What turns what KFP has into what the file says.

    Args:
        prune: Also remove schedules of ours that the file does not name.
    """
    there: dict[str, list[Kept]] = {}
    for each in sorted(kept, key=lambda one: one.created):
        there.setdefault(each.settled.name, []).append(each)
    steps = [_step(each, there.pop(each.settled.name, [])) for each in wanted]
    for name, mine in there.items() if prune else ():
        changes = tuple(Change(field, value, None) for field, value in mine[-1].settled.fields().items() if value)
        steps.append(Step(name, "delete", changes, remove=tuple(each.id for each in mine)))
    return steps


def _step(wanted: Wanted, mine: list[Kept]) -> Step:
    settled, name = wanted.settled, wanted.settled.name
    if not mine:
        paused = bool(wanted.paused)
        changes = [Change(field, None, value) for field, value in settled.fields().items() if value]
        return Step(name, "create", (*changes, *_pausing(None, paused)), paused, settled)
    same = [each for each in mine if each.content == settled.digest() and not differences(each.settled, settled)]
    if not same:
        before = all(each.paused for each in mine)
        paused = before if wanted.paused is None else wanted.paused
        found = differences(mine[-1].settled, settled) or (Change("content", mine[-1].content, settled.digest()),)
        return Step(
            name,
            "replace",
            (*found, *_pausing(before, paused)),
            paused,
            settled,
            remove=tuple(each.id for each in mine),
            since=mine[-1].began,
        )
    keep = next((each for each in same if not each.paused), same[0])
    paused = keep.paused if wanted.paused is None else wanted.paused
    remove = tuple(each.id for each in mine if each is not keep)
    left = (Change("recurring runs", len(mine), 1),) if remove else ()
    action: Action = "tidy" if remove else "unchanged"
    if paused != keep.paused:
        action = "pause" if paused else "resume"
    return Step(name, action, (*left, *_pausing(keep.paused, paused)), paused, keep=keep.id, remove=remove)


def _pausing(before: bool | None, after: bool) -> tuple[Change, ...]:
    return () if bool(before) == after else (Change("paused", before, after),)


_SERVER_FILLS = ("service account", "pipeline root")
"""Left empty, KFP writes its own value there."""


def differences(before: Settled, after: Settled) -> tuple[Change, ...]:
    """The fields in which two schedules differ."""
    old, new = before.fields(), after.fields()
    names = [*new, *(name for name in old if name not in new)]
    return tuple(
        Change(name, old.get(name), new.get(name))
        for name in names
        if old.get(name) != new.get(name) and not (name in _SERVER_FILLS and not new[name])
    )


def settle(
    schedule: Schedule,
    parameters: Mapping[str, Any],
    *,
    timezone: str,
    version: str,
    experiment: str,
    pipeline_root: str,
    service_account: str,
) -> Settled:
    """A schedule of the file, with what the cluster adds.

    Args:
        parameters: Its own, checked and completed.
    """
    return Settled(
        name=schedule.name,
        experiment=experiment,
        version=version[:_VERSION_DIGITS],
        cron=schedule.cron or "",
        every=seconds_of(schedule.interval) if schedule.interval else 0,
        start=_text(schedule.start, timezone),
        end=_text(schedule.end, timezone),
        concurrency=schedule.concurrency,
        catch_up=schedule.catch_up,
        pipeline_root=pipeline_root,
        service_account=service_account,
        parameters=parameters,
    )


def first_start(settled: Settled, now: datetime, *, since: datetime | None = None) -> str:
    """The start that KFP is given, so that the first run is the one that the file means; empty: none.

    KFP leaves out what is due at the very start, and of an interval the first run comes one interval after it. From a
    start that has passed it counts all the same: it would run at once, or with `catch_up` for all times since. That is
    wanted when a schedule with `catch_up` is new, and never when it takes the place of another. An interval without a
    start goes on where the other one was: counted anew, one that is changed more often than it is due would never run.

    Args:
        since: It takes the place of one that counts from then on; None: it is new.
    """
    if settled.start:
        start = datetime.fromisoformat(settled.start)
    elif settled.every and since:
        start = min(since, now)
    else:
        return ""
    meant = start > now or (settled.catch_up and since is None)
    if settled.cron:
        return iso(start - timedelta(seconds=1)) if meant else ""
    every = timedelta(seconds=settled.every)
    passed = 0 if meant else (now - start) // every + 1
    return iso(start + (passed - 1) * every)


def seconds_of(span: str) -> int:
    """The length of a span whose days have 24 hours."""
    found = parse_span(span)
    return found.days * 86_400 + found.seconds


def iso(moment: datetime) -> str:
    """As KFP reads and writes moments."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str, timezone: str) -> datetime:
    try:
        return parse_moment(text, timezone)
    except InputError as cause:
        raise ValueError(f"{cause.what}; {cause.fix}") from cause


def _text(moment: str | None, timezone: str) -> str:
    return iso(_moment(moment, timezone)) if moment else ""
