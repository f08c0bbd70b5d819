"""What the members' views tell besides votes: clocks that are off, machines that are copies, marks that two have."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path

from firstboot import chrony, machineid, paths, services
from firstboot.cluster import authority as authorities
from firstboot.cluster import likeness
from firstboot.cluster.clocks import HINT as CLOCK_HINT
from firstboot.cluster.clocks import Clocks, try_following
from firstboot.cluster.events import Identity
from firstboot.cluster.likeness import GLUSTERD, MACHINE_ID, Facts, gives_way
from firstboot.cluster.twins import Twins
from firstboot.context import Context
from firstboot.gluster import processes
from firstboot.network.facts import Link
from firstboot.phases import Wait
from firstboot.state import Journal

log = logging.getLogger(__name__)


class Watch:
    """For one run of the agent, from the phase discover on."""

    def __init__(
        self,
        identity: Identity,
        context: Context,
        journal: Journal,
        links: tuple[Link, ...],
        *,
        asked: Callable[[], Collection[int]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`asked` are the slots that the site forms of; an operator may have left some out."""
        self._slot, self._names = identity.slot, identity.names
        self._site_id = context.claimed_seed.site.id
        self._journal = journal
        self._links = links
        known = {member.node_id: member.address for member in journal.document.members.values()}
        self.twins = Twins(identity, known, own_address=lambda: context.address, monotonic=monotonic)
        self.clocks = Clocks(
            identity.slot,
            identity.names,
            asked,
            follows_server=lambda: try_following(lambda: self._follows_server(context)),
            monotonic=monotonic,
        )

    def facts(self) -> Facts:
        """This machine's marks, for its view."""
        pooled = "pool" in self._journal.document.phases or _has_peers(paths.GLUSTERD)
        return likeness.read_facts(self._site_id, self._links, pooled=pooled)

    def keep_out(self) -> Wait | None:
        """Why this machine must not be the node; a copy gives up what it runs of it."""
        out = self.twins.step()
        if self.twins.is_copy:
            processes.end_all()
        return out

    def admit(self, context: Context) -> Wait | None:
        """Why a node that all others know must not go on; sets right what it can by itself."""
        self._renew(context)
        forming = "enrol" not in self._journal.document.phases
        return self.clocks.step(context.views, forming=forming, report=context.report)

    def enrol(self, context: Context) -> Wait | None:
        """Why nothing may be issued to this node now."""
        if "enrol" in self._journal.document.phases:
            return None
        why = self.clocks.refusal(context.views, self._slot)
        return Wait(why, CLOCK_HINT) if why else None

    def before_pool(self, context: Context) -> Wait | None:
        """Have chrony know the members, and make sure that no two of them are one to glusterd."""
        self._keep_chrony(context)
        if not context.plan.mode.has_gluster:
            return None
        facts = self._all_facts(context)
        for found in likeness.duplicates(facts):
            if found.mark == GLUSTERD:
                if not gives_way(self._slot, found, facts):
                    return Wait(likeness.sentence(found, self._names), likeness.HINTS[GLUSTERD])
                log.warning("%s: this node gets another one", likeness.sentence(found, self._names))
                context.report(f"getting a glusterd UUID of its own: {likeness.sentence(found, self._names)}")
                services.stop(processes.UNIT)
                paths.GLUSTERD_INFO.unlink(missing_ok=True)
        return None

    def problems(self, context: Context) -> list[str]:
        """What is wrong, once the node is up; one line each."""
        same = likeness.duplicates(self._all_facts(context))
        told = [f"identity: {likeness.sentence(found, self._names)}" for found in same]
        return [*self.twins.problems, *told, *self.clocks.problems]

    def _renew(self, context: Context) -> None:
        facts = self._all_facts(context)
        for found in likeness.duplicates(facts):
            if found.mark == MACHINE_ID and gives_way(self._slot, found, facts):
                context.report(f"getting a machine-id of its own: {likeness.sentence(found, self._names)}")
                machineid.renew()

    def _all_facts(self, context: Context) -> dict[int, Facts]:
        told = {slot: view.facts for slot, view in context.views.items() if view.facts is not None}
        return {**told, self._slot: self.facts()}

    def _follows_server(self, context: Context) -> bool:
        addresses = frozenset(member.address for member in context.members.values())
        return chrony.follows_server(chrony.tracking(), addresses)

    def _keep_chrony(self, context: Context) -> None:
        authority = authorities.load(paths.AUTHORITY_ISSUER, paths.TRUSTED)
        addresses = {slot: member.address for slot, member in context.members.items()}
        # A clock that was not compared with the members' is served to nobody.
        if authority is not None and len(addresses) > 1 and paths.CLOCK_AGREED.exists():
            key = chrony.key_of(authority.key, self._site_id)
            if chrony.keep(chrony.files(addresses, self._slot, key)):
                log.info("chrony serves the members, and asks them where it reaches no time server")


def _has_peers(folder: Path) -> bool:
    """Whether glusterd knows of others, and so others of it."""
    try:
        return any((folder / "peers").iterdir())
    except FileNotFoundError:
        return False
