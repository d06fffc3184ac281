"""`!models`, `!switch`, and the user's own list of models, as typed at the prompt."""

import json
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file

from invoke.commands.info import TITLES
from invoke.models import Kind, read_registry
from invoke.models.spec import BELONGS
from invoke.models.yaml_lists import read_rows, shipped_rows
from invoke.shell.repl import Entry
from tests.hub import Hub
from tests.models.makings import FOUR_LEVELS, INDEX, folder, tensors
from tests.shell.talk import Talk

LORA = {"unet.x.lora_A.weight": (2, 2)}


def rows(talk: Talk) -> dict[str, dict[str, object]]:
    """The user's own list."""
    assert talk.session.models_file is not None
    return {name: dict(row) for name, row in read_rows(talk.session.models_file).items()}


# !models


def test_every_kind_of_entry_is_listed() -> None:
    assert [*TITLES] == [*get_args(Kind)] == [*BELONGS]


def test_models_are_listed_by_kind_with_their_place(talk: Talk) -> None:
    talk.engine.in_memory = ("sd-1.5", "canny")
    talk.type("!models")
    output = [" ".join(row.split()) for row in talk.err.splitlines()]
    assert output[0] == "models: -m"
    assert output[1].startswith("* pocket on disk small scenes")
    assert output[2].startswith("sd-1.5 in memory Stable Diffusion 1.5")
    assert output[2].endswith("CreativeML OpenRAIL-M")
    assert any(row.startswith("sdxl 6.9 GB to download ") for row in output)
    assert "ip-adapter 45 MB to download style and subject of a picture · Apache-2.0" in output
    assert output.index("ControlNets: --control") < output.index("upscalers: -U")


def test_models_are_filtered_by_text(talk: Talk) -> None:
    talk.type("!models canny")
    assert [line.split()[0] for line in talk.err.splitlines()] == [
        "ControlNets:",
        "canny",
        "canny-sdxl",
        "union-canny-sdxl",
    ]
    talk.type("!models APACHE")
    assert "kandinsky-2.2" in (output := talk.err)
    assert "sd-1.5" not in output
    talk.type("!models nothing like it")
    assert "error: no entry contains 'nothing like it'" in talk.err


def test_a_model_named_by_its_path_is_listed_while_it_is_used(talk: Talk, tiny_model: Path) -> None:
    talk.type(f"!switch {tiny_model}", "!models")
    assert f"* {tiny_model}" in talk.err


def test_a_deleted_file_is_listed_as_missing(talk: Talk) -> None:
    talk.type(f"!import_model {tensors(Path('fire.safetensors'), LORA)}")
    Path("fire.safetensors").unlink()
    talk.type("!models fire")
    assert "  fire  missing" in talk.err


# !switch


def test_switch_uses_another_model_and_loads_it(talk: Talk, tiny_model: Path) -> None:
    talk.type(f"!switch {tiny_model}", "!switch sd-9", "!switch")
    output = talk.err
    assert f"now using {tiny_model}\n" in output
    assert talk.engine.loaded == [str(tiny_model)]
    assert "no model is called 'sd-9'" in output
    assert "!switch needs a model" in output
    assert talk.session.model == str(tiny_model)


def test_switch_notes_a_model_that_must_be_downloaded(talk: Talk) -> None:
    talk.type("!switch sd-1.5")
    assert (
        talk.err
        == "now using sd-1.5; 2.1 GB (CreativeML OpenRAIL-M) to download first: the next line asks before it does\n"
    )


@pytest.mark.parametrize("what", ["empty", "half", "lora.safetensors", "cut.safetensors", "canny", "x.ckpt", "prior"])
def test_switch_to_an_unusable_model_keeps_the_active_one(talk: Talk, what: str) -> None:
    Path("empty").mkdir()
    folder(Path("half"), {"model_index": INDEX["sd"], "unet": {"sample_size": 64}, "vae": FOUR_LEVELS})
    folder(Path("prior"), {"model_index": INDEX["prior"]})
    tensors(Path("lora.safetensors"), LORA)
    cut = tensors(Path("cut.safetensors"), LORA)
    cut.write_bytes(cut.read_bytes()[:-1])
    talk.type(f"!switch {what}")
    output = talk.err.splitlines()
    assert output[0].startswith(f"error: {what}")
    assert output[2].strip().startswith("^^^")
    assert talk.entry == Entry(f"!switch {what}", len("!switch "))
    assert (talk.session.model, talk.engine.loaded) == ("pocket", [])
    talk.type("a cat")
    assert "-m pocket" in talk.out


# !import_model


def test_import_adds_a_folder_that_can_be_used_at_once(talk: Talk, tiny_model: Path) -> None:
    talk.type(f"!import_model {tiny_model} small", "a cat -m small")
    assert talk.err.startswith("added: small (sd, 64×64), on disk\n")
    assert "-W 64 -H 64" in talk.out
    assert rows(talk) == {"small": {"weights": str(tiny_model), "width": 64, "height": 64}}
    assert talk.engine.models is talk.session.models
    assert read_registry(talk.session.models_file).find("small").width == 64


def test_import_adds_a_file_under_its_name(talk: Talk) -> None:
    talk.type(f'!import_model "{tensors(Path("my style v2.safetensors"), LORA)}"')
    assert talk.err == "added: my-style-v2 (lora for sd), on disk\n"
    assert rows(talk)["my-style-v2"]["weights"] == str(Path("my style v2.safetensors").absolute())


def test_import_recognises_a_face_model_without_family(talk: Talk) -> None:
    talk.type(f"!import_model {tensors(Path('GFPGANv1.4.safetensors'), {'stylegan_decoder.noises.noise0': (1, 1)})}")
    assert talk.err == "added: GFPGANv1.4 (face), on disk\n"
    assert rows(talk)["GFPGANv1.4"]["kind"] == "face"


def test_import_of_a_folder_of_files_adds_each(talk: Talk, tiny_model: Path) -> None:
    tensors(Path("all/a.safetensors"), LORA)
    tensors(Path("all/deep/a.safetensors"), LORA | {"more.lora_A.weight": (2, 2)})
    tensors(Path("all/deep/odd.safetensors"), {"what": (2, 2, 2)})
    Path("all/old.ckpt").write_bytes(b"")
    Path("all/model").symlink_to(tiny_model)
    talk.type("!import_model all")
    output = talk.err
    assert [line for line in output.splitlines() if line.startswith("added")] == [
        "added: a (lora for sd), on disk",
        "added: a-2 (lora for sd), on disk",
        "added: model (sd, 64×64), on disk",
    ]
    assert "odd.safetensors: this file does not hold a model of a supported family" in output
    assert f"!optimize_model {Path('all/old.ckpt').absolute()}" in output
    talk.type("!import_model all")
    assert "all/a.safetensors is already on the list" in (output := talk.err)
    assert "error: all: nothing was added" in output


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("!import_model", "!import_model needs a hub id, a folder or a file"),
        ("!import_model nowhere", "nowhere: there is no such folder or file, and it is not a hub id"),
        ("!import_model a b c", "!import_model expects a model and optionally a name, not 3 words"),
        ("!import_model lora.safetensors pocket", "pocket is already on the list"),
        ("!import_model lora.safetensors k_lms", "'k_lms' is the name of a sampler"),
        ("!import_model lora.safetensors a/b", "'a/b' is not a valid name"),
        ("!import_model lora.safetensors -m", "'-m' is not a valid name"),
        ("!import_model notes.txt", "notes.txt: this is not a .safetensors file"),
        ("!import_model empty", "empty: nothing was added: there is no model in this folder or its subfolders\n"),
    ],
)
def test_import_refuses_unusable_sources(talk: Talk, typed: str, sentence: str) -> None:
    tensors(Path("lora.safetensors"), LORA)
    Path("notes.txt").write_text("")
    Path("empty").mkdir()
    talk.type(typed)
    assert sentence in talk.err
    assert rows(talk) == {}


def test_import_of_a_hub_id_downloads_no_weights(talk: Talk, hub: Hub) -> None:
    talk.type("!import_model some/model", "!import_model https://huggingface.co/some/model far")
    assert talk.err.splitlines() == [
        "note: asking the hub about some/model …",
        "added: model (sd, 64×64), 1 MB to download",
        "note: asking the hub about https://huggingface.co/some/model …",
        "added: far (sd, 64×64), 1 MB to download",
    ]
    assert hub.fetched(".safetensors") == []
    talk.type("!import_model some/nothing")
    assert "the hub has no model some/nothing, or it is private" in talk.err


# !edit_model


def test_edit_model_shows_and_changes_an_entry(talk: Talk) -> None:
    talk.type("!edit_model sd-1.5")
    assert "  weights: stable-diffusion-v1-5/stable-diffusion-v1-5\n" in talk.err
    talk.type(
        "!edit_model sd-1.5 vae vae-ft-mse sampler=ddim width=640", "!edit_model sd-1.5 width 768 guidance_scale 5"
    )
    assert talk.err == "changed: sd-1.5 (2.1 GB to download)\n" * 2
    assert rows(talk) == {"sd-1.5": {"vae": "vae-ft-mse", "sampler": "ddim", "width": 768, "guidance_scale": 5.0}}
    spec = talk.session.models.find("sd-1.5")
    assert (spec.vae, spec.sampler, spec.width, spec.height) == ("vae-ft-mse", "ddim", 768, 512)


def test_the_active_model_is_loaded_again_when_its_entry_changes(talk: Talk) -> None:
    talk.type("!edit_model pocket sampler k_euler", "a cat")
    assert talk.engine.loaded == ["pocket"]
    assert "-A k_euler" in talk.out


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("!edit_model sd-9 width 8", "no entry is called 'sd-9', did you mean 'sd-2.1'?"),
        ("!edit_model pocket widht 8", "pocket: there is no field 'widht', did you mean 'width'?"),
        ("!edit_model pocket width", "width needs a value"),
        ("!edit_model pocket width wide", "width must be a number, not 'wide'"),
        ("!edit_model pocket width 0", "pocket: width must be a whole number, at least 8"),
        ("!edit_model pocket guidance_scale much", "guidance_scale must be a number, not 'much'"),
        ("!edit_model pocket sampler k_eular", "did you mean 'k_euler'?"),
        ("!edit_model pocket kind nothing", "kind must be one of model controlnet"),
        ("!edit_model pocket hidden maybe", "hidden must be true or false"),
        ("!edit_model", "!edit_model needs a model and what is to change"),
    ],
)
def test_edit_model_refuses_invalid_changes(talk: Talk, typed: str, sentence: str) -> None:
    talk.type(typed)
    assert sentence in talk.err
    assert rows(talk) == {}


# !del_model


def test_del_model_asks_for_the_entry_and_again_for_its_weights(talk: Talk) -> None:
    file = tensors(Path("fire.safetensors"), LORA)
    talk.type("!import_model fire.safetensors", "!del_model fire")
    assert talk.questions == ["remove fire from the list?"]
    assert "nothing was changed" in talk.err
    assert "fire" in rows(talk)
    talk.answers = [True]
    talk.type("!del_model fire")
    assert talk.questions[-1] == f"its weights are in {file.absolute()} (1 MB): delete them as well?"
    assert "its weights stay" in talk.err
    assert rows(talk) == {}
    assert file.exists()
    talk.answers = [True, True]
    talk.type("!import_model fire.safetensors", "!del_model fire")
    assert not file.exists()


def test_del_model_keeps_weights_that_another_entry_uses(talk: Talk) -> None:
    tensors(Path("fire.safetensors"), LORA)
    talk.type("!import_model fire.safetensors", "!import_model fire.safetensors blaze")
    talk.answers = [True, True]
    talk.type("!del_model fire")
    assert talk.questions == ["remove fire from the list?"]


def test_del_model_never_deletes_a_folder(talk: Talk, tiny_model: Path) -> None:
    talk.type(f"!import_model {tiny_model} small")
    talk.answers = [True, True]
    talk.type("!del_model small")
    assert f"its weights stay in {tiny_model}" in talk.err
    assert len(talk.questions) == 1


def test_del_model_hides_a_shipped_entry(talk: Talk) -> None:
    before = shipped_rows()
    talk.answers = [True]
    talk.type("!del_model sd-2.1", "!models", "x -m sd-2.1")
    output = talk.err
    assert "hidden; !edit_model sd-2.1 hidden=false" in output
    assert "  sd-2.1 " not in output
    assert "no model is called 'sd-2.1'" in output
    talk.type("!edit_model sd-2.1 hidden=false")
    assert talk.session.models.find("sd-2.1").width == 768
    assert shipped_rows() == before


def test_del_model_discards_changes_to_a_shipped_entry(talk: Talk) -> None:
    talk.answers = [True]
    talk.type("!edit_model sd-1.5 width 640", "!del_model sd-1.5")
    assert talk.questions == ["discard your changes to sd-1.5?"]
    assert talk.session.models.find("sd-1.5").width == 512


def test_del_model_deletes_downloaded_weights_after_a_second_yes(talk: Talk, hub: Hub, home: Path) -> None:
    kept = home / "cache" / "huggingface" / "hub" / "models--some--model"
    talk.type("!import_model some/model far")
    assert kept.exists()
    talk.answers = [True, True]
    talk.type("!del_model far")
    assert not kept.exists()


def test_del_model_refuses_the_model_in_use(talk: Talk) -> None:
    talk.type("!del_model pocket")
    assert "error: pocket is in use\n" in talk.err
    assert talk.questions == []


# !triggers


def test_triggers_lists_trigger_words(talk: Talk) -> None:
    tensors(Path("cat-toy.safetensors"), {"emb_params": (2, 8)})
    talk.type("!import_model cat-toy.safetensors", "!edit_model cat-toy triggers 'toy cat, plush'", "!triggers toy")
    assert talk.err.splitlines()[-1] == "  <cat-toy>  toy cat, plush"
    talk.type("!triggers")
    assert "  withLora(lcm,1)  " in talk.err
    talk.type("!triggers nothing")
    assert "no LoRA or textual inversion with 'nothing' is on the list" in talk.err


# !optimize_model


def test_optimize_model_converts_a_pickle_after_a_yes(talk: Talk) -> None:
    torch.save({"state_dict": {"unet.x.lora_A.weight": torch.ones(2, 2)}}, "fire.ckpt")
    talk.type("!optimize_model fire.ckpt")
    assert talk.questions == ["fire.ckpt is a pickle file (1 MB), which can contain code; none of it is run. Convert?"]
    assert not Path("fire.safetensors").exists()
    talk.answers = [True]
    talk.type("!optimize_model fire.ckpt")
    assert "written: fire.safetensors\nadded: fire (lora for sd), on disk\n" in talk.err
    talk.type("!optimize_model fire.ckpt")
    assert "fire.safetensors exists already" in talk.err


def test_optimize_model_updates_the_entry(talk: Talk) -> None:
    torch.save({"unet.x.lora_A.weight": torch.ones(2, 2)}, "fire.pt")
    assert talk.session.models_file is not None
    talk.session.models_file.write_text(json.dumps({"fire": {"weights": "fire.pt", "kind": "lora"}}))
    talk.answers = [True]
    talk.type("!optimize_model fire")
    assert rows(talk)["fire"] == {"weights": "fire.safetensors", "kind": "lora"}


def test_optimize_model_converts_the_parts_of_a_folder(talk: Talk) -> None:
    Path("old/unet").mkdir(parents=True)
    Path("old/text_encoder").mkdir()
    torch.save({"a": torch.ones(2)}, "old/unet/diffusion_pytorch_model.bin")
    torch.save({"a": torch.ones(2)}, "old/text_encoder/pytorch_model.bin")
    talk.answers = [True]
    talk.type("!optimize_model old")
    assert talk.questions == ["old has 2 pickle files (1 MB), which can contain code; none of it is run. Convert?"]
    assert sorted(str(path) for path in Path("old").rglob("*.safetensors")) == [
        "old/text_encoder/model.safetensors",
        "old/unet/diffusion_pytorch_model.safetensors",
    ]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("nowhere.ckpt", "nowhere.ckpt: there is no such file or model"),
        ("new.safetensors", "new.safetensors: this is not one of .ckpt .pt .pth .bin"),
        ("empty", "empty: this folder has no pickle files left to convert"),
        ("junk.ckpt", "junk.ckpt: this file is damaged, or not a file of weights"),
    ],
)
def test_optimize_model_refuses_unusable_files(talk: Talk, typed: str, sentence: str) -> None:
    save_file({"a": torch.ones(2)}, "new.safetensors")
    Path("empty").mkdir()
    Path("junk.ckpt").write_bytes(b"junk")
    talk.answers = [True]
    talk.type(f"!optimize_model {typed}")
    assert sentence in talk.err


@pytest.mark.parametrize("line", ["!import_model x", "!edit_model x", "!del_model x", "!optimize_model x"])
def test_the_list_can_be_changed_only_at_the_prompt(talk: Talk, line: str) -> None:
    Path("lines.txt").write_text(line)
    talk.type("!replay lines.txt")
    assert "works only at the prompt, not in a file of lines" in talk.err


# incomplete files


def _version_2(path: Path, **more: tuple[int, ...]) -> Path:
    block = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0"
    shapes = {"model.diffusion_model.input_blocks.0.0.weight": (2, 4, 3, 3), f"{block}.attn2.to_k.weight": (2, 1024)}
    return tensors(path, shapes | more)


@pytest.mark.parametrize(("answer", "predicts", "side"), [(True, "v_prediction", 768), (False, "epsilon", 512)])
def test_import_asks_once_what_stable_diffusion_2_predicts(talk: Talk, answer: bool, predicts: str, side: int) -> None:
    talk.answers = [answer]
    talk.type(f"!import_model {_version_2(Path('two.safetensors'))}")
    assert rows(talk)["two"]["prediction_type"] == predicts
    assert talk.session.models.find("two").width == side
    assert "two has no VAE and no text encoder: !edit_model two base NAME" in talk.err
    talk.type("!edit_model two base pocket")
    assert rows(talk)["two"]["base"] == "pocket"


def test_a_bad_file_does_not_stop_the_import_of_a_folder(talk: Talk) -> None:
    tensors(Path("many/good.safetensors"), LORA)
    Path("many/bad.safetensors").write_bytes(b"\xff" * 100)
    tensors(Path("many/adapter.safetensors"), {"adapter.body.0.resnets.0.block1.weight": (2, 2)})
    talk.type("!import_model many")
    assert list(rows(talk)) == ["good"]
    output = talk.err
    assert "adapter.safetensors: this file holds a T2I-Adapter, which is not supported" in output
    assert "bad.safetensors: this file is damaged" in output


_WHOLE = {
    "first_stage_model.decoder.conv_in.weight": (2, 2, 3, 3),
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (2, 768),
}


@pytest.mark.parametrize(
    ("width", "more", "sentence"),
    [
        (1024, _WHOLE, "does not say whether it predicts noise or v"),
        (768, {}, "x: this file has no VAE and no text encoder"),
        (768, _WHOLE | {"edm_mean": (4,)}, "x: this model is trained with the EDM parametrisation"),
        (32, _WHOLE, "its UNet takes text embeddings of width 32"),
        (768, {"lora_controlnet": (1,)}, "this file holds a control-LoRA"),
    ],
)
def test_switch_to_a_model_that_fails_to_load_keeps_the_active_one(
    width: int, more: dict[str, tuple[int, ...]], sentence: str, talk: Talk
) -> None:
    block = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0"
    unet = {"model.diffusion_model.input_blocks.0.0.weight": (2, 4, 3, 3), f"{block}.attn2.to_k.weight": (2, width)}
    tensors(Path("x.safetensors"), unet | more)
    talk.type("!switch x.safetensors", "a cat")
    assert sentence.removeprefix("x: ") in talk.err
    assert talk.session.model == "pocket"
    assert "-m pocket" in talk.out
    assert talk.engine.loaded == []
