"""An access port of a lab's switch: untagged on a link of this machine, tagged with one VLAN at the switch.

A process of its own, because the kernel of this machine may lack 802.1Q: a Linux bridge without it passes tagged
frames on, but nothing of the machine itself can be in a VLAN.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

from firstboot.run import run

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
"""linux/if_tun.h. A virtio header goes before each frame: senders may leave checksums and cutting to their card."""
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR = 263, 8, 15
TP_STATUS_VLAN_VALID = 0x10
"""linux/if_packet.h."""
ETH_P_ALL, ETH_P_8021Q = 0x0003, 0x8100
PACKET_OUTGOING = 4
AUXDATA = struct.Struct("=IIIHHHH")
TAG_AT = 10 + 12
"""Behind the virtio header and the frame's two MACs."""
MAX_PACKET = 70_000


def tagged(packet: bytes, vlan: int) -> bytes:
    """A packet with the tag put in. Its virtio header is empty: this end asks nothing of the card."""
    return packet[:TAG_AT] + struct.pack("!HH", ETH_P_8021Q, vlan) + packet[TAG_AT:]


def is_of(vlan: int, ancillary: list[tuple[int, int, bytes]]) -> bool:
    """Whether the frame had this VLAN's tag, which the kernel takes off (packet(7))."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA) and len(data) >= AUXDATA.size:
            status, *_, tci, _ = AUXDATA.unpack_from(data)
            return bool(status & TP_STATUS_VLAN_VALID) and tci & 0x0FFF == vlan
    return False


def open_tap(link: str, mac: str) -> int:
    """A TAP device with the switch's MAC: a bridge hands only frames for its own MAC to this machine."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", link.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    run(["ip", "link", "set", "dev", link, "address", mac], timeout_s=30)
    return tap


def open_switch(bridge: str) -> socket.socket:
    """Sends into the switch, and gets what the switch hands to this machine."""
    switch = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    switch.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    switch.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    switch.bind((bridge, ETH_P_ALL))
    return switch


def pass_on(tap: int, switch: socket.socket, vlan: int) -> None:
    """For ever. What can't be passed on is lost, as at any port."""
    while True:
        ready, _, _ = select.select([tap, switch], [], [])
        with suppress(OSError):
            if tap in ready:
                switch.send(tagged(os.read(tap, MAX_PACKET), vlan))
        with suppress(OSError):
            if switch in ready:
                packet, ancillary, _, source = switch.recvmsg(MAX_PACKET, socket.CMSG_SPACE(AUXDATA.size))
                if source[2] != PACKET_OUTGOING and is_of(vlan, ancillary):
                    os.write(tap, packet)


def main(bridge: str, mac: str, link: str, vlan: str, pid_file: str) -> None:
    """Open the port, then go on in the background until killed."""
    tap, switch = open_tap(link, mac), open_switch(bridge)
    child = os.fork()
    if child:
        Path(pid_file).write_text(f"{child}\n")
        return
    os.setsid()
    nowhere = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    pass_on(tap, switch, int(vlan))


if __name__ == "__main__":
    main(*sys.argv[1:])
