"""What is added to a model for one picture: LoRAs in its networks, textual inversions in its vocabulary.

diffusers reads the files, in every layout that it knows. After each picture's own are in, nothing of the last
picture's is left, so that a picture never depends on what was made before.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

from safetensors import SafetensorError

from invoke.engine.components.hashes import hash_files
from invoke.engine.conditioning.weighting import TextEncoder
from invoke.errors import ModelError
from invoke.models import Kind, ModelSpec
from invoke.models.hub.locate import on_disk
from invoke.models.registry import Registry
from invoke.models.safetensors_header import read_header
from invoke.models.spec import Family
from invoke.prompts import read_prompt
from invoke.request import Request


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA or a textual inversion on this disk."""

    spec: ModelSpec
    file: Path
    stamp: tuple[int, int]
    """Changes when the file does."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class AdapterSet:
    """What one picture adds."""

    loras: tuple[Adapter, ...] = ()
    embeddings: tuple[Adapter, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.loras or self.embeddings)

    def hashes(self) -> dict[str, str]:
        """`lora NAME`, `embedding NAME` → SHA-256 of the file."""
        every = [("lora", one) for one in self.loras] + [("embedding", one) for one in self.embeddings]
        return {f"{kind} {one.spec.name}": _hash(one.file, one.stamp) for kind, one in every}


@lru_cache(maxsize=64)
def _hash(file: Path, stamp: tuple[int, int]) -> str:
    return hash_files(file.parent, [file])


def adapters_of(request: Request, models: Registry) -> AdapterSet:
    """The LoRAs that `request` names, and the embeddings whose triggers its prompts hold.

    Raises ModelError when one is not there.
    """
    loras = read_prompt(request.prompt, request.negative_prompt).loras
    return AdapterSet(
        tuple(_adapter(models.find(name, "lora"), weight) for name, weight in loras),
        tuple(_adapter(spec) for spec in triggered(f"{request.prompt} {request.negative_prompt}", models)),
    )


def adapter_names(request: Request, models: Registry) -> list[tuple[str, Kind]]:
    """Name and kind of all that `adapters_of` would find, on this disk or not."""
    loras: list[tuple[str, Kind]] = [
        (name, "lora") for name, _ in read_prompt(request.prompt, request.negative_prompt).loras
    ]
    text = f"{request.prompt} {request.negative_prompt}"
    return [*loras, *((spec.name, "embedding") for spec in triggered(text, models))]


def triggered(text: str, models: Iterable[ModelSpec]) -> list[ModelSpec]:
    """The embeddings whose trigger, or name in angle brackets, stands in `text`."""
    found = []
    for spec in models:
        if spec.kind == "embedding":
            words = {*spec.triggers, f"<{spec.name}>"}
            if any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in words):
                found.append(spec)
    return found


class Adapters:
    """The additions of one model, whose `pipeline` of diffusers holds its networks and reads the files."""

    def __init__(self, name: str, pipeline: Any) -> None:
        self._name = name
        self._pipeline = pipeline
        self.now = AdapterSet()

    def fit(self, adapters_of: AdapterSet) -> None:
        """Add what is `adapters_of` and take out everything else.

        Raises ModelError; the model is then without any addition, and usable.
        """
        if adapters_of == self.now:
            return
        try:
            if adapters_of.embeddings != self.now.embeddings:
                self._learn(adapters_of.embeddings)
            if adapters_of.loras != self.now.loras:
                self._lay(adapters_of.loras)
        except BaseException:
            self._clear()
            raise
        self.now = adapters_of

    def _clear(self) -> None:
        self._learn(())
        self._lay(())
        self.now = AdapterSet()

    def _lay(self, loras: tuple[Adapter, ...]) -> None:
        if self.now.loras or getattr(self._pipeline.unet, "peft_config", None):
            self._pipeline.unload_lora_weights()
        for index, lora in enumerate(loras):
            _check_peft(lora.spec.name)
            with _Reading(lora.spec.name, self._name, "LoRA"):
                header = read_header(lora.file)
                if not any("lora" in key or "hada" in key or "lokr" in key for key in header):
                    raise ModelError(f"{lora.spec.name}: this file holds no LoRA")
                with catch_warnings():
                    simplefilter("ignore")  # that there is another one already
                    self._pipeline.load_lora_weights(
                        str(lora.file.parent), weight_name=lora.file.name, adapter_name=f"lora_{index}"
                    )
        if loras:
            names = [f"lora_{index}" for index in range(len(loras))]
            there = {name for names in self._pipeline.get_list_adapters().values() for name in names}
            for name, lora in zip(names, loras, strict=True):
                if name not in there:
                    raise _foreign(lora.spec.name, self._name, "LoRA")
            self._pipeline.set_adapters(names, [lora.weight for lora in loras])

    def _learn(self, embeddings: tuple[Adapter, ...]) -> None:
        texts = self._texts()
        for tokenizer, text_encoder in texts:
            if any(not token.special for token in tokenizer.added_tokens_decoder.values()):
                self._pipeline.unload_textual_inversion(tokenizer=tokenizer, text_encoder=text_encoder)
        for embedding in embeddings:
            with _Reading(embedding.spec.name, self._name, "textual inversion"):
                vectors = _vectors(embedding)
                if len(vectors) != len(texts):
                    raise _foreign(embedding.spec.name, self._name, "textual inversion")
                trigger = embedding.spec.triggers[0] if embedding.spec.triggers else f"<{embedding.spec.name}>"
                for (tokenizer, text_encoder), vector in zip(texts, vectors, strict=True):
                    if vector.shape[-1] != text_encoder.get_input_embeddings().weight.shape[-1]:
                        raise _foreign(embedding.spec.name, self._name, "textual inversion")
                    self._pipeline.load_textual_inversion(
                        {trigger: vector}, token=trigger, tokenizer=tokenizer, text_encoder=text_encoder
                    )

    def _texts(self) -> list[tuple[Any, Any]]:
        """(tokenizer, text encoder), in the order of the model's towers."""
        parts = self._pipeline.components
        pairs = ((parts.get(f"tokenizer{end}"), parts.get(f"text_encoder{end}")) for end in ("", "_2"))
        return [(tokenizer, encoder) for tokenizer, encoder in pairs if encoder is not None]


def pipeline_around(family: Family, unet: Any, vae: Any, towers: tuple[TextEncoder, ...]) -> Any:
    """diffusers' pipeline with these networks: only it reads LoRAs and textual inversions."""
    diffusers: Any = import_module("diffusers")
    parts: dict[str, Any] = {"unet": unet, "vae": vae, "scheduler": diffusers.DDIMScheduler()}
    for end, tower in zip(("_2",) if family == "sdxl-refiner" else ("", "_2"), towers, strict=False):
        parts |= {f"tokenizer{end}": tower.tokenizer, f"text_encoder{end}": tower.text_encoder}
    match family:
        case "sdxl":
            return diffusers.StableDiffusionXLPipeline(**parts)
        case "sdxl-refiner":
            return diffusers.StableDiffusionXLImg2ImgPipeline(**parts, tokenizer=None, text_encoder=None)
    return diffusers.StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


class _Reading:
    """What the libraries raise at a file that does not fit becomes one sentence."""

    def __init__(self, name: str, model: str, what: str) -> None:
        self._told = name, model, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | ValueError | RuntimeError | LookupError | TypeError | SafetensorError):
            raise _foreign(*self._told) from error


def _foreign(name: str, model: str, what: str) -> ModelError:
    return ModelError(
        f"{name}: this {what} does not fit {model}: it was made for another architecture",
        code="does_not_fit",
        hint="use it with a model of the kind that it was trained on",
    )


def _check_peft(name: str) -> None:
    if find_spec("peft") is None:
        raise ModelError(
            f"withLora({name}): LoRAs need the library peft",
            code="missing_extra",
            hint="pip install invoke-shell[lora]",
        )


def _adapter(spec: ModelSpec, weight: float = 1.0) -> Adapter:
    path = on_disk(spec.name, spec.weights)
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        usual = [
            file for file in files if file.name in {"pytorch_lora_weights.safetensors", "learned_embeds.safetensors"}
        ]
        if len(usual or files) != 1:
            raise ModelError(
                f"{spec.name}: {path} holds {len(files)} .safetensors files, which is meant is not clear",
                hint="name the file itself",
            )
        path = (usual or files)[0]
    found = path.stat()
    return Adapter(spec, path, (found.st_mtime_ns, found.st_size), weight)


def _vectors(embedding: Adapter) -> list[Any]:
    """The embedding's vectors for each text encoder: tokens × width."""
    from safetensors.torch import load_file

    state = load_file(embedding.file)
    both = [state[key] for key in ("clip_l", "clip_g") if key in state]
    if both:
        return both  # Stable Diffusion XL
    if len(state) != 1 and "emb_params" not in state:
        raise ValueError("several tensors, none of which is known")
    vector = state.get("emb_params", next(iter(state.values())))
    return [vector if vector.ndim > 1 else vector[None]]
