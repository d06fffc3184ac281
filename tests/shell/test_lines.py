"""Lines in a queue: planned when entered, drawn in order with the settings of that time. No terminal, no model."""

import io
import queue
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Event as Flag
from time import sleep

import pytest

from invoke import signals
from invoke.engine import Job
from invoke.errors import EngineError, InvokeError
from invoke.events import EngineEvent
from invoke.models import read_registry
from invoke.outputs.speeds import Speeds
from invoke.session import Session
from invoke.shell.history import History
from invoke.shell.interrupts import Interrupt
from invoke.shell.lines import Lines
from invoke.shell.progress import Progress
from invoke.shell.queue import Queue, QueuedLine
from invoke.shell.queue_thread import QueueThread
from invoke.shell.repl import Repl
from invoke.shell.terminal import Terminal
from invoke.shell.watch import Watcher
from tests import patience
from tests.fakes import FakeEngine
from tests.patience import PATIENCE

SIZE = "-W 256 -H 256"


class Desk:
    """Everything of the prompt with a queue but the keys and the screen."""

    def __init__(self, folder: Path, engine: FakeEngine | None = None) -> None:
        self.gate = Flag()
        """Pictures wait until this is set."""
        self.gate.set()
        self.engine = engine or FakeEngine(at_step=lambda index: bool(self.gate.wait(PATIENCE)) and None)
        self.session = Session(self.engine, read_registry(), launch={"outdir": str(folder / "out"), "steps": 2})
        self.text = io.StringIO()
        terminal = Terminal(self.text, self.text)
        self.queue = Queue()
        self.interrupt = Interrupt(self.engine)
        self.queue.stop_running = self.interrupt.stop
        watcher = Watcher(self.session, terminal, partial(Progress, terminal), self.interrupt.watching)
        self.working = Repl(self.session, terminal, History(), watcher=watcher)
        lines = Lines(self.session, terminal, self.queue, watcher, lambda line, number: self.working.run(line))
        self.repl = Repl(self.session, terminal, History(), watcher=watcher, lines=lines)
        self.worker = QueueThread(self.queue, self.interrupt, self.perform)
        self.worker.start()

    def perform(self, line: QueuedLine) -> None:
        self.working.number = line.number
        self.working.attempt(line.run, line.line, line.number)

    def enter(self, *lines: str) -> str:
        """Enter lines and return the immediate output."""
        before = len(self.text.getvalue())
        for line in lines:
            self.repl.submit(line)
        return self.text.getvalue()[before:]

    def wait(self, is_so: Callable[[], bool] | None = None) -> str:
        """Wait until the queue is empty, or for the condition; return all output."""
        patience.until(is_so or (lambda: self.queue.is_empty), self.text.getvalue)
        return self.text.getvalue()

    def wait_for_running(self) -> None:
        self.wait(lambda: self.queue.running is not None)

    def close(self) -> None:
        self.gate.set()
        self.queue.close()
        self.queue.cancel_all()
        self.worker.join(PATIENCE)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def results(text: str) -> list[str]:
    return [line.split("]")[0].strip("[") for line in text.splitlines() if ".png: " in line]


def test_twenty_lines_are_planned_when_entered_and_drawn_in_order(desk: Desk) -> None:
    desk.gate.clear()
    for number in range(1, 21):
        assert "txt2img  256×256 · steps 2" in desk.enter(f"cat {number} -S {number} {SIZE}")
    assert len(desk.queue.lines) == 20
    desk.gate.set()
    assert results(desk.wait()) == [str(number) for number in range(1, 21)]
    assert [request.prompt for request in desk.engine.requests] == [f"cat {number}" for number in range(1, 21)]


def test_cancelling_the_third_leaves_the_others_untouched(desk: Desk) -> None:
    desk.gate.clear()
    desk.enter(*(f"cat {number} {SIZE}" for number in range(1, 6)))
    assert desk.enter("!cancel 3") == "cancelled: 1 line\n"
    desk.gate.set()
    assert results(desk.wait()) == ["1", "2", "4", "5"]


def test_an_error_is_shown_at_once_and_the_line_returns(desk: Desk) -> None:
    desk.gate.clear()
    desk.enter(f"a cat {SIZE}")
    assert "must be between 0 and 1" in desk.enter("a dog -f 3")
    assert (desk.repl.take_entry().text, len(desk.queue.lines)) == ("a dog -f 3", 1)


def test_the_queue_is_listed_reordered_paused_and_resumed(desk: Desk) -> None:
    desk.gate.clear()
    desk.enter(f"one {SIZE}", f"two {SIZE}", f"three {SIZE}")
    desk.wait_for_running()
    desk.enter("!pause")
    listed = desk.enter("!queue").splitlines()
    assert [row.split()[:3] for row in listed[:3]] == [
        ["[1]", "running", "one"],
        ["[2]", "waiting", "two"],
        ["[3]", "waiting", "three"],
    ]
    assert listed[3] == "  paused; !resume continues"
    assert desk.enter("!queue move 3 first") == "[3] runs next\n"
    desk.gate.set()
    desk.wait(lambda: desk.queue.running is None)
    assert len(desk.queue.waiting) == 2, "nothing is begun while it is paused"
    desk.enter("!resume")
    assert results(desk.wait()) == ["1", "3", "2"]
    assert desk.enter("!queue", "!resume") == "no line is waiting\nthe queue is not paused\n"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("!cancel 9", "line 9 is not in the queue; no line is waiting"),
        ("!cancel nine", "expected a line's number or all, not nine"),
        ("!queue up", "!queue move N first runs line N next"),
        ("!queue move 9", "line 9 is not in the queue"),
        ("!cancel", "no line is waiting"),
    ],
)
def test_invalid_queue_commands_are_refused(desk: Desk, line: str, sentence: str) -> None:
    assert sentence in desk.enter(line)


def test_minus_1_is_the_previous_lines_picture_when_the_line_runs(desk: Desk) -> None:
    desk.gate.clear()
    output = desk.enter(f"a cat -S 1 {SIZE}", f"at night -I -1 -f 0.5 -S 5 {SIZE}", f"in winter -I -1 -f 0.5 {SIZE}")
    assert "img2img  the picture of [1] 256×256" in output
    assert "no picture was made" not in output
    desk.gate.set()
    output = desk.wait()
    assert "[2] starts from out/000001.1.png" in output.replace(str(Path.cwd()) + "/", "")
    assert [
        Path(request.init_image or "").name for request in desk.engine.requests if isinstance(request.init_image, str)
    ] == [
        "000001.1.png",
        "000002.5.png",
    ]


def test_seeds_drawn_when_entering_are_used_when_running(desk: Desk) -> None:
    desk.gate.clear()
    desk.enter(f"a cat {SIZE}", f"at night -I -1 -f 0.5 -n 3 {SIZE}")
    desk.wait_for_running()
    promised = [promise.seed for promise in desk.queue.waiting[0].promised]
    desk.gate.set()
    desk.wait()
    assert [request.seed for request in desk.engine.requests[1:]] == promised


def test_after_a_failed_line_minus_1_is_an_older_picture(desk: Desk) -> None:
    desk.enter(f"a cat -S 1 {SIZE}")
    desk.wait()
    desk.gate.clear()
    desk.engine.outcomes.append(EngineError("out of memory"))
    desk.enter(f"a dog {SIZE}", f"at night -I -1 -f 0.5 {SIZE}")
    desk.gate.set()
    output = desk.wait()
    assert "[2] error: out of memory" in output
    assert "000001.1.png" in output.split("[3] starts from")[1].splitlines()[0]


def test_a_line_without_a_previous_picture_fails_under_its_number(desk: Desk) -> None:
    desk.gate.clear()
    desk.engine.outcomes.append(EngineError("out of memory"))
    desk.enter(f"a dog {SIZE}", f"at night -I -1 -f 0.5 {SIZE}", f"a cat {SIZE}")
    desk.gate.set()
    output = desk.wait()
    assert "[2] error: -I/--init_img -1: no picture was made" in output
    assert results(output) == ["3"], "and the others go on"


def test_set_applies_only_to_later_lines(desk: Desk) -> None:
    desk.gate.clear()
    desk.enter(f"a cat {SIZE}", f"a dog -I -1 -f 1 {SIZE}", "!set -s 7", f"a fox {SIZE}")
    desk.gate.set()
    desk.wait()
    assert [request.steps for request in desk.engine.requests] == [2, 2, 7]


def test_a_picture_of_a_waiting_line_can_be_addressed(desk: Desk) -> None:
    desk.gate.clear()
    desk.enter(f"a cat -n 3 -S 7 {SIZE}", f"at night -I 1.2 -f 0.5 {SIZE}")
    desk.gate.set()
    desk.wait()
    assert str(desk.engine.requests[-1].init_image).endswith("000001.8.png")


def test_a_command_that_needs_the_engine_is_queued(desk: Desk) -> None:
    desk.gate.clear()
    desk.enter(f"a cat {SIZE}", "!free", "!help -f")
    assert "how much of it to redraw" in desk.text.getvalue(), "others act at once"
    desk.wait_for_running()
    assert [line.line for line in desk.queue.waiting] == ["!free"]
    desk.gate.set()
    assert "500 MB freed" in desk.wait()


def test_ctrl_c_stops_the_running_line_and_the_queue_goes_on(desk: Desk) -> None:
    desk.gate.clear()
    desk.enter(f"a cat -s 9 {SIZE}", f"a dog {SIZE}")
    desk.wait(lambda: desk.interrupt.drawing)
    assert desk.interrupt.press()
    desk.gate.set()
    output = desk.wait()
    assert "stopping after this step" in output
    assert "0 of 1 picture made" in output
    assert results(output) == ["2"]
    assert desk.engine.killed == 0
    assert not desk.interrupt.press(), "nothing runs any more"


def test_ctrl_c_just_before_waiting_for_the_model_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loading(FakeEngine):
        def generate_batch(self, jobs: Sequence[Job]) -> Generator[tuple[int, EngineEvent | InvokeError], None, None]:
            assert desk.interrupt.press()
            signals.get(queue.Queue[None](), PATIENCE)
            yield from ()

    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path, Loading())
    desk.enter(f"a cat {SIZE}")
    output = desk.wait()
    assert "stopped" in output
    assert "0 of 1 picture made" in output
    assert desk.engine.killed == 0
    desk.close()


def test_a_second_ctrl_c_restarts_the_engine_and_the_queue_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path, FakeEngine(pause=PATIENCE))
    desk.enter(f"a cat -s 9 {SIZE}", "!help -f")
    desk.wait(lambda: desk.interrupt.drawing)
    desk.interrupt.press()
    desk.interrupt.press()
    desk.engine.pause = 0
    desk.enter(f"a dog {SIZE}")
    output = desk.wait()
    assert "aborted; restarting the engine" in output
    assert results(output) == ["3"]
    assert desk.engine.killed == 1
    desk.close()


def test_restarting_the_engine_does_not_affect_the_next_line() -> None:
    class Slow(FakeEngine):
        def kill(self) -> None:
            sleep(0.05)
            super().kill()

    engine = Slow()
    interrupt = Interrupt(engine)
    interrupt.begin()
    interrupt.drawing = True
    interrupt.press()
    interrupt.press()
    interrupt.end()
    assert engine.killed == 1


def test_the_time_left_of_a_line_decreases_while_it_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invoke.outputs.speeds.Speeds.seconds", lambda *of: 10.0)
    plan = desk.session.plan(f"a cat -n 2 {SIZE}")
    line, speeds = QueuedLine("a cat -n 2", lambda: None, plan=plan), Speeds()
    assert line.seconds(speeds) == 20
    line.state, line.begun = "running", signals.running_time() - 8
    assert 0 <= (line.seconds(speeds) or 0) <= 12
    line.begun -= 30
    assert line.seconds(speeds) == 0


def test_an_internal_error_does_not_end_the_queue(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.gate.clear()
    desk.engine.outcomes.append(ZeroDivisionError("division by zero"))
    desk.enter(f"a cat {SIZE}", f"a dog {SIZE}")
    desk.gate.set()
    output = desk.wait()
    assert "[1] error: " in output
    assert results(output) == ["2"]


def test_a_thousand_waiting_lines_use_little_memory(desk: Desk) -> None:
    desk.gate.clear()
    desk.enter(*(f"cat {number} {SIZE}" for number in range(1000)))
    assert len(desk.queue.lines) == 1000
    assert desk.enter("!cancel all").endswith("cancelled: 1,000 lines\n")
    desk.gate.set()
    desk.wait()


def test_quitting_cancels_waiting_lines(desk: Desk) -> None:
    desk.gate.clear()
    desk.enter(f"a cat {SIZE}", f"a dog {SIZE}")
    desk.gate.set()
    desk.close()
    assert not desk.worker.is_alive()
