"""How a score becomes a decision, and what a decision costs: declared in the task, used by every step that judges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import field_validator

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

    @field_validator("costs", mode="before")
    @classmethod
    def _read_costs(cls, value: object) -> object:
        """Names become text: YAML reads a class that is called 3 as a number."""
        if not isinstance(value, Mapping):
            return value
        return {
            str(name): {str(one): _a_number(f"{name}.{one}", cost) for one, cost in found.items()}
            if isinstance(found, Mapping)
            else _a_number(str(name), found)
            for name, found in value.items()
        }

    def check(self, problem: str, classes: tuple[str | int, ...] | None) -> None:
        """Holds the costs against the problem.

        Raises:
            ValueError: A name is not one of the problem's, a cost is missing or no finite number, or a mistake costs
                no more than what is right, so that one decision would always be best. The message names the field.
        """
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise ValueError("decision.threshold is not a finite number")
        if self.unit and not self.costs:
            raise ValueError("decision.unit is that of the costs: give decision.costs too, or leave it out")
        match problem:
            case "binary_classification":
                if self.threshold is not None and not 0 <= self.threshold <= 1:
                    raise ValueError("decision.threshold is a probability, 0 to 1")
                _check_binary(self.costs)
            case "regression":
                _check_regression(self.costs)
            case _:
                if self.threshold is not None:
                    raise ValueError("decision.threshold is for binary_classification and regression")
                names = [str(one) for one in classes or ()]
                _check_cells(self.costs, names)
                if self.costs:
                    _check_matrix(self.costs, names, self.cost_matrix(tuple(names)))

    def threshold_of(self, problem: str) -> float | None:
        """The score from which on one acts; none: nothing is decided by a threshold."""
        if self.threshold is not None or problem != "binary_classification":
            return self.threshold
        return balance(self.costs) if self.costs else 0.5

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
            likely = score
            if self.costs:
                expected = np.round(score @ np.asarray(self.cost_matrix(classes or ())), 12)
                likely = np.where(expected == expected.min(axis=1, keepdims=True), score, -np.inf)
            # Of two classes that cost the same, the likelier one; without costs the likeliest costs least.
            decided: NDArray[np.int64] = likely.argmax(axis=1)
            return decided
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

    def cost_of_rows(
        self,
        problem: str,
        label: NDArray[np.float64],
        score: NDArray[np.float64],
        classes: tuple[str | int, ...] | None = None,
    ) -> NDArray[np.float64] | None:
        """What each row costs when it is decided by its score.

        Args:
            problem: Of the task.
            label: Per row: 0/1, the number of the class, or the value.
            score: Per row; multiclass: rows × classes.
            classes: Multiclass: their names, in order.

        Returns:
            Per row, in `unit`; none: no costs are declared.
        """
        if not self.costs:
            return None
        if problem == "regression":
            return _cost_of_errors(self.costs, score - label)
        decided = self.decisions(problem, score, classes)
        return None if decided is None else self.cost_of_decisions(problem, label, decided, classes)

    def cost_of_decisions(
        self,
        problem: str,
        label: NDArray[np.float64],
        decided: NDArray[np.int64] | int,
        classes: tuple[str | int, ...] | None = None,
    ) -> NDArray[np.float64]:
        """Classification: what each row costs when so is decided.

        Args:
            problem: Of the task.
            label: Per row: 0/1, or the number of the class.
            decided: Per row, or for all of them: 0/1, or the number of the class.
            classes: Multiclass: their names, in order.
        """
        import numpy as np

        if problem == "binary_classification":
            matrix = np.asarray([_number(self.costs, name) for name in BINARY_COSTS]).reshape(2, 2)
        else:
            matrix = np.asarray(self.cost_matrix(classes or ()))
        costs: NDArray[np.float64] = matrix[label.astype(np.int64), decided]
        return costs

    def cost_bounds(self, problem: str, classes: tuple[str | int, ...] | None = None) -> tuple[float, float]:
        """What a row costs at least and at most."""
        if problem == "regression":
            return 0.0, math.inf
        if problem == "binary_classification":
            costs = [_number(self.costs, name) for name in BINARY_COSTS]
        else:
            costs = [cost for row in self.cost_matrix(classes or ()) for cost in row]
        return min(costs), max(costs)

    def constant_decision(
        self, problem: str, base: Sequence[float], classes: tuple[str | int, ...] | None = None
    ) -> float | None:
        """The one decision for all rows that costs least by what was known when the model was made.

        Args:
            problem: Of the task.
            base: The training labels' rate, class rates or mean.
            classes: Multiclass: their names, in order.

        Returns:
            0 or 1, the number of a class, or (regression) the mean as the value that every row is given; none: no costs
            are declared, or no base is known.
        """
        import numpy as np

        if not self.costs or not base:
            return None
        if problem == "regression":
            return float(base[0])
        if problem == "binary_classification":
            # By the costs alone: a threshold that was set by hand may serve a score that is no probability.
            return float(base[0] >= balance(self.costs))
        decided = self.decisions(problem, np.asarray([base], dtype=np.float64), classes)
        return None if decided is None else float(decided[0])

    def cost_of_constant(
        self,
        problem: str,
        label: NDArray[np.float64],
        decided: float,
        classes: tuple[str | int, ...] | None = None,
    ) -> NDArray[np.float64]:
        """What each row costs under one decision, or one predicted value, for all."""
        if problem == "regression":
            return _cost_of_errors(self.costs, decided - label)
        return self.cost_of_decisions(problem, label, int(decided), classes)

    def hindsight_decision(
        self,
        problem: str,
        label: NDArray[np.float64],
        weight: NDArray[np.float64],
        classes: tuple[str | int, ...] | None = None,
    ) -> float | None:
        """The one decision, or value, for all rows that costs least on the rows themselves.

        Args:
            problem: Of the task.
            label, weight: Per row.
            classes: Multiclass: their names, in order.

        Returns:
            None: no costs are declared, or there are no rows.
        """
        import numpy as np

        if not self.costs or not len(label):
            return None
        if problem == "regression":
            # Of errors that cost differently by their side, a quantile of the labels costs least (Koenker & Bassett,
            # Regression quantiles, 1978).
            under, over = (_number(self.costs, name) for name in REGRESSION_COSTS)
            order = np.argsort(label, kind="stable")
            reached = np.cumsum(weight[order]) / weight.sum()
            place = int(np.searchsorted(reached, under / (under + over) - 1e-12))
            return float(label[order][min(place, len(label) - 1)])
        choices = range(2 if problem == "binary_classification" else len(classes or ()))
        costs = [float(self.cost_of_decisions(problem, label, one, classes) @ weight) for one in choices]
        return float(np.argmin(costs))


def balance(costs: Mapping[str, Any]) -> float:
    """The probability at which acting and not acting cost the same.

    Args:
        costs: Of a binary problem; a mistake costs more than what is right.
    """
    tn, fp, fn, tp = (_number(costs, name) for name in BINARY_COSTS)
    return (fp - tn) / ((fp - tn) + (fn - tp))


def _a_number(name: str, value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"decision.costs.{name} is not a number: {value!r}")
    return value


def _cost_of_errors(costs: Mapping[str, Any], error: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.where(error < 0, -_number(costs, "under") * error, _number(costs, "over") * error)


def _number(costs: Mapping[str, Any], name: str) -> float:
    return float(costs.get(name, 0.0))


def _check_names(costs: Mapping[str, Any], names: tuple[str, ...], needed: tuple[str, ...]) -> None:
    for name, value in costs.items():
        if name not in names or isinstance(value, dict):
            raise ValueError(f"decision.costs: {name!r} is not a cost here; write {', '.join(names)}, each a number")
        if not math.isfinite(value):
            raise ValueError(f"decision.costs.{name} is not a finite number")
    for name in needed:
        if costs and name not in costs:
            raise ValueError(f"decision.costs.{name} is missing: {' and '.join(needed)} are both needed")


def _check_binary(costs: Mapping[str, Any]) -> None:
    _check_names(costs, BINARY_COSTS, ("false_positive", "false_negative"))
    for wrong, right in (("false_positive", "true_negative"), ("false_negative", "true_positive")):
        if costs and _number(costs, wrong) <= _number(costs, right):
            raise ValueError(
                f"decision.costs.{wrong} must be more than decision.costs.{right} ({_number(costs, right):g}):"
                " otherwise one decision is best for every row, and nothing is to be predicted"
            )


def _check_regression(costs: Mapping[str, Any]) -> None:
    _check_names(costs, REGRESSION_COSTS, REGRESSION_COSTS)
    for name, value in costs.items():
        if value <= 0:
            raise ValueError(
                f"decision.costs.{name} must be more than 0: otherwise the best prediction has no bound on one side"
            )


def _check_cells(costs: Mapping[str, Any], names: list[str]) -> None:
    known = ", ".join(names)
    for true, row in costs.items():
        if true not in names or not isinstance(row, dict):
            raise ValueError(f"decision.costs: write TRUE CLASS: {{DECIDED CLASS: cost}}, of {known}; not {true!r}")
        for decided, cost in row.items():
            field = f"decision.costs.{true}.{decided}"
            if decided not in names:
                raise ValueError(f"{field}: {decided!r} is not a class; use one of {known}")
            if not math.isfinite(cost):
                raise ValueError(f"{field} is not a finite number")


def _check_matrix(costs: Mapping[str, Any], names: list[str], matrix: tuple[tuple[float, ...], ...]) -> None:
    for place, (true, row) in enumerate(zip(names, matrix, strict=True)):
        for decided, cost in zip(names, row, strict=True):
            if cost < row[place]:
                left_out = "" if decided in costs.get(true, {}) else ", which is 1 where it is left out,"
                raise ValueError(
                    f"decision.costs.{true}.{decided}{left_out} must not be less than what is right costs"
                    f" ({row[place]:g})"
                )
    for place, decided in enumerate(names):
        if all(row[place] <= min(row) for row in matrix):
            raise ValueError(
                f"decision.costs: to decide {decided!r} costs no more than any other decision, whatever the true class:"
                " it would be best for every row, and nothing is to be predicted"
            )
