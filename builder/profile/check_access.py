"""Checks of access and image: SSH keys that parse, hashes that are hashes, sizes that can work."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from builder.profile.check_slots import repeated
from builder.profile.model import Profile
from builder.profile.problems import Place, Problem
from builder.profile.scalars import format_size
from firstboot.plan import GIB

KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
MIN_RSA_BITS = 2048
MAX_KEY_TEXT = 8192

CRYPT_HASH = re.compile(
    r"\$(y|gy)\$[./A-Za-z0-9]+\$[./A-Za-z0-9]{1,86}\$[./A-Za-z0-9]{43}"
    r"|\$7\$[./A-Za-z0-9]{11,97}\$[./A-Za-z0-9]{43}"
    r"|\$2[by]\$[0-9]{2}\$[./A-Za-z0-9]{53}"
    r"|\$6\$(rounds=[0-9]{1,9}\$)?[^$:\s]{1,16}\$[./A-Za-z0-9]{86}"
    r"|\$5\$(rounds=[0-9]{1,9}\$)?[^$:\s]{1,16}\$[./A-Za-z0-9]{43}"
)
"""The hashes of crypt(5) that Debian 13 takes and that are not weak."""

WEAK_HASH = re.compile(r"\$(1|3|md5|sha1|2a|2x)\b.*|[./A-Za-z0-9]{13}|_[./A-Za-z0-9]{19}")

MIN_ROOT, MAX_ROOT = 2 * GIB, 64 * GIB


def image(profile: Profile) -> Iterator[Problem]:
    """The root partition is a whole number of MiB in sane bounds; lists name things once, formats at least one."""
    size = profile.image.root_size
    place: Place = ("image", "root_size")
    if not MIN_ROOT <= size <= MAX_ROOT:
        bounds = f"{format_size(MIN_ROOT)} to {format_size(MAX_ROOT)}"
        yield Problem(place, f"{format_size(size)} is out of bounds", f"allowed is: {bounds}")
    elif size % 1024**2:
        yield Problem(place, f"{format_size(size)} is not a whole number of MiB", "such as 4GiB")
    if not profile.image.formats:
        yield Problem(("image", "formats"), "is empty", "allowed is: raw, qcow2")
    lists = {"elements": profile.image.elements, "packages": profile.image.packages, "formats": profile.image.formats}
    for key, values in lists.items():
        for at, value, _ in repeated([(("image", key, index), value) for index, value in enumerate(values)]):
            yield Problem(at, f"{value} is there twice")


def ssh_keys(profile: Profile) -> Iterator[Problem]:
    """Every key is a public key that sshd takes, once. Texts that may be private keys are never shown."""
    keys = profile.access.ssh_keys
    for index, text in enumerate(keys):
        if (reason := key_fault(text)) is not None:
            yield Problem(("access", "ssh_keys", index), *reason)
    parts: list[tuple[Place, str]] = [
        (("access", "ssh_keys", index), text.split()[1]) for index, text in enumerate(keys) if len(text.split()) > 1
    ]
    for place, _, first in repeated(parts):
        yield Problem(place, f"is the same key as ssh_keys[{first[-1]}]")


def key_fault(text: str) -> tuple[str, str] | None:
    """Why a text is no SSH public key, and what is one; None when it is."""
    example = "a line of a .pub file, such as ssh-ed25519 AAAA... name"
    if "PRIVATE KEY" in text:
        return "is a private key: it belongs in no profile", example
    if len(text) > MAX_KEY_TEXT or len(text.strip().splitlines()) != 1:
        return "is not one line", example
    fields = text.split()
    if fields[0] in ("ssh-dss", "ssh-dsa"):
        return "is a DSA key, which sshd refuses", f"allowed is: {', '.join(KEY_TYPES)}"
    if fields[0] not in KEY_TYPES:
        return "is not an SSH public key", example
    if len(fields) < 2:
        return "has a type but no key", example
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except (binascii.Error, ValueError):
        return "is damaged: its key is not base64", "copy the whole line"
    numbers = _wire_strings(blob)
    if not numbers or numbers[0] != fields[0].encode():
        return "is damaged: its key is cut short or of another type", "copy the whole line"
    if fields[0] == "ssh-rsa":
        return _rsa_fault(numbers)
    return _curve_fault(fields[0], numbers)


def _curve_fault(kind: str, parts: list[bytes]) -> tuple[str, str] | None:
    hardware = kind.startswith("sk-")
    key = parts[1:-1] if hardware else parts[1:]
    if "ed25519" in kind:
        right = len(key) == 1 and len(key[0]) == 32
    else:
        right = len(key) == 2 and key[0].decode("ascii", "replace") in kind and key[1][:1] == b"\x04"
    return None if right else ("is damaged: its key has a wrong length", "copy the whole line")


def _rsa_fault(parts: list[bytes]) -> tuple[str, str] | None:
    if len(parts) != 3:
        return "is damaged: its key has a wrong length", "copy the whole line"
    bits = int.from_bytes(parts[2], "big").bit_length()
    if bits < MIN_RSA_BITS:
        return f"is an RSA key of {bits} bits", f"at least {MIN_RSA_BITS}, or better ssh-ed25519"
    return None


def _wire_strings(blob: bytes) -> list[bytes]:
    """The strings of an SSH wire blob (RFC 4253, 6.6); empty when lengths do not add up."""
    found: list[bytes] = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length or len(found) > 8:
            return []
        found.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return found


def console_hash(profile: Profile) -> Iterator[Problem]:
    """The console password is a strong crypt(5) hash. The value is never shown: it may be the password itself."""
    value = profile.access.console_password_hash
    if value is None or CRYPT_HASH.fullmatch(value):
        return
    place: Place = ("access", "console_password_hash")
    make = "make one with: mkpasswd --method=yescrypt"
    if WEAK_HASH.fullmatch(value):
        yield Problem(place, "is a weak hash (DES, MD5 or SHA-1)", make)
    else:
        yield Problem(place, "is not a crypt(5) hash; a profile never holds a password itself", make)
