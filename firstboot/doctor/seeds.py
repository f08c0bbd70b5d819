"""Is there a seed, is it of this machine, and does it prove its site?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from firstboot import identity, machine, paths, seedmedia
from firstboot.cluster.trust import SEED_HINT, load_certificate, verify_seed
from firstboot.doctor.node import Node
from firstboot.doctor.report import Judgement, failed, passed, warned
from firstboot.errors import RefusedError, TrivetError
from firstboot.seed import LABEL, Seed, decode
from firstboot.seedmedia import Found, describe

SOON = timedelta(days=30)


@dataclass(frozen=True)
class Medium:
    """A device with the seed's label: its seed, or why that can't be read, or neither when it is empty."""

    device: str
    found: Found | None = None
    trouble: TrivetError | None = None


def check(node: Node) -> Iterator[Judgement]:
    """Medium, proof, certificate and plan; nothing is imported."""
    for trouble in node.troubles:
        yield failed(trouble.message, trouble.hint, about="files")
    stored = Found(node.seed, str(paths.SEED)) if node.seed is not None else None
    yield judge_media(stored, read_media())
    if node.seed is None:
        return
    yield judge_proof(node.seed, machine.read())
    for name, text in (("slot", node.seed.slot.certificate), ("site root", node.seed.site.root_certificate)):
        certificate = load_certificate(text)
        window = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        yield judge_window(name, *window, now=datetime.now(UTC))
    yield describe_plan(node.seed)


def read_media() -> tuple[Medium, ...]:
    """Every medium with the label, read without mounting it."""
    return tuple(_read(device) for device in seedmedia.media())


def judge_media(stored: Found | None, media: tuple[Medium, ...]) -> Judgement:
    """The seed that this machine lives by, by the agent's own rules."""
    offers = [medium.found for medium in media if medium.found is not None]
    troubles = [medium.trouble for medium in media if medium.trouble is not None]
    try:
        chosen = identity.select(stored, seedmedia.choose(offers))
    except RefusedError as error:
        return failed(error.message, error.hint)
    if troubles and stored is not None:
        return warned(f"{describe(stored)}; besides: {troubles[0].message}", "remove that medium")
    if troubles:
        return failed(troubles[0].message, troubles[0].hint)
    if chosen is None:
        empty = ", ".join(medium.device for medium in media)
        return failed(
            f"no medium labelled {LABEL} has a seed" + (f"; without one: {empty}" if empty else ""),
            "attach one, made by: trivet site seed SITE SLOT -o FILE",
        )
    if stored is None:
        return warned(
            f"{describe(offers[0])} is there, but not imported yet", "does the agent run? trivet-node status says"
        )
    sources = [offer.source for offer in offers]
    return passed(f"{describe(stored)}; media with it: {', '.join(sources) or 'none, none is needed any more'}")


def judge_proof(seed: Seed, this: machine.Machine) -> Judgement:
    """Whether the seed proves its site and slot, and is for this machine."""
    try:
        verify_seed(seed)
    except TrivetError as error:
        return failed(error.message, error.hint, about="proof")
    reason = machine.misfit(seed.plan.slot(seed.slot.number).match, this)
    if reason is not None:
        hint = "give it the seed of its own slot, or correct the slot's match rule in the profile"
        return failed(reason, hint, about="proof")
    return passed(f"the site's root signed slot {seed.slot.number}; this machine fits it", about="proof")


def judge_window(name: str, begin: datetime, end: datetime, *, now: datetime) -> Judgement:
    """A certificate's validity at this machine's time."""
    about = f"{name} certificate"
    window = f"valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, it is {now:%Y-%m-%d} here"
    if now < begin:
        return failed(window, "this machine's clock is too early: set it, or give it a time server", about=about)
    if now > end:
        return failed(window, f"set the clock if it is wrong, else: {SEED_HINT}", about=about)
    if end - now < SOON:
        return warned(window, SEED_HINT, about=about)
    return passed(window, about=about)


def describe_plan(seed: Seed) -> Judgement:
    """The plan in a line; one that can't be read fails with its seed."""
    plan = seed.plan
    counts = {"slot": len(plan.slots), "volume": len(plan.volumes), "storage domain": len(plan.domains)}
    listed = ", ".join(f"{count} {word}{'s' * (count > 1)}" for word, count in counts.items() if count)
    return passed(f"plan {plan.name}, mode {plan.mode.value}: {listed}", about="plan")


def _read(device: str) -> Medium:
    try:
        raw = seedmedia.read_medium(device)
        return Medium(device, Found(decode(raw, source=device), device) if raw is not None else None)
    except TrivetError as error:
        return Medium(device, trouble=error)
