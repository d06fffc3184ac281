"""Write the generated parts of the docs: `python docs/generate.py`. A test fails if they are outdated."""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from invoke.language.command_table import COMMANDS
from invoke.language.error_codes import CODES
from invoke.language.help.markdown import command_table, switch_reference, switch_table, table
from invoke.language.launch_options import OPTIONS, spelled
from invoke.language.switches import SWITCHES
from invoke.models import read_registry
from invoke.models.vocabulary import vocabulary

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MANUAL = DOCS / "invoke.1"
PAGES = (
    ROOT / "README.md",
    *(DOCS / f"{name}.md" for name in ("switches", "commands", "json", "models", "performance", "architecture")),
)
NEWCOMERS = (
    *("init_img", "strength", "steps", "seed", "width", "height", "cfg_scale", "sampler", "model"),
    *("negative_prompt", "init_mask", "iterations", "upscale", "outdir"),
)
"""The switches in the README, by long name; docs/switches.md lists all."""


def option_table() -> str:
    """The launch options as one table."""
    rows = ((f"`{spelled(row)}`", f"{row.help} *(not yet)*" if row.pending else row.help) for row in OPTIONS)
    return table(("option", "meaning"), rows)


def event_table() -> str:
    """The kinds of events, from the schema that is shipped."""
    schema = json.loads((ROOT / "invoke" / "cli" / "events.schema.json").read_text(encoding="utf-8"))
    kinds = [schema["$defs"][row["$ref"].rpartition("/")[2]] for row in schema["oneOf"]]
    return table(("`type`", "fields", "meaning"), map(_event, kinds))


def _event(kind: dict[str, Any]) -> tuple[str, str, str]:
    parts = [schema for part in kind.get("allOf", ()) for schema in ("prompt", "switches") if "typed" in part["$ref"]]
    fields = [*(name for name in kind["properties"] if name != "type"), *parts]
    always = {*kind["required"], *parts}
    shown = (f"`{name}`" if name in always else f"[`{name}`]" for name in fields)
    return f"`{kind['properties']['type']['const']}`", " ".join(shown), kind["description"]


def code_table() -> str:
    """The codes of errors."""
    return table(("`code`", "meaning"), ((f"`{code}`", meaning) for code, meaning in CODES.items()))


def measured(part: str) -> str:
    """What `benchmarks.results` tells of the newest runs: its `goals`, or its `tables`."""
    sys.path.insert(0, str(ROOT))  # the benchmarks are not part of the package
    from benchmarks import results

    return str(getattr(results, part)())


def words() -> str:
    """The vocabulary of the built-in model."""
    spec = read_registry().find("pocket")
    return ", ".join(sorted(word for word in vocabulary(spec) or () if len(word) > 1 and word.isalpha()))


def lora_table() -> str:
    """The layouts and kinds of LoRA that the tests compare with weights merged by hand."""
    sys.path.insert(0, str(ROOT))
    from tests.lora_makings import CASES

    kinds = {layout: sorted({case.kind for case in CASES if case.layout == layout}) for layout in _ordered(CASES)}
    return table(("LoRA by the names of", "kinds that are held to weights merged by hand"), _lora_rows(kinds))


def _ordered(cases: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(case.layout for case in cases))


def _lora_rows(kinds: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for layout, names in kinds.items():
        yield LAYOUTS[layout], ", ".join(dict.fromkeys(KINDS[name] for name in names))


LAYOUTS = {
    "kohya": "kohya (`lora_unet_…`, `lora_te_…`), by diffusers' module names",
    "original": "kohya, by the original code's module names (XL)",
    "attention processors": "diffusers' first attention processors",
    "dotted": "dotted module names (OneTrainer and others)",
    "metadata": "diffusers and peft, alphas in the file's metadata",
    "peft": "peft, with `adapter_config.json`",
    "lycoris": "LyCORIS (`lycoris_…`)",
    "omi": "OMI, OneTrainer's choice (`unet.input_blocks.…`, `clip_l.…`)",
    "comfyui": "dotted, by the original code's module names (ComfyUI: `diffusion_model.…`, `text_encoders.clip_l.…`)",
}
KINDS = {
    "lora": "LoRA",
    "locon": "LoCon",
    "locon-core": "LoCon with a core",
    "loha": "LoHa",
    "loha-core": "LoHa with cores",
    "lokr": "LoKr",
    "lokr-both": "LoKr with both factors in halves",
    "lokr-first": "LoKr with its first factor in halves",
    "lokr-whole": "LoKr with whole factors",
    "lokr-core": "LoKr with a core",
    "dora": "DoRA (magnitudes of outputs)",
    "dora-inputs": "DoRA (magnitudes of inputs)",
    "dora-peft": "peft's DoRA",
    "diff": "differences of weights and biases",
    "w_norm": "norms",
}


def read_table() -> str:
    """The files and folders that the tests compare with stock diffusers or spandrel."""
    sys.path.insert(0, str(ROOT))
    from tests import checkpoint_makings as made
    from tests.tiny_spandrel import ARCHITECTURES

    upscalers = ", ".join(["ESRGAN", *ARCHITECTURES])
    rows = {
        "checkpoint in one file": "; ".join([*made.CHECKPOINTS.values(), "4 or 9 channels"]),
        "its tensors": "; ".join(made.OTHER_NAMES),
        "VAE of another model": "; ".join(made.VAES.values()),
        "weights in a folder": "; ".join([*made.FOLDERS, *made.SHARDS]),
        "ControlNet": "a folder; a file by either naming; one inside a whole checkpoint",
        "textual inversion": "one or several words in a file, several vectors a word; both text encoders of XL",
        "upscaler in one file": f"what spandrel knows; the tests hold to it {upscalers}",
    }
    return table(("file or folder", "read"), rows.items())


def refused_table() -> str:
    """Recognised files that are not supported, and why."""
    from invoke.models.tensor_names import INTEGERS, LORAS_ALONE, OTHER_KINDS, OTHER_LORAS, REFUSED

    rows = [(what, _why(what), advice) for what, (_, advice) in REFUSED.items()]
    rows += [(INTEGERS[0], "a file does not say what they stand for", INTEGERS[1])]
    rows += [(f"a LoRA for {family}", "its models take none here", LORAS_ALONE) for family in OTHER_LORAS]
    rows += [
        (f"LoRA: {what}", "its changes cannot be merged into the weights", "convert it to LoRA")
        for what in OTHER_KINDS.values()
    ]
    return table(("refused by its name", "why", "instead"), [*rows, *ELSEWHERE])


ELSEWHERE = (
    (
        "Stable Diffusion 2 for depth, and other UNets that take more than latents and a text",
        "nothing here gives them the rest",
        "a ControlNet, such as `--control depth auto:depth`",
    ),
    ("a folder whose files lack tensors", "libraries fill them with random numbers", "download it again"),
    ("weights with NaN or infinity", "no picture can be made with them", "another version of the file"),
    (
        "LoRA: another kind or option of peft (`adapter_config.json`), or one that changed the model's own weights",
        "its tensors do not tell what it does",
        "save it as a plain LoRA",
    ),
    (
        "a model for EDM or flow matching in the shape of XL",
        "no sampler here follows its schedule",
        "another version of it",
    ),
    ("Stable Diffusion 2 that does not say what it predicts", "a wrong guess draws garbage", "`prediction_type`"),
    ("a checkpoint without VAE or text encoder", "half a model draws nothing", "`vae` or `base`, which supply it"),
    ("half of TAESD as a VAE", "pictures are encoded and decoded", "the other half beside it"),
    ("a network of spandrel that keeps the size", "`-U` enlarges", "one that enlarges"),
    (
        "a GGUF file as a whole model",
        "it holds one network of a model",
        "the field `gguf` of an entry that has the rest",
    ),
    ("pickles", "they can contain code", "`!optimize_model`, which runs none of it"),
    (
        "TorchScript, tar archives, pages, Git LFS pointers",
        "they are no weights that are read",
        "what the message says",
    ),
)
"""Files refused by other parts of the program."""
_WHY = {
    "a control-LoRA": "it is a difference to a UNet, not a network",
    "a T2I-Adapter": "it adds to other places than a ControlNet",
    "a ControlNet-LLLite": "it is woven into the UNet",
    "a ControlNet union": "a file does not say how it is built; folders are read",
    "a ControlNet-XS": "it is woven into the UNet",
    "an IP-Adapter FaceID": "it looks at faces through another network",
    "a motion module (AnimateDiff)": "it makes films",
    "a hypernetwork": "few are left",
    "a textual inversion with vectors for the text encoder's output": "only its trainer adds them",
    "a textual inversion for Stable Diffusion 3": "its models take none here",
    "Stable Diffusion unCLIP": "it takes the embedding of a picture",
    "Zero-1-to-3": "it takes a view instead of a text",
    "fp8 weights with their own scales": "the scales are ComfyUI's",
    "weights quantised by bitsandbytes": "only that library can use them",
    "just a text encoder": "it is only a part of a model",
}


def _why(what: str) -> str:
    return _WHY.get(what, "a single file lacks its parts or their configs")


def manual_page() -> str:
    """`man invoke`, from the same tables."""
    options = [(f"{spelled(row)}", row.help) for row in OPTIONS]
    switches = [
        (f"{row.spelling.replace('/', ', ')} {'' if row.is_flag else row.type.describe()}".strip(), row.help)
        for row in SWITCHES
        if not (row.pending or row.obsolete)
    ]
    commands = [(row.spelling, row.help) for row in COMMANDS if not row.pending]
    parts = [
        '.TH INVOKE 1 "" "invoke-shell" "User Commands"',
        ".SH NAME\ninvoke \\- a shell for working on pictures with Stable Diffusion",
        ".SH SYNOPSIS\n.B invoke\n[options] [line]\n.br\n.B invoke\n[options] \\-\\-from\\-file FILE",
        ".SH DESCRIPTION\nWithout a line and with a terminal, it opens the prompt. A line is a prompt with switches, "
        "or a command; each line becomes numbered PNG files in outputs/, and their paths go to standard output.",
        ".SH LAUNCH OPTIONS\n" + _manual_rows(options),
        ".SH SWITCHES OF A LINE\nThose that make sense for all lines are defaults when they stand before it.\n"
        + _manual_rows(switches),
        ".SH COMMANDS\n" + _manual_rows(commands),
        ".SH EXIT STATUS\n"
        + _manual_rows(
            [
                ("0", "all was made"),
                ("1", "at least one line failed"),
                ("2", "bad usage"),
                ("3", "the model or the environment cannot be used"),
                ("130, 143", "Ctrl-C, SIGTERM"),
            ]
        ),
        ".SH FILES\n"
        + _manual_rows(
            [
                ("~/.config/invoke-shell/config.yaml", "defaults and launch options"),
                ("~/.config/invoke-shell/models.yaml", "models of your own"),
                ("~/.local/state/invoke-shell/", "the history, and the log of errors"),
            ]
        ),
    ]
    return "\n".join(parts) + "\n"


def _manual_rows(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f".TP\n.B {_roff(name)}\n{_roff(text)}" for name, text in rows)


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def module_table() -> str:
    """Every module of the package with the first line of its docstring, room by room."""
    package, lines = ROOT / "invoke", list[str]()
    for folder in (package, *sorted(path.parent for path in package.glob("*/**/__init__.py"))):
        lines += [f"### invoke/{folder.relative_to(package).as_posix()}/".replace("/./", "/"), ""]
        rows = [(f"`{file.name}`", _purpose(file)) for file in sorted(folder.glob("*.py"))]
        lines += [table(("module", "what it is for"), rows), ""]
    return "\n".join(lines)


def _purpose(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("|", "\\|")


def layers(contract: str) -> list[str]:
    """The layers of an import contract of pyproject.toml, from the top; ` | ` between those that stand side by side."""
    rows = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    named = next(row["layers"] for row in rows if row["name"] == contract)
    return [layer.replace(" : ", " | ") for layer in named]


def floor_table() -> str:
    """The floors of the engine, from the top, with the first lines of their docstrings."""
    engine, rows = ROOT / "invoke" / "engine", []
    for layer in layers("the engine's floors"):
        files = [engine / name / "__init__.py" for name in layer.split(" | ")]
        purposes = [_purpose(file if file.exists() else file.parent.with_suffix(".py")) for file in files]
        rows.append((f"`{layer}`", " ".join(purposes)))
    return table(("floor", "what it is for"), rows)


PARTS = {
    "layers": lambda: "```text\n" + "\n".join(layers("imports run one way")) + "\n```",
    "floors": floor_table,
    "loras": lora_table,
    "read": read_table,
    "refused": refused_table,
    "words": words,
    "switches": partial(switch_table, NEWCOMERS),
    "commands": command_table,
    "reference": switch_reference,
    "options": option_table,
    "events": event_table,
    "codes": code_table,
    "modules": module_table,
    "goals": partial(measured, "goals"),
    "measured": partial(measured, "tables"),
}


def generate(text: str) -> str:
    """`text` with every generated part replaced."""
    for name, make in PARTS.items():
        part = f"<!-- {name} -->\n{make().strip()}\n<!-- end -->"
        text = re.sub(f"<!-- {name} -->.*?<!-- end -->", lambda _, part=part: part, text, flags=re.DOTALL)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(generate(page.read_text(encoding="utf-8")), encoding="utf-8")
    MANUAL.write_text(manual_page(), encoding="utf-8")
