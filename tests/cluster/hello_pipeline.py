"""A pipeline with a parameter of each type, that does next to nothing."""

from kfp import dsl


@dsl.component(base_image="python:3.11-slim", install_kfp_package=False)
def say(text: str) -> str:
    return text


@dsl.pipeline(name="hello")
def hello(text: str, number: int = 3, share: float = 0.5, options: dict = {}, loud: bool = False):
    say(text=text)
