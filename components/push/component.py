"""What the Kubeflow UI shows of `push`."""

from typing import NamedTuple

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("push"), install_kfp_package=False)
def push(
    experiment: str,
    judgement: str,
    registry: str,
    pointer: str,
    champion: str,
    reference: str,
    previous: str,
    looks: int,
    windows: str,
    model: dsl.Input[dsl.Model],
    verdict: dsl.Input[dsl.Artifact],
    facts: dsl.Input[dsl.Artifact],
    report: dsl.Input[dsl.HTML],
    card: dsl.Input[dsl.Markdown],
    statistics: dsl.Input[dsl.Artifact],
    samples: dsl.Input[dsl.Artifact],
    sketches: dsl.Input[dsl.Artifact],
    settlements: dsl.Input[dsl.Artifact],
    override: str = "",
    deploy: str = "none",
    serving: str = "",
) -> NamedTuple("Pushed", [("result", str), ("version", int), ("reason", str)]):
    """Records the attempt and, if the verdict allows it, writes the version, serves it and moves the champion pointer.

    Args:
        experiment: Digest over data, window, features, trainer, parameters and code.
        judgement: Digest over the experiment, the gates and the code that judges: names the record.
        registry: Folder or bucket prefix of models, attempts and champions.
        pointer: The champion pointer as plan saw it (JSON); if it has moved since, the result is superseded.
        champion: The version that the candidate was compared with (JSON), or empty.
        reference: The pinned reference that it was compared with (JSON), or empty.
        previous: URI of the statistics that drift was measured against, or empty.
        looks: How many decisions of this kind a quarter of a year holds.
        windows: The windows of the run (JSON).
        model: The candidate.
        verdict: The merged verdict.
        facts: What the report shows, as JSON.
        report: The run's front page.
        card: The model card: it stands beside the version, too.
        statistics: Statistics of train, for the drift of later runs.
        samples: Rows and the scores that the candidate must give to them when it is served.
        sketches: Distribution of the candidate's scores, to compare later traffic with.
        settlements: What became of the promises of earlier decisions (JSON).
        override: A recorded reason to promote in spite of the verdict; empty: refuse what did not pass.
        deploy: tf-serving, to serve the version and check its answers before it becomes champion; or none.
        serving: The server, [namespace/]name of its Deployment and Service; empty: serving-TASK, in this namespace.

    Returns:
        result: promoted, rejected, undecided, held, superseded, already_champion or not_served.
        version: The version made of the candidate, else the champion's; 0: there is none.
        reason: Why, in a sentence.
    """
    from pathlib import Path

    from components._shared.records import Baseline, ModelRef, Pointer
    from components._shared.windows import Windows
    from components.push.deployment import server_of
    from components.push.executor import push as execute

    seen = Pointer.from_json(pointer, where="pointer")
    pushed = execute(
        experiment=experiment,
        judgement=judgement,
        registry=registry,
        pointer=seen,
        baseline=Baseline(
            champion=ModelRef.from_json(champion, where="champion") if champion else None,
            reference=ModelRef.from_json(reference, where="reference") if reference else None,
            previous=previous,
            looks=looks,
        ),
        windows=Windows.from_json(windows, where="windows"),
        model=Path(model.path),
        verdict=Path(verdict.path),
        facts=Path(facts.path),
        report=Path(report.path),
        card=Path(card.path),
        statistics=Path(statistics.path),
        samples=Path(samples.path),
        sketches=Path(sketches.path),
        settlements=Path(settlements.path),
        override=override,
        server=server_of(deploy, serving, seen.task),
    )
    print(f"{pushed.result}: {pushed.reason}")
    return (pushed.result, pushed.version, pushed.reason)
