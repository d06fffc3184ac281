"""One picture, described twice: as a line of this program, and as arguments of a stock pipeline."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The same picture on both sides."""

    prompt: str = "a fire, photograph"
    width: int = 256
    height: int = 256
    steps: int = 20
    guidance_scale: float = 7.5
    seed: int = 0
    init_image: str = ""
    """Path; "" is text-to-image."""
    strength: float = 0.75
    is_holed: bool = False
    """Whether to repaint the transparent part of the init picture."""
    sampler: str = "ddim"
    """The name in a line for the scheduler of the checkpoint."""
    model: str = ""
    """A folder in diffusers layout; "" is the session's first model."""

    def line(self, switches: str = "") -> str:
        """As typed at the prompt, with `switches` at the end."""
        words = [f'"{self.prompt}"', f"-W {self.width} -H {self.height} -s {self.steps} -C {self.guidance_scale:g}"]
        words.append(f"-S {self.seed} -A {self.sampler}")
        if self.init_image:
            words.append(f'-I "{self.init_image}" -f {self.strength:g}')
        if self.model:
            words.append(f'-m "{self.model}"')
        return " ".join([*words, *([switches] if switches else [])])
