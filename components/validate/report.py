"""The page and the summary of the data, from the evidence and the verdict alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from components._shared.evidence import DataEvidence, FeatureFacts
from components._shared.markdown import safe, table
from components._shared.verdict import Verdict


def html(evidence: DataEvidence, verdict: Verdict) -> str:
    """One self-contained page."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"count": _count, "share": _share, "figure": _figure, "value": _value}
    columns = [*evidence.features, *([evidence.label] if evidence.label else [])]
    order = ("failed", "cannot_judge", "passed")
    checks = sorted(verdict.checks, key=lambda check: order.index(check.outcome))
    return environment.from_string(_PAGE).render(
        evidence=evidence, verdict=verdict, checks=checks, columns=columns, rows=_row_table(evidence)
    )


def markdown(evidence: DataEvidence, verdict: Verdict) -> str:
    """The verdict, and where the rows went."""
    rows = table(("rows", "count"), [(name, f"{count:,}") for name, count in _row_table(evidence)])
    notices = [f"- {safe(notice)}" for notice in evidence.notices]
    proposal = ["", "A schema proposal lies beside: `saiki schema accept` shows it."] if evidence.proposal else []
    return "\n".join([verdict.to_markdown(), rows, "", *notices, *proposal]) + "\n"


def _row_table(evidence: DataEvidence) -> list[tuple[str, int]]:
    told = {
        "read": evidence.rows.read,
        "kept": evidence.rows.kept,
        "label not known yet": evidence.rows.label_pending,
        "malformed": evidence.rows.malformed,
        "duplicate": evidence.rows.duplicate,
        "without a label": evidence.rows.label_missing,
        "out of population": evidence.rows.out_of_population,
        "out of the window": evidence.rows.out_of_window,
        "not sampled": evidence.rows.not_sampled,
    }
    shown = [(name, count) for name, count in told.items() if count or name in ("read", "kept")]
    return [*shown, *((f"in {part}", count) for part, count in evidence.parts.items())]


def _count(value: int) -> str:
    return f"{value:,}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _value(value: float | None, facts: FeatureFacts) -> str:
    if value is None:
        return ""
    if facts.kind == "datetime":
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)).strftime("%Y-%m-%d %H:%M")
    return f"{value:.5g}"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data: {{ verdict.outcome | replace("_", " ") }}</title>
<style>
:root { color-scheme: light dark; --line: #8884; --bar: #4a7fb5; --bad: #c0392b; --good: #2e7d46; --unsure: #b7791f; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left; vertical-align: top; }
.text { min-width: 13rem; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.passed { color: var(--good); } .failed, .error { color: var(--bad); font-weight: 600; } .cannot_judge { color: var(--unsure); }
.columns { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); }
.column { border: 1px solid var(--line); border-radius: .4rem; padding: .7rem; } .small { font-size: .85rem; margin: .2rem 0; }
.bar { display: grid; font-size: .75rem; gap: .4rem; grid-template-columns: 8rem 1fr 3.2rem; line-height: 1.35; }
.bar span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .bar i { background: var(--bar); display: block; height: .7rem; margin-top: .15rem; }
pre { border: 1px solid var(--line); overflow-x: auto; padding: .6rem; }
</style></head><body>
<h1>Data: <span class="{{ verdict.outcome }}">{{ verdict.outcome | replace("_", " ") }}</span></h1>
<p>{{ verdict.summary }}</p>
{% for notice in evidence.notices %}<p class="small">{{ notice }}</p>
{% endfor %}
<h2>Where the rows went</h2>
<table>{% for name, count in rows %}<tr><td>{{ name }}</td><td class="number">{{ count | count }}</td></tr>{% endfor %}</table>
{% if evidence.set_aside %}<h2>Examples of rows set aside</h2>
<div class="wide"><table><tr><th>reason</th><th>source</th><th>row</th><th>detail</th></tr>
{% for example in evidence.set_aside %}<tr><td>{{ example.reason }}</td><td>{{ example.source }}</td><td class="number">{{ example.row }}</td><td>{{ example.detail }}</td></tr>
{% endfor %}</table></div>{% endif %}
<h2>Checks</h2>
<div class="wide"><table><tr><th>outcome</th><th>gate</th><th>reason</th><th>observed</th><th>limit</th></tr>
{% for check in checks %}<tr><td class="{{ check.outcome }}">{{ check.outcome | replace("_", " ") }}</td>
<td>{{ check.name }}{% if check.slice %}<br><small>{{ check.slice }}</small>{% endif %}</td><td class="text">{{ check.reason }}</td>
<td class="number">{{ "%.6g" % check.observed if check.observed is not none else "" }}</td><td>{{ check.limit }}</td></tr>
{% endfor %}</table></div>
{% if evidence.anomalies %}<h2>Anomalies</h2>
<div class="wide"><table><tr><th>column</th><th>severity</th><th>what</th></tr>
{% for anomaly in evidence.anomalies %}<tr><td>{{ anomaly.column }}</td><td class="{{ anomaly.severity }}">{{ anomaly.severity }}</td><td class="text">{{ anomaly.description }}</td></tr>
{% endfor %}</table></div>{% endif %}
<h2>Features and label in train</h2>
<p class="small">PSI and KS: how far values moved, from the previous snapshot to train (drift) and from train to test (skew). Bars: shares of the values that are there.</p>
<div class="wide"><table><tr><th>column</th><th>kind</th><th>missing</th><th>distinct</th><th>mean</th><th>std</th><th>min</th><th>median</th><th>max</th>
<th>drift PSI</th><th>drift KS</th><th>skew PSI</th><th>skew KS</th><th>unseen</th></tr>
{% for c in columns %}<tr><td>{{ c.name if c.name != "_label" else "label" }}</td><td>{{ c.kind }}</td><td class="number">{{ c.missing | share }}</td>
<td class="number">{{ c.distinct if c.distinct is not none else "" }}</td><td class="number">{{ c.mean | value(c) }}</td>
<td class="number">{{ "%.5g" % c.std if c.std is not none and c.kind != "datetime" else "" }}</td><td class="number">{{ c.min | value(c) }}</td>
<td class="number">{{ c.median | value(c) }}</td><td class="number">{{ c.max | value(c) }}</td>
<td class="number">{{ (c.drift.psi if c.drift else none) | figure }}</td><td class="number">{{ (c.drift.ks if c.drift else none) | figure }}</td>
<td class="number">{{ (c.skew.psi if c.skew else none) | figure }}</td><td class="number">{{ (c.skew.ks if c.skew else none) | figure }}</td>
<td class="number">{{ c.unseen | share }}</td></tr>
{% endfor %}</table></div>
<div class="columns" style="margin-top: 1rem">
{% for c in columns %}<div class="column"><h3>{{ c.name if c.name != "_label" else "label" }}</h3>
{% set top = c.bins | map(attribute="share") | max if c.bins else 1 %}
{% for bin in c.bins %}<div class="bar"><span title="{{ bin.label }}">{{ bin.label }}</span><i style="width: {{ "%.1f" % (100 * bin.share / top if top else 0) }}%"></i><span class="number">{{ "%.1f" % (100 * bin.share) }} %</span></div>
{% else %}<p class="small">no values</p>
{% endfor %}</div>
{% endfor %}</div>
{% if evidence.proposal %}<h2>Proposed schema</h2>
<p class="small">The pinned schema, changed so that it allows what was seen. <code>saiki schema accept</code> shows the difference and writes it.</p>
<pre>{{ evidence.proposal }}</pre>{% endif %}
</body></html>
"""  # noqa: E501
