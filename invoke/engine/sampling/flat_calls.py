"""Flat calls: on a CPU, run a small network as a list of tensor operations, without its modules.

A guided call of the built-in model takes about 35 ms of one core, a fifth of which is Python in diffusers' modules:
looking up layers, hooks and configs. A recording has only the tensor operations, written out as a Python function that
drops each tensor after its last use. What depends on the text alone (keys and values of the cross-attention) is
computed once for each text.

The recording is the same computation, because everything that could make another call take another path is refused:
reading the numbers of a tensor, changing tensors in place, and random numbers. Weights are looked up at each call, so
they can be changed or replaced between two pictures.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from invoke.engine.components.devices import LARGE
from invoke.engine.components.tensor_tree import tensors
from invoke.engine.sampling.model_call import ModelCall, Outputs, run_eager
from invoke.engine.sampling.recorded_calls import Replay, inputs_of_call

LARGEST = 16_384
"""The most numbers in `sample` for which recording is worth a call: eight guided pictures of the built-in model."""

_FACTORIES = frozenset({"arange", "full", "linspace", "ones", "tensor", "zeros"})
"""Operations without input tensors whose result is a constant."""
_METADATA = frozenset({"__get__", "__len__", "dim", "is_contiguous", "is_floating_point", "numel", "size", "stride"})
"""Operations that tell what a tensor is like, but not its numbers."""
_RANDOM = ("bernoulli", "multinomial", "normal", "poisson", "rand")
"""How the names of random operations start; dropout, too, is random while a network is trained."""


class CannotRecordError(RuntimeError):
    """A call that cannot be recorded, and why."""


def flattened(call: ModelCall) -> Replay:
    """Record `call`. Raises CannotRecordError if it cannot be recorded, or if that is not worth it."""
    network, inputs = call.network, inputs_of_call(call)
    assert isinstance(network, torch.nn.Module)
    if call.sample.numel() > LARGEST or sum(weight.nbytes for weight in network.parameters()) >= LARGE:
        raise CannotRecordError("its operations take much longer than Python does")
    if len({id(tensor) for tensor in inputs}) < len(inputs):
        raise CannotRecordError("it is given the same tensor twice")
    text = call.options.get("encoder_hidden_states")
    recorder = _Recorder(network, inputs, next((at for at, tensor in enumerate(inputs) if tensor is text), None))
    with recorder:
        output = run_eager(call)
    return recorder.program(output)


@dataclass(frozen=True, slots=True)
class _Operation:
    """A line of the program."""

    code: str
    reads: frozenset[str]
    makes: tuple[str, ...]
    is_of_text: bool
    """Whether it depends on nothing but the text and the weights."""


class _Recorder(TorchFunctionMode):
    """Writes down every tensor operation in its context as Python code, with a name for each tensor."""

    def __init__(self, network: torch.nn.Module, inputs: Sequence[torch.Tensor], text: int | None) -> None:
        """`text`: the index of the text among `inputs`."""
        super().__init__()
        self._inputs = [f"x{index}" for index in range(len(inputs))]
        self._text = None if text is None else self._inputs[text]
        self._operations: list[_Operation] = []
        self._globals: dict[str, Any] = {}
        """What the code refers to: functions, constants, and where the network holds its weights."""
        self._names: dict[int, tuple[weakref.ref[torch.Tensor], str]] = {}
        """Identity of a tensor → the tensor, which is not kept alive, and its name or a look-up of it."""
        self._is_of_text: dict[str, bool] = {name: name == self._text for name in self._inputs}
        """For each name whose tensor differs from call to call, whether it differs with the text alone."""
        for name, tensor in zip(self._inputs, inputs, strict=True):
            self._name(tensor, name)
        for index, owner in enumerate(network.modules()):
            for kind, held in (("weights", owner._parameters), ("buffers", owner._buffers)):
                self._globals[f"{kind}{index}"] = held
                for name, weight in held.items():
                    if weight is not None:
                        self._name(weight, f"{kind}{index}[{name!r}]")

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", str(func))
        is_random = name.startswith(_RANDOM) or kwargs.get("training")
        if is_random or _is_in_place(name, kwargs):
            raise CannotRecordError(f"it calls {name}")
        result = func(*args, **kwargs)
        if next(tensors(result), None) is None:
            if name not in _METADATA:
                raise CannotRecordError(f"it reads numbers with {name}")
        else:
            self._record(func, name, (args, kwargs), result)
        return result

    def _record(
        self, func: Callable[..., Any], name: str, given: tuple[Sequence[Any], Mapping[str, Any]], result: Any
    ) -> None:
        if isinstance(result, torch.Tensor):
            unchanged = _unchanged(name, given[0], result)
            if (known := self._known(unchanged)) is not None:
                self._name(result, known)
                return
        reads: set[str] = set()
        words = [self._written(value, reads) for value in given[0]]
        words += [f"{key}={self._written(value, reads)}" for key, value in given[1].items()]
        results = (result,) if isinstance(result, torch.Tensor) else tuple(result)
        if not all(isinstance(each, torch.Tensor) for each in results) or not (reads or name in _FACTORIES):
            raise CannotRecordError(f"it calls {name}")
        if not reads:
            for each in results:
                self._written(each, reads)
            return
        makes = tuple(f"v{len(self._operations)}_{index}" for index in range(len(results)))
        is_of_text = self._text is not None and all(self._is_of_text.get(read, True) for read in reads)
        for each, its_name in zip(results, makes, strict=True):
            self._name(each, its_name)
            self._is_of_text[its_name] = is_of_text
        target = makes[0] if isinstance(result, torch.Tensor) else f"({', '.join(makes)},)"
        code = f"{target} = {self._global(func)}({', '.join(words)})"
        self._operations.append(_Operation(code, frozenset(reads), makes, is_of_text))

    def program(self, output: Outputs) -> Replay:
        """The recorded operations as a function. `output`: what the network returned."""
        reads: set[str] = set()
        result = self._written(output, reads)
        if not all(read in self._is_of_text for read in reads):
            raise CannotRecordError("its output does not depend on its inputs")
        about_text = [operation for operation in self._operations if operation.is_of_text]
        others = [operation for operation in self._operations if not operation.is_of_text]
        made = {name for operation in about_text for name in operation.makes}
        needed = sorted(made & reads.union(*(operation.reads for operation in others)))
        texts = f"[{', '.join(needed)}]"
        compute_text = self._function(self._text or "", about_text, texts, needed)
        compute = self._function(", ".join((*self._inputs, "texts")), others, result, reads, f"{texts} = texts")
        if self._text is None:
            return lambda call: compute(*inputs_of_call(call), [])
        index, of_texts = self._inputs.index(self._text), WeakTensorKeyDictionary()

        def replay(call: ModelCall) -> Outputs:
            inputs = inputs_of_call(call)
            text = inputs[index]
            if text not in of_texts:
                of_texts[text] = compute_text(text)
            return compute(*inputs, of_texts[text])  # type: ignore[no-any-return]

        return replay

    def _function(
        self, parameters: str, operations: Sequence[_Operation], result: str, returned: Iterable[str], first: str = ""
    ) -> Callable[..., Any]:
        """Compile `operations`; each tensor is dropped after its last use."""
        alive, lines = set(returned), [f"return {result}"]
        for operation in reversed(operations):
            unused = sorted(name for name in operation.makes if name not in alive)
            last_used = sorted({name for name in operation.reads if name.startswith("v")} - alive)
            alive |= set(last_used)
            dropped = [*unused, *last_used]
            lines.append(f"{operation.code}{'; del ' if dropped else ''}{', '.join(dropped)}")
        body = "\n ".join([*([first] if first else []), *reversed(lines)])
        names = dict(self._globals)
        exec(f"def run({parameters}):\n {body}", names)  # noqa: S102 - written here; holds names and literals only
        function: Callable[..., Any] = names["run"]
        return function

    def _written(self, value: Any, reads: set[str]) -> str:
        """`value` as Python code; the names of its tensors are added to `reads`."""
        if isinstance(value, torch.Tensor):
            name = self._known(value)
            if name is None:
                name = self._global(value)
                self._name(value, name)
            reads.add(name)
            return name
        if isinstance(value, Mapping) and type(value) is dict:
            return f"{{{', '.join(f'{key!r}: {self._written(each, reads)}' for key, each in value.items())}}}"
        if type(value) in (tuple, list):
            inner = "".join(f"{self._written(each, reads)}, " for each in value)
            return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
        if value is None or type(value) in (bool, int, str):
            return repr(value)
        return self._global(value)

    def _global(self, value: Any) -> str:
        """The name by which the code refers to `value`, which is kept."""
        name = f"g{id(value)}"
        self._globals[name] = value
        return name

    def _name(self, tensor: torch.Tensor, name: str) -> None:
        self._names[id(tensor)] = weakref.ref(tensor), name

    def _known(self, tensor: torch.Tensor | None) -> str | None:
        """The name of `tensor`, if it has one."""
        reference, name = self._names.get(id(tensor), (None, None))
        return name if reference is not None and reference() is tensor else None


def _is_in_place(name: str, kwargs: Mapping[str, Any]) -> bool:
    is_dunder = name.endswith("__")
    changes = name.startswith(("__i", "__setitem__")) if is_dunder else name.endswith("_")
    return changes or bool(kwargs.get("inplace")) or kwargs.get("out") is not None


def _unchanged(name: str, args: Sequence[Any], result: torch.Tensor) -> torch.Tensor | None:
    """The argument that `result` is bit-identical to, if that always holds: diffusers divides by 1.0 in every block."""
    first = next((arg for arg in args if isinstance(arg, torch.Tensor)), None)
    if first is result:
        return first
    is_one = name in ("div", "mul", "__truediv__", "__mul__") and len(args) == 2 and args[0] is first
    if is_one and type(args[1]) in (int, float) and args[1] == 1 and first is not None and first.dtype == result.dtype:
        return first
    return None
