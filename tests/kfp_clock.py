"""What starts recurring runs in the twin of the KFP API server: KFP's controller of schedules, by a test's clock.

The rules are those of KFP's own (2.17): which time is due after the last one, from which moment on a new recurring run
counts, what `no_catchup` leaves out, and that no more runs are under way than `max_concurrency`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.cluster.cron import parse_cron
from tests.kfp_server import KfpServer


class Scheduler:
    """The controller.

    Args:
        server: Its recurring runs, and where runs are started.
        timezone: CRON_SCHEDULE_TIMEZONE.
    """

    def __init__(self, server: KfpServer, timezone: str = "UTC") -> None:
        self._server = server
        self._timezone = timezone
        self._last: dict[str, datetime] = {}
        self._index: dict[str, int] = {}

    def start_due(self) -> list[str]:
        """Starts what is due by the server's clock, and says which runs. While a cluster is down nobody calls it."""
        started = []
        now = self._server.now()
        for key, job in list(self._server.recurring_runs.items()):
            while job["mode"] == "ENABLE" and len(self._server.active_runs(key)) < int(job["max_concurrency"]):
                due = self._due(key, job, now)
                if due is None or due > now:
                    break
                self._last[key] = due
                self._index[key] = self._index.get(key, 0) + 1
                started.append(self._server.start_scheduled_run(key, index=self._index[key], scheduled_at=due))
        return started

    def _due(self, key: str, job: dict[str, Any], now: datetime) -> datetime | None:
        trigger = job["trigger"].get("cron_schedule") or job["trigger"]["periodic_schedule"]
        start, end = (_moment(trigger.get(name)) for name in ("start_time", "end_time"))
        since = self._last.get(key) or start or _moment(job["created_at"])
        assert since is not None
        catch_up = not job.get("no_catchup")
        if "cron" in trigger:
            return self._due_by_cron(trigger["cron"], since, end, None if catch_up else now)
        every = timedelta(seconds=int(trigger["interval_second"]))
        return _due_by_interval(every, since, end, None if catch_up else now)

    def _due_by_cron(self, cron: str, since: datetime, end: datetime | None, now: datetime | None) -> datetime | None:
        times = parse_cron(cron).times(since, self._timezone)
        due = next(times, None)
        if due is None or (end and due > end):
            return None
        for later in times if now else ():
            # Of those that were missed only the last one counts.
            if later > now or (end and later > end):
                break
            due = later
        return due


def _due_by_interval(every: timedelta, since: datetime, end: datetime | None, now: datetime | None) -> datetime | None:
    due = since + every
    if end and due > end:
        return None
    if now and now >= due + every:
        return min(now, end) if end else now
    return due


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
