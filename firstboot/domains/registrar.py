"""What makes a volume known to a manager under a storage domain's name; registrars are found by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol

from firstboot.errors import BadInputError

State = Literal["active", "inactive", "missing"]

REGISTRARS = {"libvirt": "firstboot.domains.libvirt"}
"""Module of each registrar; it has a function `registrar()`. Imported only when a plan asks for it."""


@dataclass(frozen=True)
class Domain:
    """A storage domain on this node. `hosts`: this node first, then the other members, as volfile servers."""

    name: str
    volume: str
    target: Path
    hosts: tuple[str, ...]


class Registrar(Protocol):
    """A manager of storage domains."""

    def look(self, domain: Domain) -> State:
        """The domain's state, changing nothing; `active` only when it can be used."""

    def register(self, domain: Domain, report: Callable[[str], None]) -> None:
        """Bring it to active; changes nothing when it is. Raises RefusedError when the name means something else."""


def find(name: str) -> Registrar:
    """The registrar of that name."""
    if name not in REGISTRARS:
        raise BadInputError(f"there is no registrar {name}", hint=f"there are: {', '.join(REGISTRARS)}")
    registrar: Registrar = import_module(REGISTRARS[name]).registrar()
    return registrar
