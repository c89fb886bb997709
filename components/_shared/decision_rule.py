"""How a score becomes a decision, and what a decision costs: declared in the task, used by every step that judges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from components._shared.contract import Contract

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINARY_COSTS = ("true_negative", "false_positive", "false_negative", "true_positive")
REGRESSION_COSTS = ("under", "over")


class DecisionRule(Contract):
    """What is done with a score.

    Attributes:
        threshold: Binary: act from this probability on; regression: act from this value on. Left out: binary, the one
            at which acting and not acting cost the same (Elkan, The foundations of cost-sensitive learning, 2001,
            equation 2), or 0.5 without costs; regression, there is no decision.
        costs: What one row costs, in `unit`. Binary: `false_positive`, `false_negative`, and maybe `true_positive`,
            `true_negative` (a gain is negative). Regression: `under` and `over`, for each unit that the score lies
            below or above the label. Multiclass: true class → decided class → cost; what is left out costs 1, the
            right class 0.
        unit: Of the costs, such as `EUR` or `minutes`.
    """

    threshold: float | None = None
    costs: dict[str, float | dict[str, float]] = {}
    unit: str = ""

    def check(self, problem: str, classes: tuple[str | int, ...] | None) -> None:
        """Holds the costs against the problem.

        Raises:
            ValueError: A name is not one of the problem's, or acting never pays.
        """
        numbers = [
            each for value in self.costs.values() for each in (value.values() if isinstance(value, dict) else [value])
        ]
        if self.threshold is not None:
            numbers.append(self.threshold)
        if not all(math.isfinite(each) for each in numbers):
            raise ValueError("decision: thresholds and costs are finite numbers")
        match problem:
            case "binary_classification":
                _check_names(self.costs, BINARY_COSTS)
                if self.threshold is not None and not 0 <= self.threshold <= 1:
                    raise ValueError("decision.threshold is a probability, 0 to 1")
                if self.costs and self.threshold is None:
                    _balance(self.costs)
            case "regression":
                _check_names(self.costs, REGRESSION_COSTS)
            case _:
                if self.threshold is not None:
                    raise ValueError("decision.threshold is for binary_classification and regression")
                names = [str(one) for one in classes or ()]
                for true, decided in self.costs.items():
                    if true not in names or not isinstance(decided, dict) or set(decided) - set(names):
                        raise ValueError(
                            f"decision.costs: write TRUE CLASS: {{DECIDED CLASS: cost}}, of {', '.join(names)}"
                        )

    def threshold_of(self, problem: str) -> float | None:
        """The score from which on one acts; none: nothing is decided by a threshold."""
        if self.threshold is not None or problem != "binary_classification":
            return self.threshold
        return _balance(self.costs) if self.costs else 0.5

    def decisions(
        self, problem: str, score: NDArray[np.float64], classes: tuple[str | int, ...] | None = None
    ) -> NDArray[np.int64] | None:
        """What is decided for each row: 0/1, or the number of the class of the least expected cost.

        Args:
            problem: Of the task.
            score: Per row; multiclass: rows × classes.
            classes: Multiclass: their names, in order.

        Returns:
            Per row; none: nothing is decided.
        """
        import numpy as np

        if problem == "multiclass_classification":
            expected = score @ np.asarray(self.cost_matrix(classes or ()))
            # Of two classes that cost the same, the likelier one.
            return np.lexsort((-score, np.round(expected, 12)), axis=1)[:, 0]
        threshold = self.threshold_of(problem)
        return None if threshold is None else (score >= threshold).astype(np.int64)

    def cost_matrix(self, classes: tuple[str | int, ...]) -> tuple[tuple[float, ...], ...]:
        """Multiclass: true class × decided class → cost."""
        names = [str(one) for one in classes]

        def cost(true: str, decided: str) -> float:
            given = self.costs.get(true, {})
            usual = 0.0 if true == decided else 1.0
            return float(given.get(decided, usual)) if isinstance(given, dict) else usual

        return tuple(tuple(cost(true, decided) for decided in names) for true in names)


def _check_names(costs: dict[str, Any], names: tuple[str, ...]) -> None:
    for name, value in costs.items():
        if name not in names or isinstance(value, dict):
            raise ValueError(f"decision.costs: {name!r} is not a cost here; write {', '.join(names)}, each a number")


def _balance(costs: dict[str, Any]) -> float:
    """The probability at which acting and not acting cost the same."""
    tn, fp, fn, tp = (float(costs.get(name, 0.0)) for name in BINARY_COSTS)
    if fp <= tn or fn <= tp:
        raise ValueError("decision.costs: a mistake must cost more than what is right, or one decision is always best")
    return (fp - tn) / ((fp - tn) + (fn - tp))
