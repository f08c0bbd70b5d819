"""The site folder: one site's identity, plan, keys and record of issued seeds; format trivet-site 1."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import Field, StringConstraints, ValidationError

from builder.site.root import SiteRoot, create_root, load_root
from firstboot.document import ModelT, Source, load_document
from firstboot.errors import BadInputError, RefusedError
from firstboot.files import sync_folder, write_atomic
from firstboot.model import Model
from firstboot.plan import Name, Plan
from firstboot.seed import Id

MAX_RECORD = 4 * 1024 * 1024
LOCK_WAIT_S = 20.0

Purpose = Annotated[str, StringConstraints(max_length=1024)]


class Issue(Model):
    """One seed that was made: for which slot, when, and what it was written to."""

    slot: int = Field(ge=1, le=300)
    seed_id: Id
    issued: datetime
    written_to: Purpose


class SiteRecord(Model):
    """site.json: who the site is, and every seed that was ever issued, oldest first."""

    format: Literal["trivet-site"] = "trivet-site"
    version: str = "1.0"
    id: Id
    name: Name
    created: datetime
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True)
class Site:
    """An open site folder. `record` is as it was when the folder was opened."""

    path: Path
    record: SiteRecord
    plan: Plan

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def root_certificate(self) -> Path:
        return self.path / "root.pem"

    @property
    def root_key(self) -> Path:
        return self.path / "root.key"

    @property
    def operator_certificate(self) -> Path:
        return self.path / "operator.pem"

    @property
    def operator_key(self) -> Path:
        return self.path / "operator.key"

    @property
    def admin_key(self) -> Path:
        return self.path / "admin_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.path / "known_hosts"

    @property
    def has_passphrase(self) -> bool:
        """Whether the root key is encrypted."""
        return "ENCRYPTED" in self.root_key.read_text(encoding="ascii").partition("\n")[0]

    def unlock_root(self, passphrase: str | None) -> SiteRoot:
        """The site root, to sign with; raises BadInputError when the passphrase is missing or wrong."""
        if self.has_passphrase and not passphrase:
            raise BadInputError(
                f"the root key of site {self.name} has a passphrase", hint="give it: --passphrase-file FILE"
            )
        return load_root(
            self.root_certificate.read_text(encoding="ascii"),
            self.root_key.read_text(encoding="ascii"),
            site_id=self.id,
            passphrase=passphrase if self.has_passphrase else None,
        )


def create_site(path: Path, name: str, plan: Plan, *, passphrase: str | None = None) -> Site:
    """Make a site folder with a new root, operator certificate and admin SSH key, whole or not at all.

    The admin key is added to the plan's SSH keys. Raises RefusedError when the folder is there already.
    """
    if path.exists() or path.is_symlink():
        raise RefusedError(f"{path} is there already", hint="choose another name, or remove it if nobody needs it")
    root = create_root(name)
    private, public = _new_ssh_key(f"trivet-admin@{name}")
    operator = root.issue_operator()
    access = plan.access.model_copy(update={"ssh_keys": (*plan.access.ssh_keys, public)})
    site = Site(
        path,
        _validated_record({"id": root.site_id, "name": name, "created": datetime.now(UTC)}),
        plan.model_copy(update={"access": access}),
    )
    content = {
        "site.json": _json(site.record),
        "plan.json": _json(site.plan),
        "root.pem": root.certificate_pem,
        "root.key": root.key_pem(passphrase),
        "operator.pem": operator.certificate,
        "operator.key": operator.key,
        "admin_ed25519": private,
        "admin_ed25519.pub": public + "\n",
        "known_hosts": "",
        "lock": "",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        for file, text in content.items():
            write_atomic(making / file, text, mode=0o600)
        making.rename(path)
    except OSError as error:
        shutil.rmtree(making, ignore_errors=True)
        raise RefusedError(f"site folder {path} can't be made: {error.strerror}") from error
    sync_folder(path.parent)
    return site


def open_site(path: Path) -> Site:
    """Read a site folder; raises BadInputError when it is none, damaged, or of a newer format."""
    hint = "make a site: trivet site new NAME --profile PROFILE"
    if not (path / "site.json").is_file():
        raise BadInputError(f"{path} is not a site folder", hint=hint)
    _refuse_open_modes(path)
    record = _read(path / "site.json", SiteRecord)
    plan = _read(path / "plan.json", Plan)
    return Site(path, record, plan)


@contextmanager
def changing(site: Site) -> Iterator[Site]:
    """The site as it is now, under the folder's lock, to be saved. Raises RefusedError when others keep the lock."""
    handle = os.open(site.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(handle, site.path)
        yield open_site(site.path)
    finally:
        os.close(handle)


def save_record(site: Site, record: SiteRecord) -> Site:
    """Replace site.json; only inside `changing`."""
    write_atomic(site.path / "site.json", _json(record), mode=0o600)
    return Site(site.path, record, site.plan)


def save_plan(site: Site, plan: Plan) -> Site:
    """Replace plan.json; only inside `changing`."""
    write_atomic(site.path / "plan.json", _json(plan), mode=0o600)
    return Site(site.path, site.record, plan)


def _lock(handle: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"another trivet is changing site folder {path}", hint="wait until it has ended, then try again"
                ) from None
            time.sleep(0.05)
        else:
            return


def _refuse_open_modes(path: Path) -> None:
    for item in (path, path / "root.key", path / "operator.key", path / "admin_ed25519"):
        try:
            mode = stat.S_IMODE(item.stat().st_mode)
        except OSError as error:
            raise BadInputError(
                f"site folder {path} is not whole: {item.name}: {error.strerror}", hint="restore it from its backup"
            ) from error
        if mode & 0o077:
            raise RefusedError(
                f"{item} has mode {mode:04o}: others could read the site's keys", hint=f"chmod -R go= {path}"
            )


def _read(file: Path, model: type[ModelT]) -> ModelT:
    hint = "restore the site folder from its backup"
    source = Source(
        str(file), hint=hint, version_hint="use a newer Trivet", reader="this Trivet", max_bytes=MAX_RECORD
    )
    try:
        return load_document(file, model, source)
    except OSError as error:
        raise BadInputError(f"{file} can't be read: {error.strerror}", hint=hint) from error


def _validated_record(fields: dict[str, object]) -> SiteRecord:
    try:
        return SiteRecord.model_validate(fields)
    except ValidationError:
        raise BadInputError(
            f"{fields['name']!r} can't be a site's name",
            hint="use small letters, digits and dashes, beginning with a letter, at most 31",
        ) from None


def _json(document: Model) -> str:
    return document.model_dump_json(indent=1) + "\n"


def _new_ssh_key(comment: str) -> tuple[str, str]:
    """An Ed25519 key as OpenSSH's private file and public line."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return private, f"{public} {comment}"
