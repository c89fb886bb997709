"""What the Kubeflow UI shows of `plan`."""

from typing import NamedTuple

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("plan"), install_kfp_package=False)
def plan(
    task: str,
    as_of: str,
    data_root: str,
    registry: str,
    trainer: str,
    parameters: dict,
    sample: float,
    budget: int,
    images: dict,
) -> NamedTuple(
    "Plan",
    [
        ("experiment", str),
        ("judgement", str),
        ("listing", str),
        ("data", str),
        ("windows", str),
        ("learning", str),
        ("data_gates", str),
        ("gates", str),
        ("scoring", str),
        ("smoke_test", str),
        ("behaviour", str),
        ("explanation", str),
        ("looks", int),
        ("decisions", str),
        ("champion", str),
        ("reference", str),
        ("previous", str),
        ("schema", str),
        ("cache_epoch", str),
        ("pointer", str),
    ],
):
    """Looks at clock, sources, registry and earlier attempts, and hands them on as values; all steps after it are pure.

    Args:
        task: URI or path of the task file.
        as_of: ISO 8601 moment at which the run looks at the world; empty: now. Floored to the task's cadence.
        data_root: Folder or bucket prefix of shards, listings and schemas.
        registry: Folder or bucket prefix of models, attempts and champions.
        trainer: Name of a trainer in place of the task's; empty: the task's.
        parameters: Trainer parameters in place of the task's of the same name.
        sample: Share of the rows, above 0 and up to 1.
        budget: Largest number of epochs; 0: the trainer's own.
        images: Component → the image that it runs in, where that is not ours.

    Returns:
        experiment: Digest over sources, rows, windows, learning and the code that makes them a model.
        judgement: Digest over the experiment, the gates and the code that judges.
        listing: URI of the exact sources.
        data: What decides which rows there are (JSON).
        windows: The windows of the run (JSON).
        learning: What decides the model (JSON).
        data_gates: Limits on the rows (JSON).
        gates: Limits on the model, and slices (JSON).
        scoring: Problem, classes and slices (JSON): what decides the predictions.
        smoke_test: How exactly the exported model must answer again (JSON).
        behaviour: Tests of the model's behaviour on changed rows (JSON).
        explanation: Limits on what the model has learned (JSON).
        looks: How many decisions of this kind a quarter of a year holds.
        decisions: Earlier decisions that later rows can settle (JSON).
        champion: The champion that the candidate is judged beside (JSON), or empty.
        reference: The pinned reference version (JSON), or empty.
        previous: URI of the earlier statistics that drift is measured against, or empty.
        schema: URI of the pinned schema.
        cache_epoch: Changes when garbage collection removes shards, and where a data root begins anew.
        pointer: What `push` must find unchanged to move the champion pointer (JSON).
    """
    from components.plan.executor import plan as execute

    return execute(
        task_uri=task,
        as_of=as_of,
        data_root=data_root,
        registry=registry,
        trainer=trainer,
        parameters=parameters,
        sample=sample,
        budget=budget,
        images=images,
    )
