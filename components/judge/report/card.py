"""The model card: what a stranger to the model should know of it, from the facts alone.

The sections are those of Mitchell et al., Model cards for model reporting, 2019. What no run can know, such as who is
affected by the model's mistakes, stands as a line for the owner to fill in: a card with honest gaps.
"""

from __future__ import annotations

from components._shared.evidence import SliceFigures
from components._shared.facts import Facts
from components._shared.gates import METRICS_OF, Metric
from components._shared.markdown import safe, table
from components.judge.report.constants import constant_remark, hindsight_sentence, one_decision
from components.judge.report.data import accounting, parts
from components.judge.report.metrics import TOO_FEW, few_positives, metric_rows, worse_slices
from components.judge.report.model import parameters
from components.judge.report.rows import figure, places_of
from components.judge.report.value import both_promise
from components.judge.report.wording import (
    PROBLEM_NAMES,
    capital,
    cluster_noun,
    count,
    decimals_of_figures,
    estimate,
    extent,
    listed,
    metric_name,
    moment,
    number,
    period,
    plural,
    with_unit,
)

_MOST_SLICES = 60
_NAMED = 3


def model_card(facts: Facts) -> str:
    """The card, Markdown."""
    task = facts.gates.task or "this task"
    sections = [
        f"# Model card: {safe(task)}",
        f"> {safe(facts.verdict.summary)}",
        "## Model details",
        _details(facts),
        "## Intended use",
        _intended_use(facts),
        "## Factors",
        _factors(facts),
        "## Metrics",
        _metrics(facts),
        "## Evaluation data",
        _evaluation_data(facts),
        "## Training data",
        _training_data(facts),
        "## Quantitative analyses",
        _analyses(facts),
        "## Ethical considerations",
        _open("who is affected by a mistake of this model, and how; which groups of people its rows speak of"),
        "## Caveats and recommendations",
        _caveats(facts),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _open(question: str) -> str:
    return f"*For the owner to fill in: {question}.*"


def _details(facts: Facts) -> str:
    model, zone_name = facts.model, facts.windows.timezone
    told = ", ".join(f"{safe(name)} {safe(value)}" for name, value in parameters(facts))
    lines = [
        f"Kind: {PROBLEM_NAMES[facts.evaluation.problem]}, trainer {safe(model.learning.trainer.name)} ({told})",
        f"Digest of its files: {model.digest}",
        f"Made as of {moment(facts.windows.as_of, zone_name)} by run {facts.experiment[:12]}"
        + (f", in {safe(model.code)}" if model.code else ""),
        "It takes raw columns and prepares them itself; nothing has to be computed before it is asked.",
    ]
    return _bullets([*lines, _open("its owner, where to send questions, its licence")])


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _intended_use(facts: Facts) -> str:
    rule, problem = facts.gates.decision, facts.evaluation.problem
    threshold = rule.threshold_of(problem)
    lines = [safe(facts.gates.question)] if facts.gates.question else []
    if facts.gates.label:
        of = f", of rows with {safe(facts.gates.population)}" if facts.gates.population else ""
        lines.append(f"It predicts {safe(facts.gates.label)}{of}.")
    if threshold is not None:
        lines.append(f"It is acted upon from a score of {number(threshold)}.")
    if rule.costs:
        unit = f", in {safe(rule.unit)}" if rule.unit else ""
        lines.append(f"Its mistakes were given costs{unit}: {safe(_costs(facts))}.")
    return _bullets([*lines, _open("what it is meant for, by whom it is used, and for what it must not be used")])


def _costs(facts: Facts) -> str:
    found = []
    for name, cost in facts.gates.decision.costs.items():
        if isinstance(cost, dict):
            found += [f"{name} decided as {other} {number(value)}" for other, value in cost.items()]
        else:
            found.append(f"{name.replace('_', ' ')} {number(cost)}")
    return listed(found, most=12)


def _factors(facts: Facts) -> str:
    columns = list(dict.fromkeys(one.column for one in facts.evaluation.slices))
    lines = [f"It sees: {listed([f'{safe(name)} ({kind})' for name, kind in facts.learning.features.items()], 40)}."]
    if columns:
        lines.append(f"It was looked at by {listed([safe(name) for name in columns])}: see *Quantitative analyses*.")
    else:
        lines.append("It was not looked at by groups: the task names no slices.")
    return _bullets([*lines, _open("groups or conditions that matter here and are not among these")])


def _metrics(facts: Facts) -> str:
    primary = facts.gates.champion.primary
    others = [metric_name(metric) for metric in METRICS_OF[facts.evaluation.problem] if metric != primary]
    noun = cluster_noun(facts.gates)
    return _bullets(
        [
            f"It was meant to be better in {metric_name(primary)}; shown beside it: {listed(others, 12)}.",
            f"Intervals are 95 % intervals; they resample whole {noun}s"
            + (f", because rows of one {noun} resemble each other." if noun != "row" else "."),
        ]
    )


def _evaluation_data(facts: Facts) -> str:
    evaluation = facts.evaluation
    when = period(evaluation.window, facts.windows.timezone) if evaluation.window else "a part split off by hash"
    lines = [f"{extent(evaluation.rows, evaluation.clusters, facts.gates)}: {when}."]
    if evaluation.left_out:
        lines.append(f"{plural(evaluation.left_out, 'row')} left out: one of the models had learnt from that time.")
    lines.append("Nothing was fitted, tuned or calibrated on them.")
    return _bullets(lines)


def _training_data(facts: Facts) -> str:
    windows, model = facts.windows, facts.model
    lines = []
    for name, window in (("train", windows.train), ("tune", windows.tune)):
        if name in model.rows:
            when = f", {period(window, windows.timezone)}" if window else ""
            lines.append(f"{capital(name)}: {plural(model.rows[name], 'row')}{when}.")
    fates = [f"{one.rows} {one.name.lower()} ({one.share}: {one.meaning})" for one in accounting(facts).fates]
    lines.append(f"Of {plural(facts.data.rows.read, 'row')} read: {'; '.join(fates)}.")
    if lying := [f"{name} {rows}" for name, rows, _ in parts(facts)]:
        lines.append(f"Those that stayed lie in: {listed(lying, 8)}.")
    if facts.dataset.sources:
        more = facts.dataset.source_count - len(facts.dataset.sources[:5])
        names = [safe(source.uri) for source in facts.dataset.sources[:5]]
        lines.append(f"From {', '.join(names)}{f' and {more} more' if more > 0 else ''}.")
    return _bullets([*lines, _open("how these rows came to be, and what they leave out")])


def _analyses(facts: Facts) -> str:
    rows = metric_rows(facts)
    champion = bool(facts.evaluation.champion)
    shown = [
        "### Over all rows",
        table(
            ("metric", "model", *(("champion", "difference") if champion else ()), "a constant, known beforehand"),
            [
                (
                    row.name,
                    f"{row.candidate} {row.candidate_interval}",
                    *(
                        (f"{row.champion} {row.champion_interval}", f"{row.difference} {row.difference_interval}")
                        if champion
                        else ()
                    ),
                    f"{row.constant}: {row.constant_is}" if row.constant_is else row.constant,
                )
                for row in rows
            ],
        ),
    ]
    if hindsight := _hindsight(facts):
        shown.append(hindsight)
    if facts.evaluation.slices:
        shown += ["### By group", _by_group(facts, facts.gates.champion.primary)]
    return "\n\n".join(shown)


def _hindsight(facts: Facts) -> str:
    """The one decision for all rows that would have cost least, where it is another than the one known beforehand."""
    value = facts.evaluation.value
    if value is None or value.hindsight is None or value.hindsight_decision == value.constant_decision:
        return ""
    figures = facts.evaluation.overall.metrics.get("cost")
    places = decimals_of_figures(figures) if figures else places_of(value.cost)
    cost = with_unit(number(value.hindsight.cost, places), value.unit)
    decision = one_decision(value.hindsight_decision, facts.evaluation.problem)
    return safe(
        f"The best single decision in hindsight, {decision}, would have cost {cost} a row; nobody knew beforehand."
    )


def _by_group(facts: Facts, primary: Metric) -> str:
    found = sorted(facts.evaluation.slices, key=lambda one: (one.column, -one.rows, one.value))[:_MOST_SLICES]
    return table(
        ("group", "rows", f"{metric_name(primary)}", "minus the champion’s"),
        [(f"{one.column} = {one.value}", count(one.rows), *_group_cells(one, primary, facts)) for one in found],
    )


def _group_cells(one: SliceFigures, primary: Metric, facts: Facts) -> tuple[str, str]:
    """The model's figure, and the difference to the champion's with its sign."""
    if _ranks_too_few(one, primary, facts):
        return TOO_FEW, "–"
    figures = one.metrics.get(primary)
    if figures is None:
        return "–", "–"
    difference = figure(figures.difference, sign=True)
    own = estimate(figures.candidate, places_of(figures.candidate))
    return own, f"{difference.value} {difference.interval}".strip()


def _ranks_too_few(one: SliceFigures, primary: Metric, facts: Facts) -> bool:
    binary = facts.evaluation.problem == "binary_classification"
    return binary and primary in ("auc", "pr_auc") and few_positives(one)


def _caveats(facts: Facts) -> str:
    """What the gates object to, and what the figures say against the model although it passed."""
    failed = [check.reason for check in facts.verdict.checks if check.outcome != "passed"]
    lines = [*(failed or ["Every gate holds."]), *_against(facts), *facts.model.notices]
    return _bullets([*map(safe, lines[:30]), _open("what else a user should know before relying on it")])


def _against(facts: Facts) -> list[str]:
    """What speaks against relying on it, as the report says it too."""
    lines = [hindsight_sentence(facts), both_promise(facts)]
    if remark := constant_remark(facts.evaluation, facts.gates):
        lines.append(f"{capital(remark)}.")
    lines += [
        f"{row.name} is worse than the champion’s: {row.difference} {row.difference_interval}."
        for row in metric_rows(facts)
        if row.tells == "worse"
    ]
    for found in worse_slices(facts):
        examples = [f"{name} {difference}" for name, difference, _ in found.rows[:_NAMED]]
        lines.append(f"{found.sentence} Among them: {'; '.join(examples)}." if examples else "")
    primary = facts.gates.champion.primary
    if few := [f"{one.column} {one.value}" for one in facts.evaluation.slices if _ranks_too_few(one, primary, facts)]:
        lines.append(f"Too few positives (or negatives) to say anything of the ranking in {listed(few, _NAMED)}.")
    return [line for line in lines if line]
