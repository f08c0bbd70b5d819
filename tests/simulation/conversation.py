"""One visit of the simulated exchange, message by message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from firstboot.cluster.changes import ClaimSlot
from firstboot.cluster.events import Held, Target, Verdict, Visit, Visited, VisitFailed
from firstboot.cluster.votes import lacks_claim
from tests.simulation.machines import Machine

if TYPE_CHECKING:
    from tests.simulation.world import World

TIMEOUT_S = 3.0


class Conversation:
    """One visit, message by message: the view, a claim if ours is missing, the view again."""

    __slots__ = ("closed", "guest", "guest_life", "host", "node_id", "target", "world")

    def __init__(self, world: World, guest: Machine, host: Machine | None, target: Target) -> None:
        self.world = world
        self.guest = guest
        self.guest_life = guest.life
        self.host = host
        self.target = target
        self.node_id = guest.disk.node_id
        self.closed = False

    def begin(self) -> None:
        self._ask(self._show, True)

    def _ask(self, call: Callable[..., None], *arguments: object) -> None:
        if self.host is None or not self.world.send(self.guest, self.host, call, *arguments):
            self._fail(TIMEOUT_S)

    def _show(self, first: bool) -> None:
        host = self.host
        assert host is not None
        if self.closed:
            return
        if host.core is None:
            self._fail(0.001)
            return
        host.callers[self.guest.slot] = self.guest.endpoint
        if not self.world.send(host, self.guest, self._seen, first, host.view()):
            self._fail(TIMEOUT_S)

    def _seen(self, first: bool, view: object) -> None:
        host, guest = self.host, self.guest
        assert host is not None
        if self.closed or guest.life != self.guest_life:
            return
        if first and lacks_claim(view, host.slot, guest.slot, self.node_id):  # type: ignore[arg-type]
            slot = guest.slot
            if self.world.network.lies and self.world.chance.random() < 0.02:
                slot = self.world.chance.randrange(1, len(self.world.names) + 1)  # a claim that is not its own
            self._ask(self._claim, view, slot)
            return
        self._end(view)

    def _claim(self, view: object, slot: int) -> None:
        host = self.host
        assert host is not None
        if self.closed:
            return
        if host.core is None:
            self._fail(0.001)
            return
        self.world.claim(host, self.guest, slot, self._told, self.node_id, view)
        if not self.closed and host.asked is not None:
            self.world.after(TIMEOUT_S, self._fail, 0.001)  # should the host lose power over the write
        elif host.core is None:
            self._fail(TIMEOUT_S)

    def _told(self, verdict: Verdict, view: object) -> None:
        assert self.host is not None
        if not self.world.send(self.host, self.guest, self._heard, verdict, view):
            self._fail(TIMEOUT_S)

    def _heard(self, verdict: Verdict, view: object) -> None:
        if self.closed or self.guest.life != self.guest_life:
            return
        if isinstance(verdict, Held):
            self._end(view, verdict.incumbent, verdict.why)
        elif type(verdict).__name__ == "Granted":
            self._ask(self._show, False)
        else:
            self._fail(0.001)

    def _end(self, view: object, incumbent: str | None = None, why: str = "") -> None:
        self.closed = True
        world, guest, host = self.world, self.guest, self.host
        assert host is not None
        visit = Visit(self.target.endpoint, host.slot, view, incumbent, why)  # type: ignore[arg-type]
        event = Visited(visit, self.target.slot, world._clock(guest))
        world.done(guest, self.guest_life, event)
        members = view.members  # type: ignore[attr-defined]
        if world.registers is not None and members is not None and self.node_id not in members.nodes:
            claim = ClaimSlot(guest.slot, guest.seed_id, self.node_id)
            world.send(guest, host, world.registers.seek, host, claim)
        if world.network.twice and world.chance.random() < world.network.twice:
            world.after(world.chance.uniform(0, 6), world.again, guest, self.guest_life, event)

    def _fail(self, delay_s: float) -> None:
        if self.closed:
            return
        self.closed = True
        self.world.after(delay_s, self._failed)

    def _failed(self) -> None:
        guest, slot = self.guest, self.target.slot
        address, now_s = self.target.endpoint.address, self.world._clock(guest)
        event = VisitFailed(slot or guest.slot, "no answer in time", address, now_s)
        self.world.done(guest, self.guest_life, event)
