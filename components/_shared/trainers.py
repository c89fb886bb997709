"""The names of trainers: `plan` checks them before anything is read, `train` imports what they mean."""

from __future__ import annotations

import difflib

from components._shared.errors import TrainerError

TRAINERS = {
    "constant": "components.train.trainers.constant:train",
    "linear": "components.train.trainers.linear:train",
    "mlp": "components.train.trainers.mlp:train",
}

KNOWN = f"use one of {', '.join(TRAINERS)}, or package.module:function of a package in the image"


def target_of(name: str, where: str = "trainer.name") -> tuple[str, str]:
    """The module and the function that a trainer's name means.

    Args:
        name: Of one of ours, or `package.module:function`.
        where: Who named it.

    Raises:
        TrainerError: It means none.
    """
    module, _, function = TRAINERS.get(name, name).partition(":")
    if not module or not function:
        near = difflib.get_close_matches(name, TRAINERS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise TrainerError(f"There is no trainer {name!r}{hint}", where=where, fix=KNOWN)
    return module, function
