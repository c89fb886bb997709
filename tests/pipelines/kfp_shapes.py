"""A small pipeline with every shape of the DSL that Saiki's pipelines rely on, and no machine learning."""

from typing import NamedTuple, Optional

from kfp import dsl

IMAGE = "shapes-python:1"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def decide(word: str, numbers: dict) -> NamedTuple(
    "Decided", [(name, str) for name in ("a", "b", "c", "d", "e", "f", "g", "h", "text")]
):
    """Many string outputs, one of them JSON with braces and quotes."""
    import json
    from collections import namedtuple

    names = ("a", "b", "c", "d", "e", "f", "g", "h", "text")
    values = [word] * 8 + [json.dumps({"numbers": numbers, "quote": 'a "b" {c}'})]
    return namedtuple("Decided", names)(*values)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def make(text: str, made: dsl.Output[dsl.Dataset]):
    """An artifact that is a file, with metadata."""
    with open(made.path, "w") as file:
        file.write(text)
    made.metadata["rows"] = len(text)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def look(
    made: dsl.Input[dsl.Dataset],
    seen: dsl.Output[dsl.Artifact],
    model: Optional[dsl.Input[dsl.Model]] = None,
    registered: str = "",
):
    """An optional artifact and an optional parameter, both left out by some callers."""
    with open(seen.path, "w") as file:
        file.write(f"{open(made.path).read()}|{model is not None}|{registered}")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fit(made: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model]):
    """A directory artifact."""
    import os

    os.makedirs(model.path)
    with open(os.path.join(model.path, "weights"), "w") as file:
        file.write("w")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def judge(
    seen: dsl.Input[dsl.Artifact], verdict: str, metrics: dsl.Output[dsl.Metrics], page: dsl.Output[dsl.HTML]
) -> NamedTuple("Judged", [("outcome", str)]):
    """A parameter that the pipeline branches on, beside metric and HTML artifacts."""
    from collections import namedtuple

    metrics.log_metric("auc", 0.5)
    with open(metrics.path, "w") as file:
        file.write("{}")
    with open(page.path, "w") as file:
        file.write("<p>page</p>")
    return namedtuple("Judged", ["outcome"])(verdict)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def push(page: dsl.Input[dsl.HTML], outcome: str) -> NamedTuple("Pushed", [("result", str), ("version", int)]):
    """Called in both branches."""
    from collections import namedtuple

    return namedtuple("Pushed", ["result", "version"])(outcome, 3)


@dsl.pipeline(name="shapes")
def shapes(word: str, verdict: str = "passed", numbers: dict = {}):
    """Every shape, wired."""
    decided = decide(word=word, numbers=numbers)
    decided.set_caching_options(enable_caching=False)
    made = make(text=decided.outputs["text"])
    fitted = fit(made=made.outputs["made"])
    with_model = look(made=made.outputs["made"], model=fitted.outputs["model"]).set_display_name("look: model")
    look(made=made.outputs["made"], registered=decided.outputs["a"])
    judged = judge(seen=with_model.outputs["seen"], verdict=verdict)
    with dsl.If(judged.outputs["outcome"] == "passed", name="passed"):
        first = push(page=judged.outputs["page"], outcome="promoted").set_display_name("push: promote")
    with dsl.Else(name="not passed"):
        second = push(page=judged.outputs["page"], outcome="rejected")
    for step in (first, second):
        step.set_caching_options(enable_caching=False)
