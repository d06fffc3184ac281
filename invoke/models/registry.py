"""Registry: models by name. A plain value: it can be pickled, and a changed list is another Registry."""

from collections.abc import Iterator, Mapping, Sequence

from invoke.errors import ModelError
from invoke.models.cache import hub_address, is_whole, located
from invoke.models.files import PICKLES, recognise_file
from invoke.models.folders import recognise_folder
from invoke.models.spec import BELONGS, Kind, ModelSpec
from invoke.paths import expanded, is_there
from invoke.wording import did_you_mean


class Registry:
    """Models by name, in the order of the files; later files win. Names are unique over all kinds."""

    def __init__(self, specs: Mapping[str, ModelSpec]) -> None:
        self._specs = dict(specs)

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._specs.values())

    def __contains__(self, name: str) -> bool:
        return name in self._specs

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._specs)

    def named(self, name: str) -> ModelSpec:
        """The entry called `name`, of whatever kind. Raises ModelError with the nearest name."""
        if name in self._specs:
            return self._specs[name]
        raise _unknown(name, "entry", self.names)

    def find(self, name: str, kind: Kind = "model") -> ModelSpec:
        """The entry called `name`, or what the folder, file or hub id `name` holds; it must be of this `kind`.

        Raises ModelError with the nearest name, or with what it is instead and where that belongs.
        """
        spec = self._specs.get(name) or recognise(name, kind)
        if spec is None:
            what = BELONGS[kind][0].removeprefix("a whole ").removeprefix("a ").removeprefix("an ")
            raise _unknown(name, what, [spec.name for spec in self if spec.kind == kind])
        if spec.kind != kind:
            what, place = BELONGS[spec.kind]
            raise ModelError(f"{name}: this is {what}, it belongs to {place}", code="wrong_kind")
        return spec


def _unknown(name: str, what: str, known: Sequence[str]) -> ModelError:
    meant = did_you_mean(name, known)
    return ModelError(f"no {what} is called '{name}'{meant}", hint="!models lists those that there are")


def recognise(name: str, kind: Kind = "model") -> ModelSpec | None:
    """What the folder, file or hub id `name` holds; a hub id that was not fetched yet is taken for a `kind`.

    None when it is none of these. Raises ModelError when it is one that cannot be used.
    """
    path = expanded(name)
    if is_there(path) and path.is_dir():
        return recognise_folder(name, path)
    if path.suffix == ".safetensors" and is_there(path) and path.is_file():
        return recognise_file(name, path, kind)
    if path.suffix in PICKLES:
        raise ModelError(
            f"{name}: weights in pickle files can hold code and are not opened",
            hint=f"!optimize_model {name} reads them without running any, and writes a .safetensors file",
        )
    address = hub_address(name)
    if address is None:
        return None
    here = located(name) if is_whole(name) else None
    if here is not None and address.file:
        return recognise_file(name, here, kind, weights=name)
    if here is not None:
        return recognise_folder(name, here, weights=name)
    return ModelSpec(name=name, weights=name, kind=kind, family="auto", sampler="k_euler", description="hub id")
