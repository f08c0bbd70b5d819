"""How a member answers questions about the next epoch: a pure function of what it has on disk."""

from __future__ import annotations

from dataclasses import replace

from firstboot.cluster.bids import (
    Accept,
    Accepted,
    Busy,
    Consent,
    Learn,
    Learnt,
    Newer,
    Prepare,
    Promise,
    Question,
    Reaction,
    RegisterState,
    Rejected,
)
from firstboot.cluster.members import Members, follows

NO_CLUSTER = "this machine knows of no cluster yet"


def answer(state: RegisterState, sender: str, question: Question) -> tuple[RegisterState, Reaction]:
    """The state to be on disk before the answer is given, and the answer. `sender` is who asks, as TLS proved.

    A machine that knows of no cluster takes nothing from whoever asks: it looks for itself, at more than one.
    """
    if state.members is None:
        return state, Rejected(NO_CLUSTER)
    if isinstance(question, Learn):
        after = learn(state, question.members)
        assert after.members is not None
        return after, Learnt(after.members.epoch)
    if sender != question.bid.by or sender not in question.base.nodes:
        return state, Rejected("only a member can ask, and only in its own name")
    known = state.members
    if known is not None and known.cluster_id != question.base.cluster_id:
        return state, Rejected(f"this node is of cluster {known.cluster_id}")
    if known is not None and known.epoch > question.base.epoch:
        return state, Newer(known)
    state = learn(state, question.base)
    if state.members != question.base:
        return state, Rejected(f"this node knows another epoch {question.base.epoch}")
    if question.bid < state.promised:
        return state, Busy(state.promised)
    if isinstance(question, Prepare):
        return replace(state, promised=question.bid), Promise(question.bid, state.accepted)
    return _accept(state, question)


def learn(state: RegisterState, members: Members) -> RegisterState:
    """The state once that epoch is known to be settled; whatever was said about it or before it is done with.

    No epoch of this cluster is of another one, or has forgotten who was removed.
    """
    if state.members is not None and state.members.epoch >= members.epoch:
        return state
    known = state.members or members
    if known.cluster_id != members.cluster_id or not known.removed.keys() <= members.removed.keys():
        return state
    return RegisterState(members)


def _accept(state: RegisterState, question: Accept) -> tuple[RegisterState, Reaction]:
    fault = follows(question.base, question.members)
    if fault:
        return state, Rejected(fault)
    return replace(state, promised=question.bid, accepted=Accepted(question.bid, question.members)), Consent(
        question.bid
    )
