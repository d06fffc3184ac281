"""Decoding and saving one picture while the next is denoised, compared with doing both in sequence."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from benchmarks.alternating import Side, in_turns
from benchmarks.bench import Bench
from benchmarks.in_process import loaded
from benchmarks.results import Row

PICTURES = 4
"""Of a turn: of the last one, nothing is beside its decoding."""
SIDE, STEPS = 256, 20


def overlap(bench: Bench) -> Iterator[Row]:
    """The built-in model's networks in this process, with all threads for each."""
    import torch

    from invoke.engine.components.vae import to_bytes, to_pixels
    from invoke.outputs import png

    model = loaded(bench.pocket.path)
    latents, words = torch.randn(2, 4, SIDE // 8, SIDE // 8), torch.randn(2, 77, model.unet.config.cross_attention_dim)

    @torch.inference_mode()
    def denoised() -> torch.Tensor:
        for _ in range(STEPS):
            sample: torch.Tensor = model.unet(latents, torch.tensor(500.0), words, return_dict=False)[0]
        return sample[:1]

    @torch.inference_mode()
    def saved(sample: torch.Tensor) -> int:
        return len(png.encode(to_pixels(to_bytes(model.decode(sample))), 6))

    def one_after_another(turn: int) -> None:
        for _ in range(PICTURES):
            saved(denoised())

    def beside(turn: int) -> None:
        with ThreadPoolExecutor(1) as pool:
            last: Future[int] | None = None
            for _ in range(PICTURES):
                sample = denoised()
                if last is not None:
                    last.result()
                last = pool.submit(saved, sample)

    costs = in_turns({"after": Side(one_after_another), "beside": Side(beside)}, turns=2 * bench.turns)
    yield Row(
        what=f"pocket, {SIDE}×{SIDE}, {STEPS} steps: decoding and saving beside the next picture's denoising",
        ours="one after the other",
        peer="beside each other",
        ours_costs=costs["after"],
        peer_costs=costs["beside"],
        pictures=PICTURES,
    )
