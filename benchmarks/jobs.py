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
    """Whether the transparent part of the init picture is repainted."""
    sampler: str = "ddim"
    """The name that a line has for the scheduler of the checkpoint."""
    model: str = ""
    """A folder in diffusers layout; "" is the one that the session began with."""

    def line(self, switches: str = "") -> str:
        """As typed at the prompt. `switches` stand at its end."""
        words = [f'"{self.prompt}"', f"-W {self.width} -H {self.height} -s {self.steps} -C {self.guidance_scale:g}"]
        words.append(f"-S {self.seed} -A {self.sampler}")
        if self.init_image:
            words.append(f'-I "{self.init_image}" -f {self.strength:g}')
        if self.model:
            words.append(f'-m "{self.model}"')
        return " ".join([*words, *([switches] if switches else [])])
