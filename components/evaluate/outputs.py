"""What the Kubeflow UI shows of an evaluation: scalars, ROC and confusion matrix, a small page, Markdown."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any, Protocol

from components._shared.evidence import Estimate, Evaluation, SliceFigures
from components._shared.gates import METRIC_NAMES, METRICS_OF, Metric
from components._shared.verdict import Verdict
from components._shared.wording import estimate, number
from components.evaluate.executor import Result

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem auto;max-width:72rem;padding:0 1rem;color:#1b1f24;background:#fff}
div{overflow-x:auto}table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .7rem;border-bottom:1px solid #d0d7de;text-align:right;white-space:nowrap}
th:first-child,td:first-child,td.text{text-align:left}td.text{white-space:normal;min-width:16rem}
.passed{color:#1a7f37}.failed{color:#cf222e}.cannot_judge{color:#9a6700}
"""

_DIGITS = 6
"""Of a figure in the UI, which prints all that it is given."""


class Artifact(Protocol):
    """The part of a KFP artifact that is used here."""

    metadata: dict[str, Any]

    @property
    def path(self) -> str:
        """Where its content goes."""


def write(result: Result, **artifacts: Any) -> None:
    """Writes a result to KFP artifacts.

    Args:
        result: What the executor gave.
        artifacts: The component's outputs by name; each gets content, since a step without it is never a cache hit.
    """
    evaluation, verdict = result.evaluation, result.verdict
    scalars = scalars_of(evaluation)
    folder = Path(artifacts["eval_result"].path)
    if not folder.exists():
        _content(artifacts["eval_result"], json.dumps({"engine": evaluation.engine}))
    _content(artifacts["verdict"], verdict.to_json())
    _content(artifacts["evidence"], evaluation.to_json())
    _content(artifacts["metrics"], json.dumps(scalars))
    _content(artifacts["classification"], json.dumps({"confusion": evaluation.curves.confusion}))
    _content(artifacts["report"], page(evaluation, verdict))
    _content(artifacts["summary"], verdict.to_markdown())
    artifacts["verdict"].metadata["outcome"] = verdict.outcome
    artifacts["evidence"].metadata["rows"] = evaluation.rows
    for name, value in scalars.items():
        artifacts["metrics"].log_metric(name, value)
    curves = evaluation.curves
    if curves.roc:
        artifacts["classification"].log_roc_curve(
            [point.x for point in curves.roc], [point.y for point in curves.roc], list(result.thresholds)
        )
    if curves.confusion:
        artifacts["classification"].log_confusion_matrix(list(curves.classes), [list(row) for row in curves.confusion])


def scalars_of(evaluation: Evaluation) -> dict[str, float]:
    """The figures over all rows by name: `auc`, `auc_champion`, `auc_difference`; the UI sorts them so."""
    found: dict[str, float] = {"rows": float(evaluation.rows), "clusters": float(evaluation.clusters)}
    for metric, figures in evaluation.overall.metrics.items():
        for ending, one in (
            ("", figures.candidate),
            ("_champion", figures.champion),
            ("_difference", figures.difference),
        ):
            if one is not None:
                found[f"{metric}{ending}"] = float(f"{one.value:.{_DIGITS}g}")
    return found


def page(evaluation: Evaluation, verdict: Verdict) -> str:
    """A small self-contained page: the verdict, the gates, the figures."""
    metrics = [metric for metric in METRICS_OF[evaluation.problem] if metric in evaluation.overall.metrics]
    extent = (
        f"{evaluation.rows:,} rows in {evaluation.clusters:,} clusters judged, {evaluation.left_out:,} were left out."
    )
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Evaluation</title><style>{_STYLE}</style>",
        f"<h1 class={verdict.outcome}>Metrics: {verdict.outcome.replace('_', ' ')}</h1>",
        f"<p>{html.escape(verdict.summary)}</p><p>{extent}</p>",
        *[f"<p>{html.escape(line)}</p>" for line in worth(evaluation)],
        "<h2>Gates</h2>",
        _table(
            ["gate", "slice", "limit", "outcome", "reason"],
            [[check.name, check.slice, check.limit, check.outcome, check.reason] for check in verdict.checks],
            words=True,
        ),
        "<h2>All rows, with 95 % intervals</h2>",
        _table(
            ["metric", "candidate", "champion", "difference", "constant"],
            [_overall_row(evaluation.overall, metric) for metric in metrics],
        ),
    ]
    for column in dict.fromkeys(found.column for found in evaluation.slices):
        found = [one for one in evaluation.slices if one.column == column]
        parts.append(f"<h2>By {html.escape(column)}: candidate (champion)</h2>")
        parts.append(
            _table(
                [column, "rows", *[METRIC_NAMES[metric] for metric in metrics]],
                [_slice_row(one, metrics) for one in found],
            )
        )
    return "\n".join(parts)


def worth(evaluation: Evaluation) -> list[str]:
    """What the candidate's decisions save, in sentences; none where the task declares no costs."""
    value = evaluation.value
    if value is None:
        return []
    unit = f" {value.unit}" if value.unit else ""
    others = [
        ("the champion", value.champion),
        (f"deciding {value.constant_decision} always", value.constant),
        (f"deciding {value.hindsight_decision} always, the best constant in hindsight", value.hindsight),
    ]
    return [
        f"Against {name}, the candidate's decisions save {estimate(saved.per_cluster)}{unit} a cluster"
        f" and {estimate(saved.total)}{unit} in all; below zero they cost more."
        for name, saved in others
        if saved is not None
    ]


def _overall_row(overall: SliceFigures, metric: Metric) -> list[str]:
    found = overall.metrics[metric]
    constant = "" if found.constant is None else number(found.constant)
    return [
        METRIC_NAMES[metric],
        estimate(found.candidate),
        _or_empty(found.champion),
        _or_empty(found.difference),
        constant,
    ]


def _slice_row(found: SliceFigures, metrics: list[Metric]) -> list[str]:
    cells = [found.value, f"{found.rows:,}"]
    for metric in metrics:
        one = found.metrics.get(metric)
        champion = "" if one is None or one.champion is None else f" ({number(one.champion.value)})"
        cells.append("" if one is None else f"{number(one.candidate.value)}{champion}")
    return cells


def _or_empty(found: Estimate | None) -> str:
    return "" if found is None else estimate(found)


def _table(head: list[str], rows: list[list[str]], *, words: bool = False) -> str:
    kind = " class=text" if words else ""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td{kind}>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div><table><tr>{top}</tr>{body}</table></div>"


def _content(artifact: Artifact, text: str) -> None:
    path = Path(artifact.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
