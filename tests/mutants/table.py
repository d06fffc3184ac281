"""Which tests must notice a fault in which module, and which faults change nothing that anybody could notice."""

LANGUAGE = ("tests/language/test_parse.py", "tests/language/test_resolve.py", "tests/test_laws.py")
BATCHES = ("tests/cli/test_line_queue.py", "tests/test_resume_files.py", "tests/cli/test_resume.py")

TARGETS: dict[str, tuple[str, ...]] = {
    "invoke/cli/line_queue.py": BATCHES,
    "invoke/cli/resume.py": BATCHES,
    "invoke/engine/adapters/loading.py": ("tests/engine/test_adapters.py", "tests/engine/test_replaced_files.py"),
    "invoke/engine/adapters/merging.py": ("tests/engine/test_adapters.py", "tests/engine/test_lora_layouts.py"),
    "invoke/engine/adapters/textual_inversions.py": ("tests/engine/test_adapters.py",),
    "invoke/engine/components/lru_cache.py": ("tests/engine/test_model_pool.py",),
    "invoke/engine/components/tiles.py": ("tests/engine/postprocess/test_tiles.py",),
    "invoke/engine/conditioning/prompt_to_prompt.py": ("tests/engine/test_prompt_to_prompt.py",),
    "invoke/engine/conditioning/weighting.py": ("tests/engine/test_conditioning.py",),
    "invoke/engine/img2img/erased.py": ("tests/engine/test_holes.py",),
    "invoke/engine/img2img/inpainting.py": ("tests/engine/test_mask.py", "tests/engine/test_masked_loop.py"),
    "invoke/engine/img2img/mask.py": ("tests/engine/test_mask.py",),
    "invoke/engine/img2img/outpainting.py": ("tests/engine/test_holes.py",),
    "invoke/engine/img2img/seam.py": ("tests/engine/test_holes.py", "tests/test_seams.py"),
    "invoke/engine/img2img/strength.py": (
        "tests/engine/test_strength.py",
        "tests/engine/test_masked_loop.py",
        "tests/engine/test_strength_map.py",
    ),
    "invoke/engine/pipeline/chains.py": ("tests/engine/test_chains.py",),
    "invoke/engine/pipeline/colour_match.py": ("tests/engine/test_latent_effects.py",),
    "invoke/engine/pipeline/draw.py": (
        "tests/engine/test_masked_loop.py",
        "tests/engine/test_strength.py",
        "tests/engine/test_stock.py",
        "tests/engine/test_previews.py",
    ),
    "invoke/engine/pipeline/embiggen.py": ("tests/engine/test_embiggen.py",),
    "invoke/engine/pipeline/steps.py": ("tests/engine/test_chains.py", "tests/engine/test_embiggen.py"),
    "invoke/engine/sampling/cuda_graphs.py": ("tests/engine/test_cuda_graphs.py",),
    "invoke/engine/sampling/deepcache.py": ("tests/engine/test_deepcache.py",),
    "invoke/engine/sampling/guidance.py": ("tests/engine/test_guidance.py", "tests/engine/test_stock.py"),
    "invoke/engine/sampling/latent_effects.py": ("tests/engine/test_latent_effects.py",),
    "invoke/engine/sampling/loop.py": ("tests/engine/test_samplers.py", "tests/engine/test_previews.py"),
    "invoke/engine/sampling/noise.py": ("tests/engine/test_noise.py",),
    "invoke/engine/sampling/schedules.py": ("tests/engine/test_samplers.py",),
    "invoke/engine/sampling/solvers.py": ("tests/engine/test_samplers.py",),
    "invoke/files.py": ("tests/test_files.py", "tests/test_own_files.py"),
    "invoke/images/colours.py": ("tests/images/test_images.py", "tests/images/test_reading.py"),
    "invoke/images/geometry.py": ("tests/images/test_images.py",),
    "invoke/images/transparency.py": (
        "tests/images/test_transparency.py",
        "tests/images/test_images.py",
        "tests/images/test_reading.py",
    ),
    "invoke/language/parse.py": ("tests/language/test_parse.py", "tests/test_laws.py"),
    "invoke/language/resolve/init_image.py": LANGUAGE,
    "invoke/language/resolve/part.py": (
        "tests/language/test_embiggen.py",
        "tests/language/test_strength_map.py",
        "tests/language/test_chains.py",
        *LANGUAGE,
    ),
    "invoke/language/resolve/series.py": LANGUAGE,
    "invoke/language/resolve/sizes.py": ("tests/language/test_sizes.py", *LANGUAGE),
    "invoke/language/resolve/steps.py": LANGUAGE,
    "invoke/language/resolve/sweep.py": ("tests/language/test_sweep_words.py", *LANGUAGE),
    "invoke/language/resolve/wildcards.py": ("tests/language/test_wildcards.py",),
    "invoke/language/tokens.py": ("tests/language/test_parse.py", "tests/test_laws.py"),
    "invoke/models/safetensors_header.py": ("tests/models/test_safetensors_header.py",),
    "invoke/outputs/check.py": ("tests/outputs/test_check.py",),
    "invoke/outputs/filenames.py": ("tests/outputs/test_filenames.py", "tests/outputs/test_writer.py"),
    "invoke/outputs/ledger.py": ("tests/outputs/test_ledger.py", *BATCHES),
    "invoke/outputs/logs.py": (
        "tests/outputs/test_logs.py",
        "tests/outputs/test_writer.py",
        "tests/test_resume_files.py",
    ),
    "invoke/outputs/metadata.py": ("tests/outputs/test_metadata.py",),
    "invoke/outputs/metadata_json.py": ("tests/outputs/test_metadata.py",),
    "invoke/outputs/numbering.py": ("tests/outputs/test_numbering.py", "tests/outputs/test_writer.py"),
    "invoke/outputs/png.py": ("tests/outputs/test_png.py",),
    "invoke/outputs/writer.py": ("tests/outputs/test_writer.py", "tests/test_resume_files.py"),
    "invoke/prompts/weighted_words.py": ("tests/prompts/test_prompts.py",),
    "invoke/request.py": (*LANGUAGE, "tests/engine/test_samplers.py"),
    "invoke/workers/scheduler.py": ("tests/workers/test_pool.py",),
}
"""Module → the files of tests that run until one fails, the quickest first."""

EQUIVALENT: dict[tuple[str, str], str] = {
    (
        "invoke/engine/pipeline/embiggen.py",
        "alone = replace( (argument dropped: replace( request, embiggen=None, embiggen_tiles=(), init_co… → "
        "(replace(request, embiggen=None, init_color=None, width=wid…)",
    ): "nothing reads the tiles of a picture that is not enlarged in tiles",
    (
        "invoke/engine/sampling/noise.py",
        "return torch.randn(shape, generator=generator, dtype=torch.float32), generator (argument dropped: "
        "torch.randn(shape, generator=generator, dtype=torch.float32) → (torch.randn(shape, generator=generator)))",
    ): "torch's default type, which nothing changes",
    (
        "invoke/engine/sampling/guidance.py",
        "image_scale: float = 0.0 (constant: 0.0 → 0.5)",
    ): "read where there are three answers, and whoever asks for three says it",
    (
        "invoke/language/resolve/wildcards.py",
        'why = "it is not UTF-8" if isinstance(error, UnicodeError) else error.strerror or error (operand dropped: '
        "error.strerror or error → (error.strerror))",
    ): "an error of the system has words; the rest is for the types",
    (
        "invoke/engine/img2img/mask.py",
        "ramp += eroded / blur (operator: eroded / blur → (eroded * blur))",
    ): "the ramp is divided by its own peak: a factor is no difference",
    (
        "invoke/engine/components/tiles.py",
        "if self._sum is None or self._weight is None: (operand dropped: self._sum is None or self._weight is None → "
        "(self._sum is None))",
    ): "both are set by the same call; the second is for the types",
    (
        "invoke/engine/components/tiles.py",
        "if self._sum is None or self._weight is None: (and/or: self._sum is None or self._weight is None → "
        "(self._sum is None and self._weight is None))",
    ): "both are set by the same call",
}
"""Module and name of a fault (`Fault.name`) → why nobody can notice it."""
