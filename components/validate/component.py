"""What the Kubeflow UI shows of `validate`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("validate"), install_kfp_package=False)
def validate(
    examples: dsl.Input[dsl.Dataset],
    train: dsl.Input[dsl.Dataset],
    test: dsl.Input[dsl.Dataset],
    learning: str,
    data_gates: str,
    schema: str,
    statistics: dsl.Output[dsl.Artifact],
    proposal: dsl.Output[dsl.Artifact],
    evidence: dsl.Output[dsl.Artifact],
    anomalies: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    verdict: dsl.Output[dsl.Artifact],
    previous: str = "",
    runner: str = "",
):
    """Judges the rows: statistics, anomalies against the pinned schema, drift, skew, and the task's data gates.

    Args:
        examples: Manifest of all rows, with their accounting.
        train: Manifest of the rows that the statistics describe.
        test: Manifest of the rows that skew is measured on.
        learning: Learning section of the task, JSON.
        data_gates: Limits on the rows, JSON.
        schema: URI of the pinned schema.
        previous: URI of an earlier snapshot's statistics, which drift is measured against; empty: there is none.
        runner: Flags of an Apache Beam runner, such as --runner=DirectRunner; empty: in memory.
        statistics: DatasetFeatureStatisticsList of train (TensorFlow Data Validation, binary).
        proposal: The pinned schema changed so that it allows what was seen (YAML); empty: it does already.
        evidence: Facts about the rows, JSON.
        anomalies: What TensorFlow Data Validation objects to in train, protobuf text.
        report: The facts as a page.
        summary: The verdict as Markdown.
        verdict: The verdict on the data, JSON.
    """
    from pathlib import Path

    from components._shared import storage
    from components._shared.gates import DataGates
    from components._shared.manifest import Manifest
    from components._shared.task import LearningSection, Schema
    from components.validate import executor
    from components.validate.report import html, markdown

    read = [Manifest.from_json(Path(part.path).read_text(encoding="utf-8")) for part in (examples, train, test)]
    found = executor.validate(
        examples=read[0],
        train=read[1],
        test=read[2],
        learning=LearningSection.from_json(learning),
        gates=DataGates.from_json(data_gates),
        schema=Schema.from_json(storage.read(schema), where=schema),
        previous=previous,
        runner=runner,
    )
    Path(statistics.path).write_bytes(found.statistics)
    texts = {
        proposal.path: found.evidence.proposal,
        evidence.path: found.evidence.to_json(),
        anomalies.path: found.anomalies,
        report.path: html(found.evidence, found.verdict),
        summary.path: markdown(found.evidence, found.verdict),
        verdict.path: found.verdict.to_json(),
    }
    for path, text in texts.items():
        Path(path).write_text(text, encoding="utf-8")
    verdict.metadata["outcome"] = found.verdict.outcome
    statistics.metadata["rows"] = read[1].count
    proposal.metadata["differs"] = bool(found.evidence.proposal)
