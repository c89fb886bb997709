"""What the Kubeflow UI shows of `settle`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("settle"), install_kfp_package=False)
def settle(
    examples: dsl.Input[dsl.Dataset],
    decisions: str,
    windows: str,
    gates: str,
    data_gates: str,
    verdict: dsl.Output[dsl.Artifact],
    settlements: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
):
    """Holds the promises of earlier decisions against the rows that came after them.

    Args:
        examples: Manifest of all rows of the run's window.
        decisions: The decisions whose labels have matured since (JSON), from `plan`.
        windows: The windows of the run (JSON).
        gates: Limits on the model (JSON): which metric counts, how long a block is, and how few rows say nothing.
        data_gates: Limits on the rows (JSON): how many labels may be missing.
        verdict: Whether the decisions were right (JSON); it judges them, not the candidate.
        settlements: Each promise beside what came true (JSON).
        metrics: How many promises were kept, broken, …, and what the newest decision gained.
        summary: The verdict as Markdown.
    """
    from pathlib import Path

    from components._shared.gates import DataGates
    from components._shared.ledger import Decisions
    from components._shared.manifest import Manifest
    from components._shared.task import EvaluationSection
    from components._shared.windows import Windows
    from components.settle.executor import settle as execute
    from components.settle.outputs import write

    result = execute(
        examples=Manifest.from_json(Path(examples.path).read_text(encoding="utf-8"), where="examples"),
        decisions=Decisions.from_json(decisions, where="decisions"),
        windows=Windows.from_json(windows, where="windows"),
        section=EvaluationSection.from_json(gates, where="gates"),
        data_gates=DataGates.from_json(data_gates, where="data_gates"),
    )
    write(result, verdict=verdict, settlements=settlements, metrics=metrics, summary=summary)
