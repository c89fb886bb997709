"""A proposal as text: a commented task file and its schema."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from textwrap import wrap

import yaml

from components._shared.contract import load_yaml
from components._shared.gates import METRICS_OF
from components._shared.task import CsvOptions
from pipelines.proposal.contents import Proposal, sql_name
from pipelines.proposal.table_profile import ColumnProfile, Table, moment

_WIDTH = 110
_MOST_DOMAIN = 100


def task_text(name: str, source: str, file_format: str, table: Table, proposal: Proposal) -> str:
    """The task file.

    Args:
        name: Of the task.
        source: Path of the data, as the task file names it.
        file_format: For a file whose ending does not say it, else empty.
    """
    sections = [
        _head(name, source, table, proposal),
        _data(source, file_format, table.csv),
        _derived(proposal),
        _label(proposal, table),
        _rows(proposal),
        _features(proposal, table),
        _listing("slices", proposal.slices, "Metrics are also shown for each value of these columns."),
        _split(proposal),
        _trainer(),
        _gates(proposal),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def schema_text(source: str, table: Table, proposal: Proposal) -> str:
    """The pinned schema."""
    lines = [
        *_comment(
            f"The columns of {source} and their types, as found in {table.rows} rows. A run reads them as said here "
            "and never guesses; `saiki schema accept` brings in what `validate` proposes."
        ),
        "format: saiki/schema/v1",
        "columns:",
    ]
    used = (
        {feature.name for feature in proposal.features} | set(proposal.key) | proposal.label_columns | {proposal.time}
    )
    reads = {*used, proposal.cluster, *(column for column in table.columns if _is_read(column, proposal))}
    for column in table.columns.values():
        lines.append(_column(column, column.name in reads, proposal))
    lines += [
        f"  # left out: {_plain(name)} ({reason})" for name, reason in table.unusable.items() if "_unnamed_" not in name
    ]
    return "\n".join(lines) + "\n"


def yaml_text(value: str | float | int | bool | None) -> str:
    """A value in YAML, in double quotes where plain text would be read as something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./ +-]*[A-Za-z0-9_]|[A-Za-z_]|\d+[dhw]", value)
    # Other readers of YAML take yes and no for booleans, and dates for dates.
    same = plain and load_yaml(value) == value and yaml.safe_load(value) == value
    return value if same else '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def _plain(text: str) -> str:
    """On one line of a comment."""
    return re.sub(r"[\x00-\x1f\x85\u2028\u2029]+", " ", text)


def _comment(text: str, indent: str = "") -> list[str]:
    return [f"{indent}# {line}" for line in wrap(_plain(text), _WIDTH - len(indent))]


def _listing(field: str, values: Sequence[str | int], comment: str) -> list[str]:
    if not values:
        return []
    return [*_comment(comment), f"{field}: [{', '.join(map(yaml_text, values))}]"]


def _head(name: str, source: str, table: Table, proposal: Proposal) -> list[str]:
    return [
        *_comment(
            f"What is to be predicted from {source}, and how a model is judged. Made by `saiki init` from {table.rows} "
            "rows: look at every line that says 'check'. docs/task-file.md describes all fields."
        ),
        "format: saiki/task/v1",
        f"name: {yaml_text(name)}",
        f"problem: {proposal.problem}",
    ]


def _data(source: str, file_format: str, csv: CsvOptions) -> list[str]:
    lines = [
        "data:",
        f"  sources: [{yaml_text(source)}]  # also globs, several files, gs:// and s3:// URIs, {{date}} spans",
    ]
    if file_format:
        lines.append(f"  format: {file_format}")
    changed = {name: value for name, value in csv.model_dump().items() if value != getattr(CsvOptions(), name)}
    if changed:
        lines.append("  csv:")
        for field, value in changed.items():
            text = f"[{', '.join(map(json.dumps, value))}]" if isinstance(value, tuple) else json.dumps(value)
            lines.append(f"    {field}: {text}")
    return [*lines, "schema: schema.yaml"]


def _derived(proposal: Proposal) -> list[str]:
    if not proposal.derived:
        return []
    comment = "Columns that are computed when the rows are read. " + proposal.notes.get("derived", "")
    lines = [*_comment(comment), "derived:"]
    for name, (expression, kind) in proposal.derived.items():
        lines.append(f"  {yaml_text(name)}: {{expression: {yaml_text(expression)}, type: {kind}}}")
    return lines


def _label(proposal: Proposal, table: Table) -> list[str]:
    lines = ["label:", f"  expression: {yaml_text(proposal.label)}  # a column, or a SQL expression over columns"]
    if proposal.positive is not None:
        lines.append(f"  positive: {yaml_text(proposal.positive)}  # {_plain(proposal.notes['positive'])}")
    if proposal.classes:
        lines += _comment(proposal.notes["classes"], "  ")
        lines.append(f"  classes: [{', '.join(map(yaml_text, proposal.classes))}]")
    if proposal.time:
        lines.append(
            f"  known_after: {proposal.known_after}  # check: how long after `time` is it known? younger rows wait"
        )
    if proposal.population:
        lines += ["", *_comment(proposal.notes["population"]), f"population: {yaml_text(proposal.population)}"]
    return lines


def _rows(proposal: Proposal) -> list[str]:
    lines = _comment(f"Time: {proposal.notes['time']}.")
    if proposal.time:
        lines.append(f"time: {yaml_text(proposal.time)}")
        lines.append(f"timezone: {yaml_text(proposal.timezone)}  # whose days are meant, and moments without an offset")
    lines += ["", *_comment(f"Key: {proposal.notes['key']}."), f"key: [{', '.join(map(yaml_text, proposal.key))}]"]
    if proposal.cluster:
        lines += ["", *_comment(f"Cluster: {proposal.notes['cluster']}."), f"cluster: {yaml_text(proposal.cluster)}"]
    return lines


def _features(proposal: Proposal, table: Table) -> list[str]:
    lines = _comment(
        "available: when the value is known, relative to the prediction. `before` is used; `after` and `unknown` are "
        "left out. Check each `before`: a value that is filled in or corrected later makes a model that is good on "
        "paper only."
    )
    lines.append("features:")
    for feature in proposal.features:
        if feature.note and feature.available != "before":
            lines += _comment(f"Check: {feature.note}.", "  ")
        after = f"  # {_plain(feature.note)}" if feature.note and feature.available == "before" else ""
        lines.append(f"  {yaml_text(feature.name)}: {{kind: {feature.kind}, available: {feature.available}}}{after}")
    if proposal.left_out:
        lines.append("  # No features:")
        lines += [f"  #   {_plain(name)}: {_plain(reason)}" for name, reason in proposal.left_out.items()]
    return lines


def _split(proposal: Proposal) -> list[str]:
    sizes = f"split: {{tune: {proposal.tune}, test: {proposal.test}}}"
    if not proposal.time:
        return [
            *_comment("Shares of the rows: to tune (early stopping, calibration), and to judge. The rest trains."),
            sizes,
        ]
    return [
        *_comment(f"The last days judge, those before them tune, the rest trains; {proposal.notes['split']}."),
        sizes,
        f"embargo: {proposal.embargo}  # left out between the parts, where one row's time could reach into the next",
        "cadence: daily  # or hourly, weekly, monthly: how often it is trained anew",
        "# window: {length: 365d}  # how far back rows are taken; all by default",
    ]


def _trainer() -> list[str]:
    return [
        *_comment("Start with `linear`, which can be read; then see whether `mlp` is better."),
        "trainer:",
        "  name: linear",
    ]


def _gates(proposal: Proposal) -> list[str]:
    metrics = [metric for metric in METRICS_OF[proposal.problem] if metric != "cost"]
    lines = [
        *_comment(
            "What a candidate must hold to become champion; `conservative` holds tolerances for whole intervals."
        ),
        "gates:",
        "  preset: balanced",
        "  data:",
        f"    min_rows: {proposal.min_rows}",
    ]
    if proposal.malformed is not None:
        lines.append(f"    malformed: {proposal.malformed}  # {proposal.notes['malformed']}")
    if proposal.psi != 0.25:
        limit = "null" if proposal.psi is None else f"{proposal.psi:g}"
        lines += _comment(f"Largest PSI of a feature; {proposal.notes['psi']}.", "    ")
        lines += [f"    drift_psi: {limit}", f"    skew_psi: {limit}"]
    lines += [
        "  metric:",
        f"    min_rows: {proposal.judge_rows}  # fewer rows to judge on: no verdict",
        *_comment(f"Once you know what is good enough: limits: {{{metrics[0]}: {_example(proposal)}}}", "    "),
        *_comment(f"Metrics: {', '.join(metrics)}; and cost, once the task says `decision: {{costs: …}}`", "    "),
    ]
    if proposal.label_std:
        step, most = _round(0.02 * proposal.label_std), _round(0.05 * proposal.label_std)
        lines += [
            "  champion:",
            *_comment(
                f"In the label's unit: 2 % of its standard deviation ({proposal.label_std:.4g}); the reference: 5 %.",
                "    ",
            ),
            f"    tolerance: {{rmse: {{worse_by: {step}}}, mae: {{worse_by: {step}}}}}",
            f"    reference: {{rmse: {{worse_by: {most}}}}}",
        ]
    return lines


def _example(proposal: Proposal) -> str:
    return f"{{max: {_round(0.9 * proposal.label_std)}}}" if proposal.label_std else "{min: 0.65}"


def _round(value: float) -> str:
    return f"{float(f'{value:.2g}'):g}" if value >= 1e-4 else f"{value:.2e}"


def _is_read(name: str, proposal: Proposal) -> bool:
    texts = [proposal.label, proposal.population, *(expression for expression, _ in proposal.derived.values())]
    return any(re.search(rf"(?<!\w){re.escape(sql_name(name))}(?!\w)", text) for text in texts if text)


def _column(column: ColumnProfile, is_read: bool, proposal: Proposal) -> str:
    fields = [f"type: {column.type}"]
    if not is_read:
        fields.append("required: false")
    categorical = any(f.name == column.name and f.kind == "categorical" for f in proposal.features)
    if categorical and column.distinct <= _MOST_DOMAIN:
        fields.append(f"domain: [{', '.join(yaml_text(value) for value in sorted(v for v, _ in column.values))}]")
    if is_read and not column.missing and (column.name in proposal.key or column.name == proposal.time):
        fields.append("max_missing: 0")
    seen = []
    if column.type in ("date", "timestamp") and column.minimum is not None and column.maximum is not None:
        seen.append(f"{moment(column.minimum):%Y-%m-%d} to {moment(column.maximum):%Y-%m-%d}")
    elif column.minimum is not None and column.maximum is not None:
        seen.append(f"{column.minimum:g} to {column.maximum:g}")
    if column.missing:
        seen.append(f"{column.missing_share:.1%} missing")
    comment = f"  # {', '.join(seen)}" if seen else ""
    return f"  {yaml_text(column.name)}: {{{', '.join(fields)}}}{comment}"
