"""The wiring of `training`.

::

    plan ─ ingest ─┬─ settle (what became of earlier decisions) ─────────┐           ┌─ passed:     push ─ conclude
                   └─ split ─┬─ validate ──────────────────────────────┼─ judge ───┤
                             ├─ train ─┬─ predict ─┬─ evaluate ────────┤           └─ not passed: push ─ conclude
                             │         │           ├─ compare ─────────┤                       (push records only)
                             │         │           └─ behave ──────────┤
                             │         └─ smoke_test, explain ─────────┤
                             └─ predict (champion, reference) ─────────┘
"""

from collections.abc import Mapping

from kfp import dsl

from components.behave.component import behave
from components.compare.component import compare
from components.conclude.component import conclude
from components.evaluate.component import evaluate
from components.explain.component import explain
from components.ingest.component import ingest
from components.judge.component import judge
from components.plan.component import plan
from components.predict.component import predict
from components.push.component import push
from components.settle.component import settle
from components.smoke_test.component import smoke_test
from components.split.component import split
from components.train.component import train
from components.validate.component import validate
from pipelines.cluster.placement import Placement
from pipelines.cluster.settings import ClusterSettings
from pipelines.training.config import Profile


def build(profile: Profile | None = None, settings: ClusterSettings | None = None, images: Mapping[str, str] = {}):
    """The pipeline.

    Args:
        profile: How its steps run on a cluster; None: it runs on this machine.
        settings: Of the cluster.
        images: Component → image in place of ours.
    """
    placement = Placement(profile, settings or ClusterSettings(), images)
    place = placement.place
    sized = profile.steps["train"] if profile else None

    @dsl.pipeline(
        name="training",
        display_name="training",
        description="Trains a candidate, judges it beside the champion, promotes it only if the verdict allows it.",
        pipeline_root=placement.settings.pipeline_root or None,
    )
    @placement.leaving_out(*placement.meaningless)
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
        fail_on: str = "rejected,not_served" if profile else "",
        train_cpu: str = sized.cpu if sized else "",
        train_memory: str = sized.memory_limit if sized else "",
        train_accelerators: str = str(sized.accelerator.count) if sized and sized.accelerator else "",
        train_node_selector: dict = dict(sized.node_selector) if sized else {},
    ):
        """Trains, judges and, if the verdict allows it, promotes.

        Args:
            task: URI of the task file, such as gs://bucket/tasks/orders/task.yaml; its schema lies beside it.
            data_root: Where rows are kept: gs://…, s3://… or a folder.
            registry: Where models, attempts and the champion pointer are kept.
            as_of: Nothing at or after this moment is looked at (ISO 8601; empty: now). Floored to the task's cadence.
            trainer: linear, mlp, constant or package.module:function; empty: the task's.
            parameters: Trainer parameters that replace the task's, such as {"epochs": 5}.
            sample: Share of the rows, above 0 and up to 1, for a quick cycle.
            budget: Largest number of epochs, for a quick cycle; 0: the trainer's own.
            engine: vectorised, or tfma for TensorFlow Model Analysis.
            beam_options: Flags of an Apache Beam runner for validate and for tfma; empty: in memory.
            override: A recorded reason to promote in spite of the verdict.
            deploy: tf-serving, to serve a version and check its answers before it becomes champion; or none.
            serving: The server, [namespace/]name of its Deployment and Service; empty: serving-TASK, in this namespace.
            fail_on: Results of push that end the run as failed, separated by commas; of rejected, undecided,
                not_served, held, superseded, already_champion, promoted. Empty: none.
            train_cpu: CPUs for train, such as 4 or 500m. Another value trains again.
            train_memory: Memory for train, such as 8Gi. Another value trains again.
            train_accelerators: Number of accelerators for train. Another value trains again.
            train_node_selector: Labels of the nodes that train may run on, such as
                {"cloud.google.com/gke-accelerator": "nvidia-l4"}. Another value trains again.
        """
        planned = place(
            plan(
                task=task,
                as_of=as_of,
                data_root=data_root,
                registry=registry,
                trainer=trainer,
                parameters=parameters,
                sample=sample,
                budget=budget,
                images=dict(images),
            )
        )
        ingested = place(
            ingest(
                listing=planned.outputs["listing"],
                data=planned.outputs["data"],
                windows=planned.outputs["windows"],
                data_root=data_root,
                sample=sample,
                cache_epoch=planned.outputs["cache_epoch"],
            )
        )
        parts = place(split(examples=ingested.outputs["examples"], windows=planned.outputs["windows"]))
        validated = place(
            validate(
                examples=ingested.outputs["examples"],
                train=parts.outputs["train"],
                test=parts.outputs["test"],
                learning=planned.outputs["learning"],
                data_gates=planned.outputs["data_gates"],
                schema=planned.outputs["schema"],
                previous=planned.outputs["previous"],
                runner=beam_options,
            )
        )
        settled = place(
            settle(
                examples=ingested.outputs["examples"],
                decisions=planned.outputs["decisions"],
                windows=planned.outputs["windows"],
                gates=planned.outputs["gates"],
                data_gates=planned.outputs["data_gates"],
            )
        )
        trained = place(
            train(
                train=parts.outputs["train"],
                tune=parts.outputs["tune"],
                learning=planned.outputs["learning"],
                data_root=data_root,
            ),
            cpu=train_cpu,
            memory=train_memory,
            accelerators=train_accelerators,
            node_selector=train_node_selector,
        )
        candidate = place(
            predict(
                examples=parts.outputs["test"],
                data_root=data_root,
                scoring=planned.outputs["scoring"],
                model=trained.outputs["model"],
            ),
            "predict: candidate",
        )
        champion = place(
            predict(
                examples=parts.outputs["test"],
                data_root=data_root,
                scoring=planned.outputs["scoring"],
                registered=planned.outputs["champion"],
            ),
            "predict: champion",
        )
        reference = place(
            predict(
                examples=parts.outputs["test"],
                data_root=data_root,
                scoring=planned.outputs["scoring"],
                registered=planned.outputs["reference"],
            ),
            "predict: reference",
        )
        evaluated = place(
            evaluate(
                candidate=candidate.outputs["predictions"],
                champion=champion.outputs["predictions"],
                reference=reference.outputs["predictions"],
                gates=planned.outputs["gates"],
                looks=planned.outputs["looks"],
                engine=engine,
                runner=beam_options,
            )
        )
        smoke_tested = place(
            smoke_test(
                model=trained.outputs["model"],
                predictions=candidate.outputs["predictions"],
                examples=parts.outputs["test"],
                gates=planned.outputs["smoke_test"],
            )
        )
        compared = place(
            compare(
                candidate=candidate.outputs["predictions"],
                champion=champion.outputs["predictions"],
                examples=parts.outputs["test"],
                model=trained.outputs["model"],
                registered=planned.outputs["champion"],
                gates=planned.outputs["gates"],
                windows=planned.outputs["windows"],
            )
        )
        behaved = place(
            behave(
                model=trained.outputs["model"],
                predictions=candidate.outputs["predictions"],
                examples=parts.outputs["test"],
                behaviour=planned.outputs["behaviour"],
                registered=planned.outputs["champion"],
            )
        )
        explained = place(
            explain(
                model=trained.outputs["model"],
                examples=parts.outputs["test"],
                explanation=planned.outputs["explanation"],
                registered=planned.outputs["champion"],
            )
        )
        judged = place(
            judge(
                experiment=planned.outputs["experiment"],
                windows=planned.outputs["windows"],
                learning=planned.outputs["learning"],
                gates=planned.outputs["gates"],
                champion=planned.outputs["champion"],
                data_verdict=validated.outputs["verdict"],
                metrics_verdict=evaluated.outputs["verdict"],
                difference_verdict=compared.outputs["verdict"],
                behaviour_verdict=smoke_tested.outputs["verdict"],
                tests_verdict=behaved.outputs["verdict"],
                explanation_verdict=explained.outputs["verdict"],
                data_evidence=validated.outputs["evidence"],
                evaluation=evaluated.outputs["evidence"],
                comparison=compared.outputs["evidence"],
                changes=compared.outputs["changes"],
                behaviour=behaved.outputs["evidence"],
                explanation=explained.outputs["evidence"],
                settlements=settled.outputs["settlements"],
                model=trained.outputs["model"],
                examples=ingested.outputs["examples"],
            )
        )

        def finish(name: str) -> None:
            pushed = place(
                push(
                    experiment=planned.outputs["experiment"],
                    judgement=planned.outputs["judgement"],
                    registry=registry,
                    pointer=planned.outputs["pointer"],
                    champion=planned.outputs["champion"],
                    reference=planned.outputs["reference"],
                    previous=planned.outputs["previous"],
                    looks=planned.outputs["looks"],
                    windows=planned.outputs["windows"],
                    model=trained.outputs["model"],
                    verdict=judged.outputs["verdict"],
                    facts=judged.outputs["facts"],
                    report=judged.outputs["report"],
                    card=judged.outputs["card"],
                    statistics=validated.outputs["statistics"],
                    samples=smoke_tested.outputs["samples"],
                    sketches=compared.outputs["sketches"],
                    settlements=settled.outputs["settlements"],
                    override=override,
                    deploy=deploy,
                    serving=serving,
                ),
                name,
            )
            place(
                conclude(
                    result=pushed.outputs["result"],
                    reason=pushed.outputs["reason"],
                    fail_on=fail_on,
                    registry=registry,
                    pointer=planned.outputs["pointer"],
                    judgement=planned.outputs["judgement"],
                )
            )

        with dsl.If(judged.outputs["outcome"] == "passed", name="passed"):
            finish("push: promote")
        with dsl.Else(name="not passed") as otherwise:
            finish("push: record")
        otherwise.parent_task_group.display_name = "decision"

    return training


training = build()
