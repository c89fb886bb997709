"""KFP's recurring runs, as schedules: finding ours, making and removing them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.cluster.connection import Connection, KfpError
from pipelines.cluster.schedules import Kept, Settled, Step, first_start, iso, marker_of


@dataclass(frozen=True)
class LastRun:
    """The latest run of a schedule."""

    id: str
    state: str
    created: datetime


class RecurringRuns:
    """Those of ours on a server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._calls = connection.client.recurring_runs
        self._namespace = {"namespace": connection.namespace} if connection.namespace else {}

    def kept(self) -> list[Kept]:
        """All of ours, by name and age."""
        list_all = self._calls.recurring_run_service_list_recurring_runs
        found = list(self._connection.pages(list_all, "recurring_runs", **self._namespace))
        if not any(_marker(each) for each in found):
            return []
        list_experiments = self._connection.client.experiments.experiment_service_list_experiments
        experiments = {
            each.experiment_id: each.display_name
            for each in self._connection.pages(list_experiments, "experiments", **self._namespace)
        }
        ours = [_kept(each, experiments) for each in found if _marker(each)]
        return sorted(ours, key=lambda each: (each.settled.name, each.created))

    def take(self, step: Step, *, pipeline_id: str = "", version_id: str = "") -> str:
        """Does what a step says; what is removed goes last.

        Args:
            pipeline_id, version_id: Of what is created.

        Returns:
            The recurring run that stands for the schedule now; empty: it was deleted.
        """
        stays = step.keep
        if step.wanted is not None:
            stays = self._create(step, step.wanted, pipeline_id, version_id)
        elif step.action in ("pause", "resume"):
            self.set_paused(step.keep, step.paused)
        for each in step.remove:
            self.remove(each)
        return stays

    def set_paused(self, id: str, paused: bool) -> None:
        """Pauses or resumes one."""
        if paused:
            self._calls.recurring_run_service_disable_recurring_run(recurring_run_id=id)
        else:
            self._calls.recurring_run_service_enable_recurring_run(recurring_run_id=id)

    def remove(self, id: str) -> None:
        """Deletes one. Its runs stay: unless told so, Kubernetes would end the one that is under way."""
        try:
            self._calls.recurring_run_service_delete_recurring_run(recurring_run_id=id, propagation_policy="ORPHAN")
        except KfpError as error:
            if error.status != 404:
                raise

    def last_run(self, id: str) -> LastRun | None:
        """The latest run of one."""
        predicate = {"operation": "EQUALS", "key": "recurring_run_id", "string_value": id}
        found = self._connection.client.runs.run_service_list_runs(
            page_size=1,
            sort_by="created_at desc",
            filter=json.dumps({"predicates": [predicate]}),
            **self._namespace,
        ).runs
        return LastRun(str(found[0].run_id), str(found[0].state), found[0].created_at) if found else None

    def _create(self, step: Step, settled: Settled, pipeline_id: str, version_id: str) -> str:
        import kfp_server_api as api

        start, end = first_start(settled, datetime.now(UTC), since=step.since) or None, settled.end or None
        trigger = (
            api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=settled.cron, start_time=start, end_time=end))
            if settled.cron
            else api.V2beta1Trigger(
                periodic_schedule=api.V2beta1PeriodicSchedule(
                    interval_second=str(settled.every), start_time=start, end_time=end
                )
            )
        )
        wanted = api.V2beta1RecurringRun(
            display_name=settled.name,
            description=settled.description(),
            experiment_id=self._connection.experiment_id(settled.experiment),
            # Nothing but a version: with the pipeline alone each run would take the latest upload.
            pipeline_version_reference=api.V2beta1PipelineVersionReference(
                pipeline_id=pipeline_id, pipeline_version_id=version_id
            ),
            runtime_config=api.V2beta1RuntimeConfig(
                parameters=dict(settled.parameters), pipeline_root=settled.pipeline_root or None
            ),
            service_account=settled.service_account or None,
            max_concurrency=str(settled.concurrency),
            no_catchup=not settled.catch_up,
            mode=api.RecurringRunMode.DISABLE if step.paused else api.RecurringRunMode.ENABLE,
            trigger=trigger,
        )
        try:
            made = self._calls.recurring_run_service_create_recurring_run(recurring_run=wanted)
        except KfpError as error:
            found = [each for each in self.kept() if each.settled.name == settled.name] if error.unsure else []
            # What is about to go may have the same content, where somebody has changed something in KFP since.
            made_all_the_same = [
                each.id for each in found if each.content == settled.digest() and each.id not in step.remove
            ]
            if not made_all_the_same:
                raise
            return made_all_the_same[-1]
        return str(made.recurring_run_id)


def _marker(found: Any) -> Any:
    return marker_of(found.display_name or "", found.description or "")


def _kept(found: Any, experiments: dict[str, str]) -> Kept:
    """A recurring run as the schedule that it stands for."""
    marker, trigger, runtime = _marker(found), found.trigger, found.runtime_config
    cron, periodic = trigger.cron_schedule, trigger.periodic_schedule
    timing = cron or periodic
    settled = Settled(
        name=found.display_name,
        experiment=experiments.get(found.experiment_id, found.experiment_id),
        version=marker.version,
        cron=cron.cron if cron else "",
        every=int(periodic.interval_second) if periodic else 0,
        start=marker.start,
        end=iso(timing.end_time) if timing and timing.end_time else "",
        concurrency=int(found.max_concurrency or 1),
        catch_up=not found.no_catchup,
        pipeline_root=(runtime.pipeline_root if runtime else "") or "",
        service_account=found.service_account or "",
        parameters=(runtime.parameters if runtime else None) or {},
    )
    return Kept(
        id=found.recurring_run_id,
        created=found.created_at,
        began=timing.start_time if timing and timing.start_time else found.created_at,
        paused=str(found.mode) != "ENABLE",
        content=marker.content,
        settled=settled,
    )
