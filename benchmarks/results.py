"""Results as saved files: JSON for programs, and the same as a table for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.alternating import Cost, Spread, ratios, spread

FOLDER = Path(__file__).parent / "results"
NOTHING = "Nothing is kept yet: `make bench` does."
Fact = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison, or, without a `peer`, one measurement."""

    what: str
    """A description of the work."""
    ours: str = "invoke"
    peer: str = ""
    ours_costs: Sequence[Cost] = ()
    peer_costs: Sequence[Cost] = ()
    pictures: int = 1
    """Made in one turn."""
    goal: float | None = None
    """The goal for the ratio."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """Other results: shares, counts, whether pixels are equal."""

    @property
    def ratio(self) -> Spread | None:
        """How many times longer the peer takes; undefined if ours takes no time."""
        is_said = self.peer_costs and all(cost.wall for cost in self.ours_costs)
        return ratios(self.ours_costs, self.peer_costs) if is_said else None

    def as_json(self) -> dict[str, Any]:
        """All of it, with what follows from it."""
        ratio = {"ratio": asdict(self.ratio)} if self.ratio else {}
        return {**asdict(self), "facts": dict(self.facts), **ratio}

    def cells(self) -> tuple[str, ...]:
        """Its line in the table."""
        return (
            self.what,
            _seconds(self.ours_costs, self.pictures),
            self.peer,
            _seconds(self.peer_costs, self.pictures),
            _ratio(self.ratio, self.goal) if self.ratio else "",
            ", ".join(f"{name} {_fact(value)}" for name, value in self.facts.items()),
        )


@dataclass(frozen=True, slots=True)
class Results:
    """A run of the benchmarks."""

    kind: str
    """`cpu`, `quick` or `gpu`."""
    machine: Mapping[str, Any]
    """See `machine.describe`."""
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Skipped scenario → reason."""

    def write(self, folder: Path) -> Path:
        """Save to `folder`, under date and kind, as JSON and as a table; a later run of the day replaces it."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.machine['when'][:10]}-{self.kind}.json"
        content = {
            "kind": self.kind,
            "machine": dict(self.machine),
            "rows": [row.as_json() for row in self.rows],
            "skipped": self.skipped,
        }
        file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        file.with_suffix(".md").write_text(self.page(), encoding="utf-8")
        return file

    def page(self) -> str:
        """For people: the machine, the table, what was left out."""
        left_out = [f"- not measured: {what} ({why})" for what, why in self.skipped.items()]
        return "\n".join(
            [f"{machine_line(self.machine)}\n", *table(self.rows), *([""] if left_out else []), *left_out, ""]
        )


def read(file: Path) -> Results:
    """Read a result saved by `write`."""
    content = json.loads(file.read_text(encoding="utf-8"))
    rows = []
    for kept in content["rows"]:
        kept.pop("ratio", None)
        for name in ("ours_costs", "peer_costs"):
            kept[name] = tuple(Cost(**cost) for cost in kept[name])
        rows.append(Row(**kept))
    return Results(content["kind"], content["machine"], rows, content["skipped"])


def latest(kind: str, folder: Path = FOLDER) -> Results | None:
    """The latest saved result of this `kind`."""
    files = sorted(folder.glob(f"*-{kind}.json"))
    return read(files[-1]) if files else None


def tables(folder: Path = FOLDER) -> str:
    """The latest results of each kind, complete, for docs/performance.md."""
    found = _newest(folder)
    return "\n".join(results.page() for results in found) or NOTHING


def goals(folder: Path = FOLDER) -> str:
    """The rows of these with a goal, and how far it is reached, for the README."""
    lines = []
    for results in _newest(folder):
        head = ("what", "with", "against", "times faster (least … most)")
        rows = [row for row in results.rows if row.goal and row.ratio]
        cells = [(row.what, row.ours, row.peer, _ratio(row.ratio, row.goal)) for row in rows if row.ratio]
        lines += [f"{machine_line(results.machine)}\n", _line(head), _line(["---"] * len(head)), *map(_line, cells), ""]
    return "\n".join(lines) or NOTHING


def _newest(folder: Path) -> list[Results]:
    """Of the processor, the newer of the whole run and the quick one (of one day the whole one), and of the GPU."""
    runs = [results for kind in ("cpu", "quick") if (results := latest(kind, folder))]
    of_processor = max(runs, key=lambda results: results.machine["when"][:10], default=None)
    return [results for results in (of_processor, latest("gpu", folder)) if results]


def machine_line(machine: Mapping[str, Any]) -> str:
    """One line: when, on what, with what."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    names = ("when", "commit", "device", "processor", "bfloat16", "cores", "memory", "threads")
    return " · ".join([*(str(machine[name]) for name in names if machine.get(name)), versions])


def table(rows: Iterable[Row]) -> list[str]:
    """The lines of a Markdown table. Seconds are medians for one picture."""
    head = ("what", "invoke, s", "against", "it, s", "times faster (least … most)", "besides")
    return [_line(head), _line(["---"] * len(head)), *(_line(row.cells()) for row in rows)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _seconds(costs: Sequence[Cost], pictures: int) -> str:
    return f"{spread([cost.wall for cost in costs]).median / pictures:.3g}" if costs else ""


def _ratio(ratio: Spread, goal: float | None) -> str:
    aim = f", goal {goal:g}" if goal else ""
    return f"**{ratio.median:.2f}** ({ratio.least:.2f} … {ratio.most:.2f}{aim})"


def _fact(value: Fact) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
