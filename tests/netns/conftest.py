"""One three-node cluster for the whole level, formed once; and labs of single machines for refusals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import tests.netns.backend  # noqa: F401  # makes netns:// known to testinfra
from builder.site.folder import Site
from tests.netns.agents import Agent, is_formed, wait_until
from tests.netns.namespaces import Lab, lab
from tests.netns.sites import make_site, with_disks


def pytest_configure() -> None:
    """Let SIGTERM end the tests as Ctrl-C does, so that every lab is taken down."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@dataclass
class Cluster:
    """Three nodes, their agents, their site. `killed_at`: the founder's finished phases when it was killed."""

    lab: Lab
    site: Site
    agents: list[Agent]
    killed_at: frozenset[str]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """From nothing to formed, with the founder's agent killed on the way."""
    with lab() as place:
        site = make_site(tmp_path_factory.mktemp("site"), slots=3)
        agents = with_disks(place, site, 3)
        for agent in agents:
            agent.start()
        founder = agents[0]
        wait_until("the founder is decided", agents, lambda: "found" in founder.journal.phases)
        founder.kill()
        killed_at = frozenset(founder.journal.phases)
        founder.start()
        wait_until("the cluster is formed", agents, lambda: all(is_formed(agent) for agent in agents))
        yield Cluster(place, site, agents, killed_at)


@pytest.fixture
def machines() -> Iterator[Lab]:
    """A lab without machines yet."""
    with lab() as place:
        yield place


@pytest.fixture
def one_slot(tmp_path: Path) -> Site:
    """A site of one slot."""
    return make_site(tmp_path, slots=1)
