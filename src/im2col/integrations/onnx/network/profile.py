"""Where a network's time goes: by node, and by operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .program import Program, Watch

RUNS = 5
"""How often a network is run to be profiled, if nobody says."""
_BAR = 30
"""Characters of the longest bar of a chart."""
_MOST = 20
"""Nodes that a table shows."""


class Timed(NamedTuple):
    """A step of a network and its time.

    Parameters
    ----------
    label : str
        The operator and the node.
    operator : str
    folded : tuple of str
        The operators that were folded into it.
    by : str
        Who computes it: ``"plan"``, ``"im2col"``, ``"numpy"``, ``"graph"`` or ``"onnx"``.
    seconds : float
        Of the fastest run.
    """

    label: str
    operator: str
    folded: tuple[str, ...]
    by: str
    seconds: float


class Profile:
    """What `Network.profile` found; ``print`` shows a table and a chart.

    Attributes
    ----------
    steps : list of Timed
        In the order in which they run.
    seconds : float
        Of all of them.
    """

    def __init__(self, steps: list[Timed]) -> None:
        self.steps = steps
        self.seconds = sum(each.seconds for each in steps)

    def by_operator(self) -> dict[str, float]:
        """Return the seconds of each operator, and who computes it, those that take longest first."""
        found: dict[str, float] = {}
        for each in self.steps:
            name = f"{each.operator} ({each.by})"
            found[name] = found.get(name, 0) + each.seconds
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "seconds": self.seconds,
            "by_operator": self.by_operator(),
            "steps": [each._asdict() for each in self.steps],
        }

    def __str__(self) -> str:
        longest = sorted(self.steps, key=lambda each: -each.seconds)
        nodes = [(each.label, each.seconds) for each in longest[:_MOST]]
        if len(longest) > _MOST:
            nodes.append((f"{len(longest) - _MOST} others", sum(each.seconds for each in longest[_MOST:])))
        operators = list(self.by_operator().items())
        whole = f"{self.seconds * 1e3:.3f} ms in {len(self.steps)} steps"
        return "\n".join([*_chart("node", nodes), "", *_chart("operator", operators), "", whole])


def _chart(title: str, rows: list[tuple[str, float]]) -> list[str]:
    """Return a table of times with a bar for each."""
    width = max([len(title), *(len(name) for name, _ in rows)])
    most = max((seconds for _, seconds in rows), default=0) or 1
    lines = [f"{title:<{width}}{'ms':>9}"]
    for name, seconds in rows:
        bar = "█" * round(_BAR * seconds / most)
        lines.append(f"{name:<{width}}{seconds * 1e3:9.3f}  {bar}".rstrip())
    return lines


def profiled(program: Program, inputs: list[Any], runs: int, watch: Watch | None) -> Profile:
    """Run a program some times, and return the fastest time of each step.

    Parameters
    ----------
    program : Program
    inputs : list
    runs : int
        After one that does not count, in which plans are made.
    watch : callable or None
        Told the number of each step, and its seconds, of every run.
    """
    best = [float("inf")] * len(program.tasks)

    def note(number: int, seconds: float) -> None:
        best[number] = min(best[number], seconds)
        if watch is not None:
            watch(number, seconds)

    program.run(inputs, watch)
    for _ in range(runs):
        program.run(inputs, note)
    steps = [
        Timed(task.step.label, task.step.operator, task.step.folded, task.kernel.kind, seconds)
        for task, seconds in zip(program.tasks, best, strict=True)
    ]
    return Profile(steps)
