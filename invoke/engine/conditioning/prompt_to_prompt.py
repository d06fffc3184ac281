"""`cat.swap(dog)`: draws the edited words with the attention of the original (prompt-to-prompt).

Hertz et al. 2022: a cross-attention map tells where in the picture a word belongs. The UNet computes the original and
the edited text in one batch; the edited row uses the original's maps for the words that both share.
The maps are never materialised: with P the maps of the original, Q those of the edited text and M a 0/1 mask of words,
(P·M + Q·(1 − M))·V = P·(M·V) + Q·((1 − M)·V), which takes two calls of scaled dot product attention.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name for it

from invoke.engine.components.tensor_tree import mapped
from invoke.engine.conditioning.attention import attending
from invoke.engine.conditioning.embeddings import Edit
from invoke.engine.sampling.model_call import Network


def swapping(unet: Any, edit: Edit | None, train_timesteps: int) -> Network:
    """Wrap `unet` for a prompt with swaps, which is the last row; returns `unet` itself if there are none."""
    if edit is None:
        return unet  # type: ignore[no-any-return]

    processors: dict[tuple[bool, bool], dict[str, Any]] = {}

    def ask(sample: torch.Tensor, timestep: torch.Tensor, **options: Any) -> tuple[torch.Tensor, ...]:
        way = 1 - (float(timestep) + 1) / train_timesteps
        words = edit.window.t_start <= way < edit.window.t_end
        shapes = edit.window.s_start <= way < edit.window.s_end
        if not words and not shapes:
            return unet(sample, timestep, **options)  # type: ignore[no-any-return]
        if (words, shapes) not in processors:
            processors[words, shapes] = _processors(unet, edit, words=words, shapes=shapes)
        rows = len(sample)
        edited = _with_edited(options, edit, rows)
        with attending(unet, processors[words, shapes]):
            output = unet(with_last_row_twice(sample, rows), timestep, **edited)[0]
        return (torch.cat([output[: rows - 1], output[rows:]]),)

    return ask


def _with_edited(options: Mapping[str, Any], edit: Edit, rows: int) -> dict[str, Any]:
    """Add a row for the edited text to `options`."""
    extended = {name: with_last_row_twice(option, rows) for name, option in options.items()}
    embeds = extended["encoder_hidden_states"]
    embeds[-1:] = edit.embeds
    if edit.pooled is not None and extended.get("added_cond_kwargs"):
        extended["added_cond_kwargs"]["text_embeds"][-1:] = edit.pooled
    return extended


def with_last_row_twice(option: Any, rows: int) -> Any:
    """Repeat the last row of every tensor in `option` that has one row per text."""

    def doubled(tensor: torch.Tensor) -> torch.Tensor:
        return torch.cat([tensor, tensor[-1:]]) if tensor.ndim > 0 and len(tensor) == rows else tensor

    return mapped(option, doubled)


def _processors(unet: Any, edit: Edit, *, words: bool, shapes: bool) -> dict[str, Any]:
    """Attention processors for a batch whose last row is the edited text.

    `words` applies them to cross-attention, `shapes` to self-attention.
    """
    controlled = {"attn2": words, "attn1": shapes}
    return {
        name: Swapped(plain, edit.same if ".attn2." in name else None) if controlled.get(name.split(".")[-2]) else plain
        for name, plain in unet.attn_processors.items()
    }


@dataclass(frozen=True, slots=True)
class Swapped:
    """An attention processor whose last row uses the attention maps of the row before it."""

    plain: Any
    """The processor for all other rows."""
    same: tuple[tuple[int, int], ...] | None
    """(original, edited) positions of the tokens whose maps are reused; None: all, as in self-attention."""

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        **more: Any,
    ) -> torch.Tensor:
        out = self.plain(attn, hidden_states, encoder_hidden_states, attention_mask, temb, **more)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            rows.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for rows in (attn.to_q(hidden_states[-2:]), attn.to_k(context[-2:]), attn.to_v(context[-2:]))
        )
        edited = self._attend(query, key, value[1:])
        edited = attn.to_out[0](edited.transpose(1, 2).flatten(2)) / attn.rescale_output_factor
        return torch.cat([out[:-1], edited])

    def _attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """The attention output of the edited text: its own values, with the original's maps for shared words."""
        if self.same is None:
            return F.scaled_dot_product_attention(query[:1], key[:1], value)
        before, after = (list(places) for places in zip(*self.same, strict=True))
        taken, own = torch.zeros_like(value), value.clone()
        taken[:, :, before] = value[:, :, after]
        own[:, :, after] = 0
        looked_up = F.scaled_dot_product_attention(query[:1], key[:1], taken)
        return looked_up + F.scaled_dot_product_attention(query[1:], key[1:], own)
