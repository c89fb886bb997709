"""The seam before whatever answers requests: a model server that is told which version to serve."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from components._shared.samples import Samples
from components._shared.verdict import Check


@dataclass(frozen=True)
class Told:
    """What a server was told.

    Attributes:
        version: To serve this one; None: none yet.
        intact: Nobody else has changed what Saiki wrote.
        busy: Who is deploying there at this moment, or empty.
    """

    version: int | None
    intact: bool = True
    busy: str = ""


class Busy(Exception):
    """Somebody else is deploying there at this moment."""


class Overtaken(Exception):
    """Somebody else told the server to serve another version while it was waited for."""


class Server(ABC):
    """Answers requests with one version of a task's model.

    Every method raises `ServingError` where the server cannot be reached, or this user may not do that.
    """

    where: str
    """For messages: what and where it is."""

    @abstractmethod
    def told(self) -> Told:
        """What it was told last."""

    @abstractmethod
    def check(self) -> None:
        """Makes sure that it can be told what to serve, and changes nothing."""

    @abstractmethod
    def serve(self, version: int | None, *, holder: str, force: bool = False) -> None:
        """Tells it to serve a version; what served before goes on until the new one is ready.

        Args:
            version: None: as it was before anything was promoted.
            holder: Who does that; others are kept out until `release`, or for as long as a deployment can take.
            force: Whoever else is deploying.

        Raises:
            Busy: Somebody else is deploying.
        """

    @abstractmethod
    def release(self, holder: str) -> None:
        """Lets others deploy again."""

    @abstractmethod
    def wait_until_ready(self, version: int) -> Check:
        """Waits, within bounds, until it serves the version and nothing else.

        Raises:
            Overtaken: It was told otherwise meanwhile.
        """

    @abstractmethod
    def ask(self, version: int, samples: Samples) -> tuple[tuple[float, ...], ...] | str:
        """The scores that it gives to the samples, asked over the wire; or why there are none.

        Args:
            samples: Without rows: it is only asked whether it serves the version, and gives no scores.
        """
