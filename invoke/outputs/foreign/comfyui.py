"""Reads ComfyUI's graph (`prompt`), if it is a plain text-to-image or image-to-image recipe.

Plain means one sampler whose texts, latents and model can be followed to nodes for which we have switches. All other
nodes on the way are listed as left out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import Any

from invoke.outputs.foreign import a1111_prompt
from invoke.outputs.foreign.a1111 import clip_skip
from invoke.outputs.foreign.recipe import Found, as_object, as_text

PROGRAM = "ComfyUI"
MOST_NODES = 2000
DEEPEST = 40
"""Maximum length of a chain of nodes."""

_SAMPLERS = {"KSampler", "KSamplerAdvanced"}
_SAMPLER_INPUTS = {"steps", "cfg", "sampler_name", "positive", "negative", "latent_image"}
"""Inputs by which other nodes that do the same are recognised, such as `KSampler (Efficient)`."""
_OTHER_SAMPLERS = {"SamplerCustom", "SamplerCustomAdvanced"}
_TEXTS = ("text", "string", "value", "prompt", "text_g", "text_l", "clip_l", "t5xxl", "wildcard_text")
"""Inputs that contain a node's text."""
_SILENT = {"SaveImage", "PreviewImage", "VAEDecode", "VAELoader", "VAEDecodeTiled", "PrimitiveNode", "Note", "Reroute"}
"""Nodes that can be ignored."""
_OUTPUT = re.compile(r"Save|Preview|Output")
_EMBEDDING = re.compile(r"\bembedding:\s*([\w.-]+)")
_SQUARE = re.compile(r"(?<!\\)([\[\]])")

Node = Mapping[str, Any]


def read(text: str) -> Found | None:
    """Read the recipe in the graph `text`; None if it is not a graph."""
    graph = _graph(text)
    if not graph:
        return None
    found = Found(PROGRAM)
    samplers = [
        key
        for key, node in graph.items()
        if node["class_type"] in _SAMPLERS or node["inputs"].keys() >= _SAMPLER_INPUTS
    ]
    if len(samplers) > 1:
        used = _used(graph)
        samplers = [key for key in samplers if key in used] or samplers
    others = [node["class_type"] for node in graph.values() if node["class_type"] in _OTHER_SAMPLERS]
    if len(samplers) != 1 or others:
        kinds = ", ".join(others) or "no sampler"
        has = f"{len(samplers) + len(others)} samplers" if len(samplers) + len(others) > 1 else kinds
        return found.refuse(f"its graph has {has}; only graphs with a single KSampler can be written as a line")
    _Reader(graph, found).read(samplers[0])
    return found


def _used(graph: Mapping[str, Node]) -> set[str]:
    """The keys of the nodes that a saved or shown picture depends on."""
    waiting = [key for key, node in graph.items() if _OUTPUT.search(node["class_type"])]
    used: set[str] = set()
    while waiting:
        key = waiting.pop()
        if key not in used:
            used.add(key)
            waiting += [source for value in graph[key]["inputs"].values() if (source := _linked(graph, value))]
    return used


def _linked(graph: Mapping[str, Node], value: object) -> str | None:
    """The key of the node that an input is linked to."""
    if isinstance(value, list) and len(value) == 2 and str(value[0]) in graph:
        return str(value[0])
    return None


def _graph(text: str) -> dict[str, Node]:
    """The well-formed nodes, by key."""
    data = as_object(text)
    nodes: dict[str, Node] = {
        key: node
        for key, node in data.items()
        if isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)
    }
    return nodes if len(nodes) <= MOST_NODES else {}


@dataclass
class _Reader:
    graph: dict[str, Node]
    found: Found
    seen: set[str] = field(default_factory=set)
    """Keys of the nodes read so far."""
    checkpoint: str = ""
    """The model's file."""

    def read(self, sampler: str) -> None:
        """Follow all inputs of the sampler."""
        inputs = self._inputs(sampler)
        settings = self.found.settings
        settings |= {
            "seed": self._value(inputs, "seed", self._value(inputs, "noise_seed", "")),
            "steps": self._value(inputs, "steps", ""),
            "cfg_scale": self._value(inputs, "cfg", ""),
            "sampler": self._value(inputs, "sampler_name", ""),
        }
        scheduler = as_text(self._value(inputs, "scheduler", ""))
        settings["karras"] = scheduler == "karras"
        if scheduler not in {"", "normal", "karras"}:
            self.found.lose("scheduler", scheduler)
        for name in ("start_at_step", "end_at_step", "add_noise", "return_with_leftover_noise"):
            full_run = {"start_at_step": 0, "end_at_step": 10000, "add_noise": "enable"}
            value = self._value(inputs, name, full_run.get(name, "disable"))
            if value != full_run.get(name, "disable"):
                self.found.lose(name, value)
        self._model(inputs)
        self.found.prompt = self._text(inputs, "positive")
        self.found.negative_prompt = self._text(inputs, "negative")
        self._latents(inputs)
        for key, node in self.graph.items():
            if key not in self.seen and node["class_type"] not in _SILENT:
                self.found.lose(f"node {node['class_type']}")

    # inputs

    def _inputs(self, key: str) -> Node:
        self.seen.add(key)
        inputs: Node = self.graph[key]["inputs"]
        return inputs

    def _linked(self, value: object) -> str | None:
        return _linked(self.graph, value)

    def _value(self, inputs: Node, name: str, default: object) -> object:
        """A number or word, in the node itself or in a linked primitive node."""
        value = inputs.get(name, default)
        for _ in range(DEEPEST):
            key = self._linked(value)
            if key is None:
                break
            held = self._inputs(key)
            value = next((held[one] for one in (name, "value", "int", "seed", "text", "string") if one in held), "")
        return "" if isinstance(value, list | dict) else value

    # texts

    def _text(self, inputs: Node, name: str) -> str:
        parts = list(self._texts(inputs.get(name), name, DEEPEST))
        if not parts and name == "positive":
            nodes = ", ".join(one.removeprefix("node ") for one in self.found.left_out if one.startswith("node "))
            self.found.refuse(f"its prompt comes from nodes that are not supported: {nodes}")
        steps = self.found.settings.get("steps")
        text = "\n".join(dict.fromkeys(parts))
        text = _SQUARE.sub(r"\\\1", _EMBEDDING.sub(r"<\1>", text))  # square brackets have no meaning in ComfyUI
        translation = a1111_prompt.to_ours(text, steps if isinstance(steps, int) else 0)
        self.found.left_out += translation.left_out
        return translation.text

    def _texts(self, value: object, branch: str, left: int) -> Iterator[str]:
        """The texts that a conditioning is made of.

        `branch` is `positive` or `negative`: some nodes pass both side by side.
        """
        if isinstance(value, str):
            yield value
        key = self._linked(value)
        if key is None or not left:
            return
        kind, inputs = self.graph[key]["class_type"], self._inputs(key)
        if kind == "ConditioningZeroOut":  # of another text, which has no effect then
            yield ""
            return
        held = [inputs[name] for name in _TEXTS if isinstance(inputs.get(name), str) or self._linked(inputs.get(name))]
        if held:
            for one in held:
                yield from self._texts(one, branch, left - 1)
            return
        if kind != "Reroute":
            self.found.lose(f"node {kind}")
        if branch in inputs:
            yield from self._texts(inputs[branch], branch, left - 1)
            return
        for one in inputs.values():
            source = self._linked(one)
            if source is not None and self._makes_conditioning(source, left):
                yield from self._texts(one, branch, left - 1)
                return

    def _makes_conditioning(self, key: str, left: int) -> bool:
        kind = self.graph[key]["class_type"]
        return left > 0 and any(part in kind for part in ("Conditioning", "TextEncode", "Reroute", "ControlNetApply"))

    # the model and what is added to it

    def _model(self, inputs: Node) -> None:
        loras = []
        key = self._linked(inputs.get("model"))
        for _ in range(DEEPEST):
            if key is None:
                break
            kind, held = self.graph[key]["class_type"], self._inputs(key)
            if kind in {"LoraLoader", "LoraLoaderModelOnly"}:
                loras.append(self._lora(held))
            elif name := as_text(held.get("ckpt_name") or held.get("unet_name")):
                self.checkpoint = name
                self.found.lose("model", name)
            elif kind != "Reroute":
                self.found.lose(f"node {kind}")
            key = self._linked(held.get("model"))
        for key, node in self.graph.items():  # on the path of the texts, not of the model
            if node["class_type"] == "CLIPSetLastLayer":
                self.seen.add(key)
                layer = str(node["inputs"].get("stop_at_clip_layer", -1)).removeprefix("-")
                self.found.settings |= clip_skip(layer, self.checkpoint, self.found)
        self.loras = [lora for lora in loras if lora]

    def _lora(self, held: Node) -> str:
        name = PureWindowsPath(as_text(held.get("lora_name"))).stem
        weight, words = held.get("strength_model", 1), held.get("strength_clip")
        if not re.fullmatch(r"[\w.-]+", name) or not isinstance(weight, int | float) or words not in (None, weight):
            self.found.lose("LoRA", f"{name} {weight}")
            return ""
        return f"withLora({name},{weight})"

    # what is denoised

    def _latents(self, inputs: Node) -> None:
        self.found.prompt = " ".join([*self.loras, self.found.prompt]).strip()
        key = self._linked(inputs.get("latent_image"))
        for _ in range(DEEPEST):
            if key is None:
                return
            kind, held = self.graph[key]["class_type"], self._inputs(key)
            if kind.startswith("Empty"):
                self.found.settings |= {side: self._value(held, side, "") for side in ("width", "height")}
                if (count := held.get("batch_size", 1)) != 1:
                    self.found.lose("batch_size", count)
                if (share := self._value(inputs, "denoise", 1)) != 1:
                    self.found.lose("denoise", share)
                return
            if kind in {"VAEEncode", "VAEEncodeForInpaint", "VAEEncodeTiled"}:
                self._init_picture(inputs, kind, held)
                return
            if kind != "Reroute":
                self.found.lose(f"node {kind}")
            key = next(filter(None, map(self._linked, held.values())), None)

    def _init_picture(self, inputs: Node, kind: str, held: Node) -> None:
        self.found.settings["strength"] = self._value(inputs, "denoise", 1)
        name, key = "", self._linked(held.get("pixels"))
        for _ in range(DEEPEST):
            if key is None or name:
                break
            source = self._inputs(key)
            name = as_text(source.get("image"))
            if not name:
                self.found.lose(f"node {self.graph[key]['class_type']}")
            key = next(filter(None, map(self._linked, source.values())), None)
        self.found.lose("the init picture", f"{name} (name it with -I)".strip())
        if kind == "VAEEncodeForInpaint":
            self.found.lose("its mask")
