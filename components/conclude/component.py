"""What the Kubeflow UI shows of `conclude`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("conclude"), install_kfp_package=False)
def conclude(
    result: str,
    reason: str,
    fail_on: str,
    registry: str,
    pointer: str,
    judgement: str,
):
    """Fails, with the reason, if the candidate was turned down: a rejection is red in a list of runs, not green.

    Args:
        result: What became of the candidate, from push.
        reason: Why, from push.
        fail_on: Results that end the run as failed, separated by commas; empty: none.
        registry: Folder or bucket prefix of models, attempts and champions.
        pointer: The champion pointer as plan saw it (JSON).
        judgement: Digest over the experiment, the gates and the code that judges: names the record.
    """
    from components._shared.records import Pointer
    from components.conclude import executor

    said = executor.conclude(
        result=result,
        reason=reason,
        fail_on=fail_on,
        registry=registry,
        pointer=Pointer.from_json(pointer, where="pointer"),
        judgement=judgement,
    )
    print(said)
