"""All other families that diffusers' AutoPipeline supports (Stable Diffusion 3, Flux, …), run in their own pipelines.

The pipeline decides about noise, schedule and guidance, and gets the arguments that its signature takes. What invoke
guarantees about strength, seeds and opaque pixels is ensured around it.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from inspect import signature
from itertools import count
from typing import Any

import torch

from invoke.engine.adapters import AdapterSet
from invoke.engine.components.devices import Placement, dtype_of
from invoke.engine.components.gguf import read_gguf
from invoke.engine.components.hashes import BackgroundHash
from invoke.engine.components.made_up import nothing_made_up
from invoke.engine.components.offload import offloaded
from invoke.engine.components.processors import own_processors
from invoke.engine.components.quantization import pipeline_quantization
from invoke.engine.families.auto_arguments import arguments, edited, notes, pictures, strength_for
from invoke.engine.families.auto_steps import Watch, following, inverted
from invoke.engine.img2img.prepared import Prepared, mode_of
from invoke.engine.img2img.strength import run_of
from invoke.errors import EngineError, ModelError, RequestError, first_line
from invoke.events import EngineEvent, Note, Previews, Started, Step
from invoke.models import ModelSpec
from invoke.models.editors import EDITORS, Editor, editor_of
from invoke.models.folder import ModelFolder
from invoke.paths import expanded
from invoke.request import Mode, Request

TASKS: Mapping[Mode, tuple[str, str]] = {
    "txt2img": ("AutoPipelineForText2Image", "text-to-image"),
    "img2img": ("AutoPipelineForImage2Image", "image-to-image"),
    "inpaint": ("AutoPipelineForInpainting", "inpainting"),
}
"""Mode → diffusers' class that makes its pipeline, and the task's name for messages."""


@dataclass(frozen=True, eq=False)
class Auto:
    """A loaded model that runs in its own diffusers pipeline."""

    spec: ModelSpec
    place: Placement
    pipeline: Any
    """The pipeline for text-to-image. Those of the other modes share its networks."""
    weights_hash: BackgroundHash
    _others: dict[Mode, Any] = field(default_factory=dict)

    @property
    def vae(self) -> Any:
        """None if it has another kind of decoder."""
        return getattr(self.pipeline, "vae", None)

    @property
    def factor(self) -> int:
        """Pixels per latent, in each direction; 1 if unknown."""
        return getattr(self.pipeline, "vae_scale_factor", 1)

    @property
    def latent_channels(self) -> int:
        return self.vae.config.latent_channels  # type: ignore[no-any-return]

    def use_adapters(self, adapters: AdapterSet) -> None:
        """Raise ModelError if there are any `adapters`."""
        if adapters:
            raise ModelError(f"{self.spec.name}: models of its family do not support LoRAs and textual inversions")

    def draw(
        self, request: Request, prepared: Prepared | None, previews: Previews
    ) -> Generator[EngineEvent, None, tuple[torch.Tensor, int]]:
        """Yield `Started Note* Step…`; return the image (bytes, height × width × 3) and the steps taken.

        Raises RequestError or EngineError.
        """
        name = self.spec.name
        run, editor = run_of(request, prepared), editor_of(self.spec)
        pipeline = self._pipeline(mode_of(prepared) if run.uses_init else "txt2img", editor)
        size = prepared.size if prepared else (request.width, request.height)
        self._check_size(pipeline, size)
        inputs = arguments(pipeline, request, size, name)
        if editor is not None and prepared is not None:
            inputs |= edited(pipeline, request, prepared, self.factor)
        elif prepared is not None and run.uses_init:
            inputs |= pictures(prepared, self.factor) | {"strength": strength_for(pipeline, request, name)}
        # a second-order scheduler visits each point but the last twice
        total = 2 * run.points - 1 if getattr(pipeline.scheduler, "order", 1) == 2 else run.points
        yield Started(request, mode_of(prepared), total, prepared.painted if prepared else 1.0)
        yield from (Note(note) for note in (prepared.notes if prepared else ()))
        yield from (Note(note) for note in notes(pipeline, request, inputs, name))
        yield from (Note(note) for note in self._preview_notes(previews))

        yield Step(0, total, float(pipeline.scheduler.config.num_train_timesteps))
        watch = Watch(pipeline, self, name, size, previews, total)
        return (yield from inverted(partial(self._ask, inputs, watch)))

    def _pipeline(self, mode: Mode, editor: Editor | None = None) -> Any:
        """The pipeline for `mode`. Raises RequestError if there is none."""
        if mode == "txt2img" or (editor is not None and mode == "img2img"):
            return self.pipeline
        if editor is not None and mode not in self._others:
            self._others[mode] = _with_parts_of(self.pipeline, editor.masked)
        if mode not in self._others:
            maker, task = TASKS[mode]
            try:
                pipeline = getattr(import_module("diffusers"), maker).from_pipe(self.pipeline)
            except ValueError as error:
                raise RequestError(
                    f"{self.spec.name}: diffusers has no {task} for its family", code="not_taken"
                ) from error
            pipeline.set_progress_bar_config(disable=True)
            self._others[mode] = pipeline
        return self._others[mode]

    def _check_size(self, pipeline: Any, size: tuple[int, int]) -> None:
        """Raise RequestError for sizes that some pipelines would silently round down."""
        processor = getattr(pipeline, "image_processor", None)
        multiple = processor.config.vae_scale_factor if processor else 1
        if any(side % multiple for side in size):
            raise RequestError(
                f"{size[0]}×{size[1]}: the sides of {self.spec.name}'s pictures must be multiples of {multiple}"
            )

    def _ask(
        self, inputs: Mapping[str, Any], watch: Watch, emit: Callable[[EngineEvent], None]
    ) -> tuple[torch.Tensor, int]:
        """Run the pipeline; return the picture (bytes) and the number of denoiser calls. Events go to `emit`."""
        calls = count(1)

        def on_step(timestep: float, latents: torch.Tensor) -> None:
            for event in watch.after(next(calls), timestep, latents):
                emit(event)

        try:
            made = torch.from_numpy(watch.pipeline(**inputs, **following(watch.pipeline, on_step)).images[0])
        except ValueError as error:
            raise EngineError(f"{self.spec.name}: {first_line(error)}") from error
        if not made.isfinite().all():
            raise EngineError(
                "overflow: no picture was made",
                code="overflow",
                hint="lower -C, or use --precision float32",
            )
        width, height = watch.size
        if made.shape != (height, width, 3):
            raise EngineError(f"{self.spec.name} cannot make a picture of {width}×{height}", hint="try another size")
        return (made * 255).round().to(torch.uint8), next(calls) - 1

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents to a picture (−1..1, 1 × 3 × height × width, float32)."""
        config = self.vae.config
        plain = latents / config.scaling_factor + (config.get("shift_factor") or 0)
        return self.vae.decode(plain.to(dtype_of(self.vae)), return_dict=False)[0].float()  # type: ignore[no-any-return]

    def _preview_notes(self, previews: Previews) -> Iterator[str]:
        """Notes about previews that this pipeline does not support."""
        if previews.every and previews.of == "clean":
            yield f"steps show the latents as they are: {self.spec.name} does not report its predictions"
        if previews.tokens:
            yield f"-t has no effect with {self.spec.name}: its tokens are not available"


def _with_parts_of(pipeline: Any, kind: str) -> Any:
    """Make another pipeline with the same networks. (`from_pipe` would change their precision.)"""
    maker = getattr(import_module("diffusers"), kind)
    wanted = signature(maker.__init__).parameters.keys() - pipeline.components.keys()
    settings = {name: pipeline.config[name] for name in wanted & pipeline.config.keys()}
    made = maker(**pipeline.components, **settings)
    made.set_progress_bar_config(disable=True)
    return made


def _move(pipeline: Any, place: Placement) -> None:
    """Move the networks of `pipeline` to `place`, or hook them so that they move when they are called."""
    match place.offload:
        case "none":
            pipeline.to(place.device)
        case "model":
            pipeline.enable_model_cpu_offload(device=place.device)
        case "group":
            for network in pipeline.components.values():
                if isinstance(network, torch.nn.Module):
                    offloaded(network, place.device, "group")
        case "sequential":
            pipeline.enable_sequential_cpu_offload(device=place.device)


def read_auto(spec: ModelSpec, folder: ModelFolder, place: Placement) -> Auto:
    """Load the model in `folder`. Raises ModelError, and whatever the libraries raise.

    float16 is replaced with bfloat16, because networks of these families were trained in it and overflow in float16.
    """
    if place.dtype == torch.float16:
        place = replace(place, dtype=torch.bfloat16)
    kind = folder.pipeline
    forms = {variant for variant in folder.variants.values() if variant}
    if len(forms) > 1:  # diffusers' pipelines take only one variant beside the plain files
        raise ModelError(
            f"{spec.name}: some of its parts are {' and some '.join(sorted(forms))}: variants cannot be mixed",
            hint="download all parts in one variant",
        )
    how = spec.quantize or place.quantize
    place, options = replace(place, quantize=how, is_packed=bool(spec.gguf)), {}
    processors = own_processors(spec.name, folder)
    if spec.gguf:
        options["transformer"] = read_gguf(spec.name, expanded(spec.gguf), folder, place)
    if how != "none":
        options["quantization_config"] = pipeline_quantization(how, folder.index)
    try:
        maker = kind if kind in EDITORS else "AutoPipelineForText2Image"
        with nothing_made_up():
            pipeline = getattr(import_module("diffusers"), maker).from_pretrained(
                str(folder.path),
                dtype=place.dtype,
                variant=next(iter(forms), None),
                use_safetensors=True,
                local_files_only=True,
                **options | dict.fromkeys(processors),
            )
    except ValueError as error:
        if "can't find a pipeline" not in str(error):
            raise
        raise ModelError(
            f"{spec.name}: diffusers has no text-to-image pipeline for the family {kind.removesuffix('Pipeline')}",
            code="unknown_family",
        ) from error
    pipeline.register_modules(**processors)
    pipeline.set_progress_bar_config(disable=True)
    if hasattr(pipeline, "transformer"):
        place.compiler.compile(pipeline.transformer, place.device)
    _move(pipeline, place)
    packed = expanded(spec.gguf) if spec.gguf else None
    also = BackgroundHash(packed.parent, (packed,)) if packed else None
    weights = BackgroundHash(folder.path, folder.files, also)
    return Auto(replace(spec, family="auto", pipeline=kind if kind in EDITORS else ""), place, pipeline, weights)
