"""A process that identifies a file of weights with spandrel, if the names of its tensors are not enough."""

from dataclasses import dataclass
from pathlib import Path

from invoke.models import Kind, ModelSpec
from invoke.processes import answer_parent

PURPOSES: dict[str, Kind] = {"SR": "upscaler", "FaceSR": "face"}
"""spandrel's purpose of a network → kind of entry."""


@dataclass(frozen=True, slots=True)
class Identify:
    """The request; the answer is a ModelSpec or a ModelError."""

    name: str
    path: Path


def identify(question: Identify) -> ModelSpec:
    """The entry for the network in a file. Raises ModelError if spandrel does not know it or it has no use here."""
    from invoke.engine.postprocess.spandrel_files import does_not_enlarge, read_network

    spec = ModelSpec(name=question.name, weights=str(question.path), kind="upscaler", family="auto")
    network = read_network(spec, extra="upscale")
    kind = PURPOSES.get(network.purpose)
    if kind is None or (kind == "upscaler" and network.scale < 2):
        raise does_not_enlarge(str(question.path), network)
    return ModelSpec(name=question.name, weights=str(question.path), kind=kind, family="auto")


def main() -> None:
    """Answer the request on standard input. Called in a fresh process."""
    answer_parent(Identify, identify)
