"""Carries the rotation's steps out on this node: makes, fetches and takes up the next cluster authority."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from firstboot import paths
from firstboot.cluster import authority as authorities
from firstboot.cluster import enrolment, rotation
from firstboot.cluster.authority import Authority, fingerprint
from firstboot.cluster.changes import Change, Refusal
from firstboot.cluster.council import Council
from firstboot.cluster.members import Members
from firstboot.cluster.rotation import Activate, Certify, Discard, Fetch, Held, Make, Own, Propose, Step, Trim
from firstboot.cluster.session import UnreachableError
from firstboot.cluster.views import View
from firstboot.context import Context
from firstboot.files import sync_folder, write_atomic

log = logging.getLogger(__name__)

MOST_STEPS = 6
"""In one go; each leads to the next one, and none comes twice."""


def follow(context: Context, council: Council, members: Members, views: Mapping[int, View]) -> str:
    """Do what can be done now; why what is due can't be, empty when nothing is in the way.

    `views`: of the other members that answer, by slot.
    """
    others = {slot: Held(view.authority, view.certified) for slot, view in views.items() if view.authority}
    for _ in range(MOST_STEPS):
        authority = authorities.load(paths.AUTHORITY_ISSUER, paths.TRUSTED)
        if authority is None or context.node_id not in members.nodes:
            return ""
        own, candidate = _own(authority)
        context.authority, context.certified = own.held.authority, own.held.certified
        step = rotation.step(members, context.node_id, own, others)
        if isinstance(step, Propose):
            return _propose(step.change, council, members)
        if step is None or not _take(step, context, authority, candidate, members):
            return ""
    return ""


def _propose(change: Change, council: Council, members: Members) -> str:
    """Have the members make a change; why they would not, or did not so far."""
    outcome = change.apply(members)
    if isinstance(outcome, Refusal):
        return f"this node finds a change due that is refused: {outcome.reason}"
    council.propose(change)
    return council.trouble


def _take(step: Step, context: Context, authority: Authority, candidate: Authority | None, members: Members) -> bool:
    """Do a step of this node's own; whether another one may follow at once."""
    match step:
        case Make():
            made = authorities.create(context.claimed_seed.site.name)
            write_atomic(paths.AUTHORITY_NEXT, made.issuer_pem, mode=0o600)
            log.info("made the next cluster authority, %s", made.fingerprint)
        case Activate():
            assert candidate is not None, "the step is about the candidate"
            _hold(candidate, authority, members)
            _forget_candidate()
        case Discard():
            _forget_candidate()
            log.info("what this node made to be the next cluster authority is not used, or in use already: removed")
        case Fetch():
            return _fetch(step, context, authority, members)
        case Certify():
            enrolment.issue(context, authority, "the cluster authority is a new one")
        case Trim():
            kept = tuple(known for known in authority.trusted if fingerprint(known) in members.authorities)
            trimmed = Authority(authority.certificate, authority.key, kept)
            authorities.save(trimmed, paths.AUTHORITY_ISSUER, paths.TRUSTED)
            log.info("the cluster authorities before %s are trusted no more", authority.fingerprint)
    return True


def _own(authority: Authority) -> tuple[Own, Authority | None]:
    """What this node has, with the candidate that it made."""
    candidate = None
    if paths.AUTHORITY_NEXT.exists():
        issuer = paths.AUTHORITY_NEXT.read_text(encoding="ascii")
        candidate = authorities.read(issuer, [issuer])
    certificate = enrolment.load_certificate_of_node()
    signer = authorities.signer(certificate, authority.trusted) if certificate is not None else None
    own = Own(
        Held(authority.fingerprint, fingerprint(signer) if signer is not None else None),
        frozenset(map(fingerprint, authority.trusted)),
        candidate.fingerprint if candidate is not None else None,
    )
    return own, candidate


def _forget_candidate() -> None:
    """For good: a power cut must not bring back an authority whose key a node may have that was removed since."""
    paths.AUTHORITY_NEXT.unlink(missing_ok=True)
    sync_folder(paths.AUTHORITY_NEXT.parent)


def _fetch(step: Fetch, context: Context, authority: Authority, members: Members) -> bool:
    for slot in step.slots:
        member = context.members.get(slot)
        try:
            given = enrolment.fetch(context, member) if member is not None else None
        except UnreachableError as error:
            log.info("the newest cluster authority: %s", error.message)
            continue
        if given is not None and given.fingerprint == members.authorities[0]:
            _hold(given, authority, members)
            return True
    return False


def _hold(newest: Authority, before: Authority, members: Members) -> None:
    """Hold the newest authority, and trust with it those before that the document still has."""
    known = dict.fromkeys((newest.certificate, *newest.trusted, *before.trusted))
    trusted = tuple(known for known in known if fingerprint(known) in members.authorities)
    held = Authority(newest.certificate, newest.key, trusted)
    authorities.save(held, paths.AUTHORITY_ISSUER, paths.TRUSTED)
    log.info("this node holds the cluster authority %s now", held.fingerprint)
