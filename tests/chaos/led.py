"""Scenarios of `./dev chaos` that break leadership: played on one company, take-over times told at the end."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.company import Pace, company
from tests.chaos.installation import Installation
from tests.chaos.leader_faults import HITS, frozen_before_its_effect, play_hit
from tests.chaos.round import Report


@dataclass(frozen=True, slots=True)
class Led:
    """One thing that happens to a leader, again and again."""

    name: str
    pace: Pace
    has_redis: bool = True
    needs: str = ""

    @property
    def title(self) -> str:
        """In plain words."""
        where = "in Redis" if self.has_redis else "in PostgreSQL"
        return f"{HITS[self.name].title}; lease of {self.pace.ttl_s:g} s {where}"

    def play(self, folder: Path, seeds: Sequence[int], keep: Callable[[Report, Installation | None], None]) -> None:
        """Play a round per seed; print how long it took until somebody led again."""
        times_s = []
        with company(folder, self.pace, has_redis=self.has_redis) as here:
            for seed in seeds:
                played = play_hit(here, HITS[self.name])
                report = Report(self.title, seed, acknowledged=played.effects, findings=played.findings)
                if played.took_s is not None:
                    report.ready_s = played.took_s
                    report.title += f"; led again after {played.took_s:.2f} s"
                    times_s.append(played.took_s)
                else:
                    report.ready_s = 0.0
                keep(report, None)
        if times_s:
            least, middle, most = min(times_s), statistics.median(times_s), max(times_s)
            print(f"led again after {least:.2f} / {middle:.2f} / {most:.2f} s (min/median/max of {len(times_s)})")


@dataclass(frozen=True, slots=True)
class Unfenced:
    """The control: without the fence, the same judge finds effects that were done twice."""

    pace: Pace
    needs: str = ""
    title = "control: a leader without a fence"

    def play(self, folder: Path, seeds: Sequence[int], keep: Callable[[Report, Installation | None], None]) -> None:
        """Play it once: what it proves does not depend on the phase."""
        with company(folder, self.pace, is_fenced=False) as here:
            here.wait_for_work()
            frozen_before_its_effect(here)
            here.wait_for_work()
            found = "".join(here.findings())
            missed = [f"not found: {word}" for word in ("done twice", "although term") if word not in found]
            report = Report(self.title, seeds[0], acknowledged=here.written(), findings=missed)
            report.ready_s = 0.0
            keep(report, None)
