"""The partition table of the image, as arithmetic: what lies where, and which identifiers it carries."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

SECTOR = 512
MIB = 1024 * 1024

BIOS_BYTES = MIB
ESP_BYTES = 256 * MIB
SEED_BYTES = 16 * MIB

BIOS_TYPE = "21686148-6449-6E6F-744E-656564454649"
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
ROOT_TYPE = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
SEED_TYPE = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
"""Basic data: workstations of every kind show the seed's file system by themselves."""


@dataclass(frozen=True)
class Partition:
    """One partition; `start_bytes` and `size_bytes` are whole MiB."""

    number: int
    name: str
    type: str
    start_bytes: int
    size_bytes: int
    uuid: str

    @property
    def start_sector(self) -> int:
        return self.start_bytes // SECTOR

    @property
    def end_bytes(self) -> int:
        return self.start_bytes + self.size_bytes


@dataclass(frozen=True)
class Layout:
    """The whole disk. Everything in it follows from the root's size and the content key."""

    disk_uuid: str
    bios: Partition
    esp: Partition
    root: Partition
    seed: Partition
    root_fs_uuid: str
    root_hash_seed: str
    esp_serial: str
    seed_serial: str
    """FAT volume serials: eight hexadecimal digits."""

    @property
    def partitions(self) -> tuple[Partition, ...]:
        return (self.bios, self.esp, self.root, self.seed)

    @property
    def size_bytes(self) -> int:
        """One MiB behind the last partition holds the second partition table."""
        return self.seed.end_bytes + MIB

    def script(self) -> str:
        """The table in sfdisk's own language (sfdisk(8), named-fields format)."""
        lines = ["label: gpt", f"label-id: {self.disk_uuid}", "unit: sectors", ""]
        lines += [
            f"{part.number} : start={part.start_sector}, size={part.size_bytes // SECTOR}, "
            f'type={part.type}, uuid={part.uuid}, name="{part.name}"'
            for part in self.partitions
        ]
        return "\n".join(lines) + "\n"


def layout(root_size_bytes: int, content_key: str) -> Layout:
    """Lay out a disk whose identifiers are derived from `content_key`: same content, same identifiers."""
    start = MIB
    parts: list[Partition] = []
    for number, (name, type_uuid, size) in enumerate(
        (
            ("trivet-bios", BIOS_TYPE, BIOS_BYTES),
            ("trivet-esp", ESP_TYPE, ESP_BYTES),
            ("trivet-root-a", ROOT_TYPE, whole_mib(root_size_bytes)),
            ("trivet-seed", SEED_TYPE, SEED_BYTES),
        ),
        start=1,
    ):
        parts.append(Partition(number, name, type_uuid, start, size, derived_uuid(content_key, name)))
        start += size
    bios, esp, root, seed = parts
    return Layout(
        disk_uuid=derived_uuid(content_key, "disk"),
        bios=bios,
        esp=esp,
        root=root,
        seed=seed,
        root_fs_uuid=derived_uuid(content_key, "root-fs"),
        root_hash_seed=derived_uuid(content_key, "root-hash-seed"),
        esp_serial=derived_uuid(content_key, "esp-fs")[:8],
        seed_serial=derived_uuid(content_key, "seed-fs")[:8],
    )


def whole_mib(size_bytes: int) -> int:
    """Round up to whole MiB."""
    return -(-size_bytes // MIB) * MIB


def derived_uuid(content_key: str, what: str) -> str:
    """A version 4 UUID from the hash of key and purpose."""
    digest = hashlib.sha256(f"trivet:{content_key}:{what}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
