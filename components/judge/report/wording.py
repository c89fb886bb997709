"""How the report writes metrics, numbers, moments and digests."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from components._shared.evidence import Estimate, Figures
from components._shared.gates import METRIC_NAMES
from components._shared.task import EvaluationSection
from components._shared.windows import Window, zone

PROBLEM_NAMES: dict[str, str] = {
    "binary_classification": "binary classification",
    "multiclass_classification": "multiclass classification",
    "regression": "regression",
}

OUTCOME_NAMES: dict[str, str] = {"passed": "passed", "failed": "failed", "cannot_judge": "cannot judge"}

_SUBJECT_NAMES: dict[str, str] = {
    "data": "",
    "metric": "",
    "champion": "against the champion",
    "reference": "against the pinned reference",
    "behaviour": "",
    "difference": "from the champion",
    "explanation": "",
}

_PART_NAMES: dict[str, str] = {
    "min_rows": "enough rows",
    "min_days": "enough days",
    "malformed": "malformed rows",
    "label_missing": "rows without a label",
    "duplicates": "duplicate rows",
    "drift_psi": "drift (PSI)",
    "skew_psi": "skew (PSI)",
    "unseen": "unseen values",
    "schema": "the feature is there",
    "improve": "improvement",
    "flipped": "decisions that differ",
    "psi": "distribution of the scores (PSI)",
    "ks": "distribution of the scores (KS)",
    "mean": "mean difference of the scores",
    "rank_agreement": "order of the scores",
    "tests": "test of behaviour",
    "export_difference": "same score from the exported document",
    "largest_share": "no feature decides alone",
    "must_matter": "has to matter",
    "must_not_matter": "must not matter",
    "slices": "in every slice",
    "beats_base_rate": "better than a constant",
    "loads": "the model loads",
    "batch": "answers a batch",
    "missing_values": "answers missing values",
    "unseen_category": "answers unseen categories",
    "wrong_type": "refuses a wrong type",
    "range": "scores in range",
    "reproduces": "reproduces its scores",
    "single_row": "same score alone and in a batch",
}

METRIC_MEANINGS: dict[str, str] = {
    "auc": "how often a positive row scores above a negative one; 0.5 is chance",
    "pr_auc": "precision averaged over recall; chance is the share of positives",
    "log_loss": "punishes confident mistakes",
    "brier": "mean squared error of the probabilities",
    "calibration_error": "how far probabilities lie from what came true",
    "accuracy": "share decided right",
    "macro_f1": "precision and recall in one, every class counting alike",
    "rmse": "typical error, large ones weighing more",
    "mae": "mean size of the error",
    "r2": "share of the label’s spread that is explained",
    "bias": "mean of prediction minus label",
    "cost": "mean cost of what is decided about a row",
}
"""What they measure, for a reader who has not met them."""

SMALL_PSI, LARGE_PSI = 0.1, 0.25

_LONGEST = 160
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SIGNIFICANT = 4
_EXPONENT = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?[eE][-+]?\d+(?![\w.])")
_ONE_DIGIT_FROM = 3.5


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def shorten(text: str, longest: int = _LONGEST) -> str:
    """The text on one line, cut where it is too long to be read in a table."""
    line = " ".join(str(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def metric_name(metric: str) -> str:
    """The name of a metric as it stands in a sentence."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def gate_name(name: str) -> str:
    """A gate's path in words, such as `Log-loss, against the champion` for `champion.log_loss`."""
    subject, _, rest = name.partition(".")
    if not rest:
        return capital(name.replace("_", " "))
    words = [_PART_NAMES.get(part, metric_name(part)) for part in reversed(rest.split("."))]
    return capital(", ".join(word for word in (*words, _SUBJECT_NAMES.get(subject, subject)) if word))


def decimals_of(*estimates: Estimate | None) -> int | None:
    """Decimal places that the narrowest interval calls for; none without an interval.

    As the Particle Data Group rounds: two significant digits of the half width, or one if it starts with 3.5 or more.
    """
    widths = [
        (estimate.interval[1] - estimate.interval[0]) / 2
        for estimate in estimates
        if estimate is not None and estimate.interval is not None
    ]
    positive = [width for width in widths if width > 0]
    if not positive:
        return None
    power = math.floor(math.log10(min(positive)))
    leading = min(positive) / 10.0**power
    return min(8, max(0, -power + (leading < _ONE_DIGIT_FROM)))


def decimals_of_figures(figures: Figures) -> int:
    """One number of decimal places for a row of figures, so that they can be compared by eye."""
    largest = abs(figures.candidate.value)
    for estimate in (figures.difference, figures.candidate, figures.champion):
        found = decimals_of(estimate)
        if found is not None:
            # Figures between 0 and 1 have at least three places: in wide intervals all would look alike.
            return max(found, 3) if largest < 1 else found
    return 3 if largest < 1 else max(0, _SIGNIFICANT - 1 - math.floor(math.log10(largest)))


def number(value: float | None, decimals: int | None = None) -> str:
    """A number with thousand separators and a true minus sign; without `decimals`, four significant digits."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if decimals is None:
        if value == 0 or (float(value).is_integer() and abs(value) < 1e15):
            text = f"{value:,.0f}"
        elif abs(value) < 1e-4 or abs(value) >= 1e15:
            mantissa, _, power = f"{value:.2e}".partition("e")
            text = f"{mantissa.rstrip('0').rstrip('.')} × 10{str(int(power)).translate(SUPERSCRIPT)}"
        else:
            places = max(0, _SIGNIFICANT - 1 - math.floor(math.log10(abs(value))))
            text = f"{value:,.{places}f}"
            text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:,.{decimals}f}"
    if text.startswith("-"):
        text = text[1:] if not text.strip("-0.,") else f"−{text[1:]}"
    return text


def readable(text: str) -> str:
    """A sentence with its numbers as the page writes them: `at most 1e-05` beside `2.4 × 10⁻⁷` would be two styles."""
    return _EXPONENT.sub(lambda found: number(float(found.group())), text)


def signed(value: float | None, decimals: int | None = None) -> str:
    """A number with its sign, for differences."""
    text = number(value, decimals)
    return text if value is None or text.startswith("−") or not text.strip("0.,") else f"+{text}"


def interval(pair: Sequence[float] | None, decimals: int | None = None) -> str:
    """An interval, or nothing."""
    if pair is None:
        return ""
    return f"[{number(pair[0], decimals)}, {number(pair[1], decimals)}]"


def estimate(found: Estimate | None, decimals: int | None = None) -> str:
    """A figure and its interval."""
    if found is None:
        return "–"
    return f"{number(found.value, decimals)} {interval(found.interval, decimals)}".strip()


def count(value: int | None) -> str:
    """A whole number with thousand separators."""
    return "–" if value is None else f"{value:,}".replace("-", "−")


def plural(value: int, singular: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{count(value)} {singular if value == 1 else many or singular + 's'}"


def percent(share: float | None) -> str:
    """A share as a percentage; small ones are not rounded away."""
    if share is None:
        return "–"
    value = 100 * share
    if value == 0 or value == 100:
        return f"{value:.0f}\u00a0%"
    if abs(value) < 0.01:
        return "<\u00a00.01\u00a0%"
    if 99.95 <= value < 100:
        return f"{math.floor(value * 100) / 100:.2f}\u00a0%"
    return f"{value:.2f}\u00a0%" if abs(value) < 0.1 else f"{value:.1f}\u00a0%"


def percent_interval(pair: Sequence[float] | None) -> str:
    """An interval of a share, as percentages."""
    return "" if pair is None else f"[{percent(pair[0])}, {percent(pair[1])}]"


def with_unit(text: str, unit: str) -> str:
    """An amount with its unit, if it has one."""
    return f"{text}\u00a0{unit}" if unit else text


def size_of_psi(psi: float) -> str:
    """How large a shift of a distribution is, by the usual rule of thumb."""
    return "large" if psi >= LARGE_PSI else "moderate" if psi >= SMALL_PSI else "small"


def moment(when: datetime | None, timezone: str) -> str:
    """A moment in the task's time zone; midnight is written as the date alone."""
    if when is None:
        return "–"
    local = when.astimezone(zone(timezone))
    day = f"{local.day} {local:%b %Y}"
    return day if _is_midnight(local) else f"{day}, {local:%H:%M}"


def period(window: Window | None, timezone: str) -> str:
    """A window as its first and last day, or as two moments if it does not hold whole days."""
    if window is None:
        return "–"
    end = window.end.astimezone(zone(timezone))
    if window.start is None:
        return f"to {moment((end - timedelta(days=1)) if _is_midnight(end) else end, timezone)}"
    start = window.start.astimezone(zone(timezone))
    if not (_is_midnight(start) and _is_midnight(end)):
        return f"{moment(window.start, timezone)} – {moment(window.end, timezone)}"
    last = end - timedelta(days=1)
    if start.date() == last.date():
        return f"{start.day} {start:%b %Y}"
    if (start.year, start.month) == (last.year, last.month):
        return f"{start.day} – {last.day} {last:%b %Y}"
    if start.year == last.year:
        return f"{start.day} {start:%b} – {last.day} {last:%b %Y}"
    return f"{start.day} {start:%b %Y} – {last.day} {last:%b %Y}"


def length(window: Window | None, timezone: str) -> str:
    """How long a window is, in days of the calendar or in hours."""
    if window is None or window.start is None:
        return ""
    start, end = window.start.astimezone(zone(timezone)), window.end.astimezone(zone(timezone))
    if _is_midnight(start) and _is_midnight(end):
        return plural((end.date() - start.date()).days, "day")
    hours = (window.end - window.start).total_seconds() / 3600
    return f"{number(round(hours / 24, 1))} days" if hours >= 48 else f"{number(round(hours, 1))} hours"


def _is_midnight(local: datetime) -> bool:
    return local.hour == local.minute == local.second == local.microsecond == 0


def cluster_noun(gates: EvaluationSection) -> str:
    """What the rows are resampled by: days, or what the task says, or single rows."""
    if gates.cluster is not None:
        return "cluster"
    return "day" if gates.has_time else "row"


def extent(rows: int, clusters: int, gates: EvaluationSection) -> str:
    """How much a judgement rests on, such as `27,012 rows on 30 days`."""
    noun = cluster_noun(gates)
    if noun == "row":
        return plural(rows, "row")
    return f"{plural(rows, 'row')} {'on' if noun == 'day' else 'in'} {plural(clusters, noun)}"


def nobody_acts_on(metric: str, gates: EvaluationSection) -> bool:
    """Whether a metric counts the likeliest class as decided (binary: from 0.5 on) where the task decides otherwise."""
    if metric not in ("accuracy", "macro_f1"):
        return False
    if gates.problem == "multiclass_classification":
        return bool(gates.decision.costs)
    threshold = gates.decision.threshold_of(gates.problem)
    return threshold is not None and threshold != 0.5


def metric_label(metric: str, gates: EvaluationSection) -> str:
    """The name of a metric in a table of this task: what is measured at another decision than the task's says so."""
    if not nobody_acts_on(metric, gates):
        return metric_name(metric)
    binary = gates.problem == "binary_classification"
    return f"{metric_name(metric)} {'at 0.5' if binary else 'of the likeliest class'}"


def listed(words: Sequence[str], most: int = 6) -> str:
    """`a, b and c`; beyond `most` words, how many more there are."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""
