"""Who is given what, and what is made of each message, one at a time on a clock of the test's."""

from collections.abc import Sequence
from typing import Any

import pytest

from invoke.errors import EngineError
from invoke.events import Loading
from invoke.outputs.encoded import EncodedFile
from invoke.workers import scheduler as rules
from invoke.workers.messages import Died, Ended, Gone, Happened, Hello, Lost, Message, Up
from invoke.workers.scheduler import LaneNews, News, Outcome, Picture, Retried, Scheduler
from invoke.workers.task import EncodedPicture, Task
from tests.making import a_request
from tests.outputs.makings import OUTPUT

MADE = EncodedPicture((EncodedFile("image", b""),))


class Script:
    """Lanes that say what they are told to; `given` is what each was given last."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.messages: list[tuple[int, Message]] = []
        self.given: dict[int, tuple[int, list[int]]] = {}
        self.killed: list[int] = []

    def __len__(self) -> int:
        return self.count

    def give(self, lane: int, call: int, tasks: Sequence[Task]) -> None:
        self.given[lane] = call, [task.request.seed for task in tasks]

    def wait(self, timeout: float) -> tuple[int, Message] | None:
        return self.messages.pop(0) if self.messages else None

    def kill(self, lane: int) -> None:
        self.killed.append(lane)

    def close(self) -> None: ...


class Play:
    """A scheduler on scripted lanes; pictures are told by their seeds."""

    def __init__(self, lanes: int = 1, *, up: bool = True) -> None:
        self.lanes, self.now = Script(lanes), 0.0
        self.scheduler = Scheduler(self.lanes, clock=lambda: self.now)
        for lane in range(lanes if up else 0):
            self.say(lane, Up(hello(lane)))

    def add(self, line: int, *seeds: int, **changes: Any) -> None:
        """One unit of `line`: a picture, or consecutive parts of a chain."""
        pictures = [
            Picture(line, index, Task(a_request(seed=seed, **changes), OUTPUT.previews, OUTPUT, 1))
            for index, seed in enumerate(seeds)
        ]
        self.scheduler.add(pictures)

    def say(self, lane: int, message: Message) -> list[News]:
        self.lanes.messages.append((lane, message))
        return self.pump()

    def pump(self) -> list[News]:
        return [*self.scheduler.pump(0.0)]

    def given(self, lane: int = 0) -> list[int]:
        """The seeds that `lane` is at work on."""
        return self.lanes.given[lane][1]

    def made(self, lane: int = 0, index: int = 0, *, after: float = 1.0) -> list[News]:
        self.now += after
        return self.say(lane, Happened(self.lanes.given[lane][0], index, MADE))

    def ended(self, lane: int = 0) -> list[News]:
        return self.say(lane, Ended(self.lanes.given[lane][0]))

    def died(self, lane: int = 0) -> list[News]:
        return self.say(lane, Died(self.lanes.given[lane][0], "killed by SIGSEGV"))


def hello(lane: int, torch: str = "2") -> Hello:
    return Hello(f"host{lane}", lane, "cpu", "float32", 1, {"torch": torch})


def test_lanes_are_given_pictures_in_their_order() -> None:
    play = Play(2)
    for seed in range(4):
        play.add(seed, seed)
    play.pump()
    assert (play.given(0), play.given(1)) == ([0], [1])
    (news,) = play.made(1)
    assert (news.picture.line, news.lane, news.event) == (1, 1, MADE)  # type: ignore[union-attr]
    assert play.given(1) == [1], "its call is still to end"
    play.ended(1)
    assert play.given(1) == [2]


def test_what_a_call_says_that_is_over_is_not_heard() -> None:
    play = Play()
    play.add(1, 1)
    play.pump()
    old = play.lanes.given[0][0]
    play.made()
    play.ended()
    play.add(2, 2)
    play.pump()
    assert play.say(0, Happened(old, 0, MADE)) == []
    assert play.say(0, Died(old, "late")) == []
    assert play.given() == [2]
    assert [type(news) for news in play.made()] == [Outcome]
    assert play.say(0, Happened(play.lanes.given[0][0], 0, MADE)) == [], "nor what is made a second time"


def test_after_a_death_the_first_that_is_not_made_is_blamed_and_comes_last() -> None:
    """The others come next, in their order, each by itself."""
    play = Play()
    play.add(1, 10, 11, 12, 13)
    play.add(2, 20)
    play.pump()
    play.made(index=0)
    assert [(type(news), news.picture.task.request.seed) for news in play.died()] == [(Retried, 11)]  # type: ignore[union-attr]
    order = []
    for _ in range(4):
        order.append(play.given())
        play.made()
        play.ended()
    assert order == [[12], [13], [20], [11]]
    assert play.scheduler.retried == 1
    assert not play.scheduler.is_busy


def test_a_line_is_given_up_at_its_third_death_and_its_number_begins_again() -> None:
    play = Play()
    for _ in range(2):
        play.add(7, 70)
        play.pump()
        for _ in range(2):
            assert [type(news) for news in play.died()] == [Retried]
        (news,) = play.died()
        assert isinstance(news, Outcome)
        assert isinstance(news.event, EngineError)
        assert (news.event.code, news.event.message) == ("worker_died", "its worker died 3 times (killed by SIGSEGV)")
        assert not play.scheduler.is_busy
        play.scheduler.forget(7)


def test_pictures_of_a_line_that_has_killed_are_tried_one_after_the_other() -> None:
    play = Play(2)
    for seed in (1, 2, 3):
        play.add(5, seed)
    play.pump()
    play.died(0)
    assert (play.given(0), play.given(1)) == ([1], [2]), "another picture of the line is in work"
    play.add(6, 60)
    play.pump()
    assert play.given(0) == [60], "other lines go on"
    play.made(1)
    play.ended(1)
    assert play.given(1) == [3]


def test_a_call_that_ends_too_early_is_a_death() -> None:
    play = Play()
    play.add(1, 1)
    play.pump()
    (news,) = play.ended()
    assert isinstance(news, Retried)
    assert news.why == "it ended without a result"


def test_who_is_silent_too_long_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    play = Play()
    play.add(1, 1)
    play.pump()
    play.now += rules.SILENCE
    assert play.pump() == []
    play.now += 0.5
    lost, retried = play.pump()
    assert isinstance(lost, LaneNews)
    assert (lost.state, lost.reason) == ("lost", "no sign of life for 60 s")
    assert isinstance(retried, Retried)
    assert play.lanes.killed == [0]
    play.now += 9999
    assert play.pump() == [], "who is not at work may be silent"


def test_slow_pictures_and_loading_may_take_longer() -> None:
    play = Play()
    for seed in range(3):
        play.add(seed, seed)
        play.pump()
        play.made(after=10.0)
        play.ended()
    play.add(9, 9)
    play.pump()
    play.now += rules.SLOWER * 10.0
    assert play.pump() == []
    play.say(0, Happened(play.lanes.given[0][0], 0, Loading("pocket")))
    play.now += rules.LOADING
    assert play.pump() == []
    play.now += 1.0
    assert [type(news) for news in play.pump()] == [LaneNews, Retried]


def test_each_picture_of_a_call_takes_its_own_time() -> None:
    """The usual time is the median over pictures, not from the beginning of the call."""
    play = Play()
    play.add(1, 1, 2, 3)
    play.pump()
    for index in range(3):
        play.made(index=index, after=10.0)
    assert [*play.scheduler._seconds] == [10.0] * 3


def test_quick_pictures_of_one_size_and_model_go_together() -> None:
    play = Play()
    for seed in range(20):
        play.add(seed, seed)
    play.add(20, 20, width=512)
    play.pump()
    assert play.given() == [0], "nothing is known of its time yet"
    play.made(after=0.02)
    play.ended()
    assert play.given() == [1, 2, 3, 4, 5]
    for index in range(5):
        play.made(index=index, after=0.02)
    play.ended()
    assert play.given() == [6, 7, 8, 9, 10]


def test_pictures_are_shared_out_before_they_go_together() -> None:
    play = Play(2)
    for seed in range(5):
        play.add(seed, seed, batch_size=4)
    play.pump()
    assert (play.given(0), play.given(1)) == ([0, 1, 2], [3]), "the last is for who is free first"


def test_a_lane_that_went_away_and_came_back_works_on() -> None:
    play = Play()
    play.add(1, 1)
    play.pump()
    lost, retried = play.say(0, Lost("its node is gone"))
    assert isinstance(lost, LaneNews)
    assert isinstance(retried, Retried)
    assert play.scheduler.up == 0
    call = play.lanes.given[0][0]
    play.say(0, Up(hello(0)))
    assert play.lanes.given[0] == (call + 1, [1])


@pytest.mark.parametrize(("other", "state"), [("2+cpu", "up"), ("3", "gone")])
def test_a_lane_with_another_torch_is_sent_away(other: str, state: str) -> None:
    """The tag of a build is no difference."""
    play = Play(2, up=False)
    play.say(0, Up(hello(0, "2")))
    (news,) = play.say(1, Up(hello(1, other)))
    assert isinstance(news, LaneNews)
    assert news.state == state
    assert play.lanes.killed == ([1] if state == "gone" else [])
    assert play.say(1, Up(hello(1))) == ([] if state == "gone" else [LaneNews(1, "up", hello(1))])


def test_without_lanes_it_says_why() -> None:
    play = Play(2, up=False)
    play.say(0, Gone("a: no model"))
    with pytest.raises(EngineError, match="no workers are left: a: no model; b") as caught:
        play.say(1, Gone("b"))
    assert caught.value.code == rules.NO_WORKERS
    late = Play(2, up=False)
    late.now = rules.FIRST
    late.pump()
    late.now += 1
    with pytest.raises(EngineError, match="none started within 600 s"):
        late.pump()


def test_what_is_dropped_is_what_waits_of_a_line() -> None:
    play = Play()
    for line, seed in ((1, 1), (1, 2), (2, 3), (1, 4)):
        play.add(line, seed)
    play.pump()
    assert [picture.task.request.seed for picture in play.scheduler.drop(1)] == [2, 4]
    play.made()
    play.ended()
    assert play.given() == [3]
    assert play.scheduler.drop(1) == []


@pytest.mark.parametrize(("batch_size", "wanted"), [(1, 2), (4, 16)])
def test_so_many_units_keep_two_lanes_busy(batch_size: int, wanted: int) -> None:
    play = Play(3)
    play.say(2, Gone("away"))
    for seed in range(3):
        play.add(seed, seed, batch_size=batch_size)
    assert play.scheduler.wanted == max(0, wanted - 3)
    play.scheduler.drop(2)
    assert play.scheduler.wanted == max(0, wanted - 2)
