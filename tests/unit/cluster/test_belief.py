"""Which document is believed by who has none."""

from __future__ import annotations

from firstboot.cluster.belief import Showing, candidate

A, B = "a" * 32, "b" * 32


def showing(slot: int, epoch: int, digest: str) -> Showing:
    return Showing(f"{slot:032x}", slot, epoch, digest)


def test_what_most_show_counts_whatever_epoch_one_claims() -> None:
    real = [showing(1, 4, A), showing(2, 4, A)]
    assert candidate([showing(3, 10**6, B), *real]) == tuple(real)


def test_of_as_many_the_later_epoch_counts() -> None:
    assert candidate([showing(1, 4, A), showing(2, 5, B)]) == (showing(2, 5, B),)


def test_nobody_shows_anything() -> None:
    assert candidate([]) == ()
