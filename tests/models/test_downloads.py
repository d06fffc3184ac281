"""Downloads in the real program: confirmed at the prompt, refused elsewhere without --yes."""

from pathlib import Path

import pytest

from tests.hub import Hub
from tests.program import forked, invoke
from tests.shell.screen import Screen, needs_tmux, preloaded_command


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    file = tmp_path / "models.yaml"
    file.write_text("far: {weights: some/model, width: 64, height: 64, licence: a licence}\n")
    return ["--config", str(file), "-s", "2", "-o", str(tmp_path / "out")]


def test_without_a_prompt_nothing_is_downloaded_unless_yes(hub: Hub, options: list[str]) -> None:
    """With --yes, scripts see the download."""
    done = invoke(*options, "a cat -S 7 -m far")
    assert done.status == 3
    assert "far is 1 MB (a licence) and not on this disk (--yes downloads without asking" in done.stderr
    assert hub.fetched(".safetensors") == []
    done = invoke(*options, "--json", "--yes", "a cat -S 7 -m far")
    assert (done.status, len(done.of_type("image"))) == (0, 1)
    types = [event["type"] for event in done.events]
    assert types.index("fetch") < types.index("image")
    assert done.of_type("fetch")[0].keys() == {"type", "line", "model", "done_mb", "total_mb"}
    asked = len(hub.asked)
    assert invoke(*options, "a cat -S 7 -m far").status == 0
    assert len(hub.asked) == asked, "what is on this disk is asked of nobody"


def test_a_batch_continues_without_a_model_it_may_not_download(hub: Hub, options: list[str]) -> None:
    done = invoke(*options, "--json", stdin="a cat -W 64 -H 64\na dog -m far\na fox -W 64 -H 64\n")
    assert done.status == 1
    assert [event["line"] for event in done.of_type("image")] == [1, 3]
    assert [(event["line"], event["code"]) for event in done.of_type("error")] == [(2, "not_on_disk")]


def test_offline_is_named_in_the_error(hub: Hub, options: list[str]) -> None:
    done = invoke(*options, "--offline", "--yes", "a cat -S 7 -m far")
    assert done.status == 3
    assert "far: this model is not on this disk and cannot be downloaded while offline" in done.stderr
    assert hub.asked == []


def test_a_missing_list_of_models_is_reported_at_once(tmp_path: Path) -> None:
    done = forked("--config", tmp_path / "none.yaml", "a cat")
    assert done.status == 3
    assert "none.yaml: there is no such list of models" in done.stderr


@needs_tmux
def test_the_prompt_asks_before_downloading_and_can_stop_it(hub: Hub, options: list[str], tmp_path: Path) -> None:
    hub.stuck.add("unet/diffusion_pytorch_model.safetensors")
    with Screen([*preloaded_command(), *options], tmp_path) as screen:
        screen.wait_for("pocket on cpu float32")
        screen.enter("a cat -S 7 -m far")
        screen.wait_for("far is 1 MB (a licence), download? [y/N]")
        screen.press("C-c")
        screen.wait_for("far is not on this disk and was not downloaded")  # Ctrl-C answers no
        screen.wait_for_no("download? [y/N]")
        screen.enter("a cat -S 7 -m far")
        screen.wait_for("download? [y/N]")
        screen.enter("y")
        screen.wait_for("downloading far")
        screen.wait_for_no("asking the hub")  # until then, nothing is downloaded that could be kept
        screen.press("C-c")
        screen.wait_for("stopped; the partial download is kept, retry to resume")
        screen.wait_for_no("download? [y/N]")
        screen.enter("a cat -S 7 -m far")
        screen.wait_for("download? [y/N]")
        hub.stuck.clear()
        screen.enter("y")
        screen.wait_for(".7.png: a cat -s 2 -S 7 -W 64 -H 64")
        screen.wait_for("far on cpu float32")
        screen.enter("!models far")
        screen.wait_for("  far  in memory")
