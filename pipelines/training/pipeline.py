"""The wiring of `training`.

::

    plan ─ ingest ─ split ─┬─ validate ──────────────────────────────┐
                           ├─ train ─┬─ predict ───────┬─ evaluate ──┼─ judge ─┬─ passed:     push
                           │         └─ smoke_test ────│─────────────┘         └─ not passed: push (records only)
                           └─ predict (champion, reference)
"""

from kfp import dsl

from components.evaluate.component import evaluate
from components.ingest.component import ingest
from components.judge.component import judge
from components.plan.component import plan
from components.predict.component import predict
from components.push.component import push
from components.smoke_test.component import smoke_test
from components.split.component import split
from components.train.component import train
from components.validate.component import validate


@dsl.pipeline(
    name="training",
    display_name="training",
    description="Trains a candidate, judges it beside the champion, promotes it only if the verdict allows it.",
)
def training(
    task: str,
    data_root: str,
    registry: str,
    as_of: str = "",
    trainer: str = "",
    parameters: dict = {},  # noqa: B006 (KFP reads the default, nothing mutates it)
    sample: float = 1.0,
    budget: int = 0,
    engine: str = "vectorised",
    beam_options: str = "",
    override: str = "",
    deploy: str = "none",
    serving: str = "",
):
    """Trains, judges and, if the verdict allows it, promotes.

    Args:
        task: URI of the task file.
        data_root: Where rows are kept: gs://…, s3://… or a folder.
        registry: Where models, attempts and the champion pointer are kept.
        as_of: Nothing at or after this moment is looked at (ISO 8601; empty: now). Floored to the task's cadence.
        trainer: linear, mlp, constant or package.module:function; empty: the task's.
        parameters: Trainer parameters that replace the task's.
        sample: Share of the rows, for a quick cycle.
        budget: Largest number of epochs, for a quick cycle; 0: the trainer's own.
        engine: vectorised, or tfma for TensorFlow Model Analysis.
        beam_options: Flags of an Apache Beam runner for validate and for tfma; empty: in memory.
        override: A recorded reason to promote in spite of the verdict.
        deploy: tf-serving, to serve a version and check its answers before it becomes champion; or none.
        serving: The server, [namespace/]name of its Deployment and Service; empty: serving-TASK, in this namespace.
    """
    planned = plan(
        task=task,
        as_of=as_of,
        data_root=data_root,
        registry=registry,
        trainer=trainer,
        parameters=parameters,
        sample=sample,
        budget=budget,
    )
    ingested = ingest(
        listing=planned.outputs["listing"],
        data=planned.outputs["data"],
        windows=planned.outputs["windows"],
        data_root=data_root,
        sample=sample,
        cache_epoch=planned.outputs["cache_epoch"],
    )
    parts = split(examples=ingested.outputs["examples"], windows=planned.outputs["windows"])
    validated = validate(
        examples=ingested.outputs["examples"],
        train=parts.outputs["train"],
        test=parts.outputs["test"],
        learning=planned.outputs["learning"],
        data_gates=planned.outputs["data_gates"],
        schema=planned.outputs["schema"],
        previous=planned.outputs["previous"],
        runner=beam_options,
    )
    trained = train(
        train=parts.outputs["train"],
        tune=parts.outputs["tune"],
        learning=planned.outputs["learning"],
        data_root=data_root,
    )
    candidate = predict(
        examples=parts.outputs["test"],
        data_root=data_root,
        scoring=planned.outputs["scoring"],
        model=trained.outputs["model"],
    ).set_display_name("predict: candidate")
    champion = predict(
        examples=parts.outputs["test"],
        data_root=data_root,
        scoring=planned.outputs["scoring"],
        registered=planned.outputs["champion"],
    ).set_display_name("predict: champion")
    reference = predict(
        examples=parts.outputs["test"],
        data_root=data_root,
        scoring=planned.outputs["scoring"],
        registered=planned.outputs["reference"],
    ).set_display_name("predict: reference")
    evaluated = evaluate(
        candidate=candidate.outputs["predictions"],
        champion=champion.outputs["predictions"],
        reference=reference.outputs["predictions"],
        gates=planned.outputs["gates"],
        engine=engine,
        runner=beam_options,
    )
    smoke_tested = smoke_test(
        model=trained.outputs["model"],
        predictions=candidate.outputs["predictions"],
        examples=parts.outputs["test"],
        behaviour=planned.outputs["behaviour"],
    )
    judged = judge(
        experiment=planned.outputs["experiment"],
        windows=planned.outputs["windows"],
        learning=planned.outputs["learning"],
        gates=planned.outputs["gates"],
        champion=planned.outputs["champion"],
        data_verdict=validated.outputs["verdict"],
        metrics_verdict=evaluated.outputs["verdict"],
        behaviour_verdict=smoke_tested.outputs["verdict"],
        data_evidence=validated.outputs["evidence"],
        evaluation=evaluated.outputs["evidence"],
        model=trained.outputs["model"],
        examples=ingested.outputs["examples"],
    )

    def pushed() -> dsl.PipelineTask:
        return push(
            experiment=planned.outputs["experiment"],
            judgement=planned.outputs["judgement"],
            registry=registry,
            pointer=planned.outputs["pointer"],
            champion=planned.outputs["champion"],
            reference=planned.outputs["reference"],
            previous=planned.outputs["previous"],
            windows=planned.outputs["windows"],
            model=trained.outputs["model"],
            verdict=judged.outputs["verdict"],
            facts=judged.outputs["facts"],
            report=judged.outputs["report"],
            statistics=validated.outputs["statistics"],
            samples=smoke_tested.outputs["samples"],
            override=override,
            deploy=deploy,
            serving=serving,
        )

    with dsl.If(judged.outputs["outcome"] == "passed", name="passed"):
        promotion = pushed().set_display_name("push: promote")
    with dsl.Else(name="not passed"):
        record = pushed().set_display_name("push: record")

    for step in (planned, promotion, record):
        step.set_caching_options(enable_caching=False)
