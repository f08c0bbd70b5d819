"""The domains phase: every planned domain through its registrar, with a reason when one can't be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from firstboot.domains import facts, phase
from firstboot.domains.registrar import Domain, State
from firstboot.phases import Done, Wait
from firstboot.plan import DomainPlan, Mode, Plan
from tests.unit.firstboot.gluster.formed import context, plan


class FakeRegistrar:
    """Registers at once; `after` is the state then."""

    def __init__(self, after: State = "active") -> None:
        self.after = after
        self.registered: list[Domain] = []

    def look(self, domain: Domain) -> State:
        return self.after if domain in self.registered else "missing"

    def register(self, domain: Domain, report: Callable[[str], None]) -> None:
        self.registered.append(domain)


def with_domain(mode: Mode = Mode.BOTH) -> Plan:
    return plan().model_copy(update={"mode": mode, "domains": (DomainPlan(name="images", volume="data"),)})


def use(monkeypatch: pytest.MonkeyPatch, registrar: FakeRegistrar) -> FakeRegistrar:
    for room in (facts, phase):
        monkeypatch.setattr(room, "find", lambda name: registrar)
    return registrar


def test_each_domain_is_registered_with_this_node_as_its_first_server(monkeypatch: pytest.MonkeyPatch) -> None:
    registrar = use(monkeypatch, FakeRegistrar())
    assert isinstance(phase.step(context(2, of=with_domain())), Done)
    hosts = tuple(f"node{n}.lab.trivet.internal" for n in (2, 1, 3))
    assert registrar.registered == [Domain("images", "data", Path("/var/lib/trivet/domains/images"), hosts)]


def test_a_domain_that_does_not_come_up_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeRegistrar(after="inactive"))
    outcome = phase.step(context(2, of=with_domain()))
    assert isinstance(outcome, Wait)
    assert outcome.reason.startswith("storage domain images is not usable yet")


@pytest.mark.parametrize("mode", [Mode.GLUSTER, Mode.VIRT])
def test_nodes_of_one_kind_alone_have_none(monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    registrar = use(monkeypatch, FakeRegistrar())
    assert isinstance(phase.step(context(1, of=with_domain(mode))), Done)
    assert registrar.registered == []


@pytest.mark.parametrize(("running", "state"), [(True, "active"), (False, "missing")])
def test_facts(monkeypatch: pytest.MonkeyPatch, running: bool, state: str) -> None:
    registrar = use(monkeypatch, FakeRegistrar())
    monkeypatch.setattr(facts, "is_active", lambda unit: running)
    made = context(1, of=with_domain())
    registrar.registered = [domain for _, domain in facts.planned(made)]
    (status,) = facts.domains(made)
    assert (status.name, status.volume, status.state) == ("images", "data", state)
