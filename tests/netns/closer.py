"""Run inside a node: what the phase pool does before and when it starts glusterd, with whatever is on disk there.

Started as `python closer.py NODE_ID ADDRESS ...`. Says `started`, or why glusterd was not.
"""

from __future__ import annotations

import sys

from firstboot.context import Context, Member
from firstboot.errors import TrivetError
from firstboot.gluster.closing import UNIT, Closing
from firstboot.services import start


def main(node_id: str, addresses: list[str]) -> None:
    context = Context(report=lambda _: None, node_id=node_id)
    context.members = {
        slot: Member(slot, f"node{slot}", "", address, f"node{slot}.lab") for slot, address in enumerate(addresses, 1)
    }
    try:
        Closing().close(context)
        start(UNIT)
    except TrivetError as error:
        print(error)
        return
    print("started")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
