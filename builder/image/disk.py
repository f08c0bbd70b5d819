"""The raw disk image around a root file system, by plain file operations: no mount, no loop device."""

from __future__ import annotations

import tempfile
from pathlib import Path

from builder.image.boot import BiosLoader, menu, place_bios
from builder.image.layout import SECTOR, Layout
from firstboot.errors import TrivetError
from firstboot.run import run


def assemble(target: Path, loaders: Path, layout: Layout, version: str) -> None:
    """Make the disk at `target`, all but the root: table, ESP with boot loaders and menu, empty seed partition."""
    with target.open("wb") as disk:
        disk.truncate(layout.size_bytes)
    run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", target], timeout_s=60, input_text=layout.script())
    place_bios(
        target,
        BiosLoader(boot=_read(loaders / "boot.img"), core=_read(loaders / "core.img")),
        layout.bios,
    )
    _make_esp(target, loaders, layout, version)
    _make_fat(target, layout.seed.start_bytes, layout.seed.size_bytes, layout.seed_serial, "TRIVET-SEED", bits=16)


def _make_esp(target: Path, loaders: Path, layout: Layout, version: str) -> None:
    esp = layout.esp
    _make_fat(target, esp.start_bytes, esp.size_bytes, layout.esp_serial, "TRIVET-ESP", bits=32)
    drive = f"{target}@@{esp.start_bytes}"
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="esp.") as name:
        folder = Path(name)
        for path in ("EFI/BOOT", "EFI/debian"):
            (folder / path).mkdir(parents=True)
        (folder / "EFI/BOOT/BOOTX64.EFI").write_bytes(_read(loaders / "shimx64.efi"))
        (folder / "EFI/BOOT/grubx64.efi").write_bytes(_read(loaders / "grubx64.efi"))
        (folder / "EFI/debian/grub.cfg").write_text(menu(layout, version))
        run(["mcopy", "-s", "-i", drive, folder / "EFI", "::/"], timeout_s=120)


def _make_fat(target: Path, start_bytes: int, size_bytes: int, serial: str, label: str, *, bits: int) -> None:
    # One sector a cluster: with dosfstools' own choice mtools takes the file system for FAT16.
    cluster = ["-s", "1"] if bits == 32 else []
    run(
        [
            "mkfs.fat", "-F", str(bits), *cluster, "--invariant", "-i", serial, "-n", label,
            "--offset", str(start_bytes // SECTOR), target, str(size_bytes // 1024),
        ],
        timeout_s=120,
    )  # fmt: skip


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise TrivetError(f"the root tree has no {path.name}", hint="element trivet-boot makes it") from error
