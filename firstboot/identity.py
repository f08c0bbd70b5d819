"""The phase identity: whose seed this machine holds, proved and imported; its key, name and access."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from firstboot import access, clock, machine, paths, seedmedia
from firstboot.cluster import certificates
from firstboot.cluster.trust import verify_seed
from firstboot.context import Context
from firstboot.errors import RefusedError, TrivetError
from firstboot.files import write_atomic
from firstboot.nodekey import NodeKey, load_claim
from firstboot.phases import Done, Outcome, Wait
from firstboot.seed import LABEL, Seed, encode, without_key
from firstboot.seedmedia import Found, describe
from firstboot.state import Journal

WAIT_S = 5.0


class Identity:
    """The phase's step for one run of the agent; `given` is a seed file named on the command line."""

    def __init__(self, journal: Journal, given: Path | None) -> None:
        self._journal = journal
        self._given = given
        self._trouble = ""

    def problems(self) -> list[str]:
        """What is wrong with a medium that this node, which has its seed already, can do without."""
        return [self._trouble] if self._trouble else []

    def step(self, context: Context) -> Outcome:
        """Find the seed, prove it, import it once; make this machine the slot's."""
        if context.seed is None:
            clock.raise_to_floor()
            seed = self._obtain(context.report)
            if seed is None:
                return Wait(
                    "waiting for a seed: no medium labelled " + LABEL + " has one",
                    "attach one, made by: trivet site seed SITE SLOT -o FILE; no Gluster port is open until then",
                    WAIT_S,
                )
            self._become(context, seed)
        access.settle(context.plan.access, context.slot.name)
        return Done(f"{context.slot.name}, node {context.node_id}")

    def _obtain(self, report: Callable[[str], None]) -> Seed | None:
        paths.STATE.mkdir(parents=True, exist_ok=True, mode=0o755)
        stored = seedmedia.read_file(paths.SEED) if paths.SEED.exists() else None
        offered = self._offer(stored)
        seed = select(stored, offered)
        if seed is None:
            return None
        if not seed.slot.key and offered is not None:
            seed = offered.seed  # the same seed, with its key
        verify_seed(seed)
        reason = machine.misfit(seed.plan.slot(seed.slot.number).match, machine.read())
        if reason is not None:
            raise RefusedError(
                f"this machine may not fill slot {seed.slot.number}: {reason}",
                hint="give it the seed of its own slot, or correct the slot's match rule in the profile",
            )
        if stored is None:
            report(f"importing the seed of slot {seed.slot.number} of site {seed.site.name}")
        return seed

    def _become(self, context: Context, seed: Seed) -> None:
        """Tie this machine's own key to the slot, and keep of the seed what is not secret any more."""
        key = NodeKey.load_or_make(paths.NODE_KEY)
        self._journal.belong(site_id=seed.site.id, node_id=key.node_id)
        claim = load_claim(paths.CLAIM, seed, key.node_id)
        if claim is None:
            if not seed.slot.key:
                raise TrivetError(
                    f"{paths.CLAIM}, by which slot {seed.slot.number} vouches for this node, is gone or damaged",
                    hint="attach the seed's medium again, and it is made anew; otherwise wipe the state partition",
                )
            claim = key.claim(seed)
            write_atomic(paths.CLAIM, certificates.pem(claim))
        kept = encode(without_key(seed))
        if not paths.SEED.exists() or paths.SEED.read_bytes() != kept:
            write_atomic(paths.SEED, kept, mode=0o600)
        context.node_id = key.node_id
        context.claimant = key.credentials(seed, claim)
        context.seed = without_key(seed)

    def _offer(self, stored: Found | None) -> Found | None:
        try:
            return seedmedia.read_file(self._given) if self._given is not None else seedmedia.find()
        except TrivetError as error:
            if stored is None:
                raise
            self._trouble = f"identity: {error.message}"
            return None


def select(stored: Found | None, offered: Found | None) -> Seed | None:
    """The seed to live by: the stored one, unless a medium contradicts it. Pure; raises RefusedError."""
    if stored is None:
        return offered.seed if offered is not None else None
    if offered is None or offered.seed.slot.seed_id == stored.seed.slot.seed_id:
        return stored.seed
    if offered.seed.site.id != stored.seed.site.id:
        contradiction = "a seed of another site"
    elif offered.seed.slot.number != stored.seed.slot.number:
        contradiction = "a seed of another slot"
    else:
        contradiction = "a newer or older seed of the same slot"
    raise RefusedError(
        f"{contradiction}: this machine is {describe(stored)}, the medium offers {describe(offered)}",
        hint="remove the medium; to give the machine away, wipe its state partition first",
    )
