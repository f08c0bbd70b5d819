"""Formation while somebody forges mDNS: `python -m tests.netns.flood [SECONDS]` prints what came of it, as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.netns import weather
from tests.netns.agents import Agent, is_formed, says, wait_until
from tests.netns.namespaces import Lab, child_of, lab
from tests.unit.firstboot.sites import site

ROOT = Path(__file__).parents[2]
MAX_GROWTH_MIB = 16.0
"""The bound that docs/discovery.md states for what a flood adds to an agent's memory."""
PACKETS_PER_S = 500
"""Two thirds of them announce a forged service each: 20,000 a minute."""


@dataclass(frozen=True)
class Outcome:
    """What was forged, what of it came through the switch, and the agents' peak memory and CPU share meanwhile."""

    forged_per_minute: int
    forged: dict[str, int]
    passed: int
    quiet_rss_mib: tuple[float, ...]
    peak_rss_mib: tuple[float, ...]
    cpu_share: tuple[float, ...]
    cut: tuple[bool, ...]
    """Whether the agent says that there was more than it reads."""
    founders: tuple[int | None, ...]

    @property
    def growth_mib(self) -> float:
        """The most that an agent's memory grew from before the flood to formed: with what forming takes."""
        return round(max(self.peak_rss_mib) - min(self.quiet_rss_mib), 1)


def flood(machines: Lab, seconds: float) -> Outcome:
    """Two nodes meet in peace; for so long they and the forger are there; then the third comes, and they form."""
    _, seeds = site(3)
    agents = [Agent(machines.add_node(f"machine{number}"), seed) for number, seed in enumerate(seeds, 1)]
    forger = machines.add_node("forger")
    weather.rule(machines.switch, "forged", f'iifname "port{forger.number}" {weather.MDNS}', "accept")
    *waiting, last = agents
    for agent in waiting:
        agent.start()
    wait_until(
        "they met", waiting, lambda: all(says(a, "waiting", "slot 3 (node3) has not appeared") for a in waiting)
    )
    quiet = tuple(peak_mib(agent) for agent in waiting)
    before = [cpu_s(agent) for agent in waiting]
    words = (seeds[0].site.id, str(len(seeds)), str(PACKETS_PER_S))
    argv = forger.argv("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.netns.forger", *words)
    log = forger.folder / "forged.jsonl"
    with log.open("wb") as out, subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out) as forging:
        began_s = time.monotonic()
        wait_until("it forges for long enough", waiting, lambda: told(log).get("seconds", 0) >= seconds)
        share = tuple(
            round((cpu_s(agent) - spent_s) / (time.monotonic() - began_s), 3)
            for agent, spent_s in zip(waiting, before, strict=True)
        )
        last.start()
        wait_until("formed", agents, lambda: all(is_formed(agent) for agent in agents))
        peak = tuple(peak_mib(agent) for agent in agents)
        forging.kill()
    forged = told(log)
    lasted_s = forged.pop("seconds")
    services = sum(forged[kind] for kind in ("service", "renamed", "long_lived"))
    return Outcome(
        forged_per_minute=int(services * 60 / lasted_s),
        forged=forged,
        passed=weather.counted(machines.switch, "forged"),
        quiet_rss_mib=quiet,
        peak_rss_mib=peak,
        cpu_share=share,
        cut=tuple("mDNS is flooded" in agent.text for agent in agents),
        founders=tuple(agent.journal.founder_slot for agent in agents),
    )


def told(log: Path) -> dict[str, int]:
    """What the forger said last."""
    lines = log.read_text().splitlines()
    return dict(json.loads(lines[-1])) if lines else {}


def peak_mib(agent: Agent) -> float:
    """The most memory that the agent has had (VmHWM)."""
    text = Path(f"/proc/{_pid(agent)}/status").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("VmHWM")]
    return round(int(line.split()[1]) / 1024, 1)


def cpu_s(agent: Agent) -> float:
    """The CPU seconds of the agent so far."""
    fields = Path(f"/proc/{_pid(agent)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pid(agent: Agent) -> int:
    assert agent.process is not None
    return child_of(agent.process.pid)


def main() -> int:
    with lab() as machines:
        outcome = flood(machines, float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
    bounded = outcome.growth_mib < MAX_GROWTH_MIB and outcome.forged_per_minute >= 10_000
    print(json.dumps({**asdict(outcome), "growth_mib": outcome.growth_mib, "bounded": bounded}), flush=True)
    return 0 if bounded else 1


if __name__ == "__main__":
    sys.exit(main())
