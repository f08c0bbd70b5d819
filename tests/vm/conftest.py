"""What the real boots share: the built image, and one formed lab of three nodes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from builder.lab.report import LabStatus
from builder.lab.state import LabFolder, LabState, lab_folder, labs_root, load
from builder.profile.load import compile_plan, load_profile
from firstboot.plan import Plan
from tests.vm.cli import PROFILE, ROOT, trivet

KEPT_LOGS = ROOT / "build" / "test" / "vm"
"""Serial logs of the boots stay here for whoever looks into a failure."""


@dataclass(frozen=True)
class Lab:
    """A formed lab."""

    folder: LabFolder
    state: LabState
    site: Path
    status: LabStatus

    @property
    def name(self) -> str:
        return self.folder.name

    def address(self, number: int) -> str:
        found = next(node.address for node in self.status.nodes if node.number == number)
        assert found, f"node {number} has no address"
        return found


@pytest.fixture(scope="session", autouse=True)
def labs_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Labs of the tests are apart from a person's, at a short path: sockets' names are limited."""
    if os.geteuid() != 0:
        pytest.fail("tests that boot machines need root, for bridges and namespaces: sudo make test-vm")
    root = Path(f"/var/tmp/trivet-vm-{os.getpid()}")
    patch = pytest.MonkeyPatch()
    patch.setenv("TRIVET_LAB", str(root))
    yield root
    caches = {"kvm-probe.json", ".libvirt-cache", ".qemu", ".qemu.lock"}
    left = [path.name for path in root.iterdir() if path.name not in caches] if root.exists() else []
    patch.undo()
    assert not left, f"labs left something in {root}: {left}"
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def plan() -> Plan:
    return compile_plan(load_profile(PROFILE))


@pytest.fixture(scope="session")
def image_folder(plan: Plan) -> Path:
    """The image of profiles/lab.yaml; nothing is built when nothing has changed."""
    folder = ROOT / "build" / plan.name
    trivet("build", PROFILE, "-o", folder, timeout_s=1800)
    return folder


def keep_logs(folder: LabFolder) -> None:
    """Save the serial logs before the lab goes."""
    KEPT_LOGS.mkdir(parents=True, exist_ok=True)
    for log in folder.path.glob("node*/serial.log"):
        shutil.copyfile(log, KEPT_LOGS / f"{folder.name}-{log.parent.name}.log")


@contextmanager
def formed_lab(
    profile: Path, image_folder: Path, site: Path, *more: str, disturb: Callable[[str], None] | None = None
) -> Iterator[Lab]:
    """What `trivet lab up` made of a profile, formed; the wait is extended while its nodes make progress.

    `disturb` is called with the lab's name when its nodes are on, and before they are waited for.
    """
    folder = lab_folder(f"vm{os.getpid()}")
    where = ["--name", folder.name]
    words = [*where, "--image", image_folder, "--site", site, *more, "--json"]
    try:
        if disturb is not None:
            trivet("lab", "up", profile, *words, "--no-wait", timeout_s=1800)
            disturb(folder.name)
        done = trivet("lab", "up", profile, *words, timeout_s=7200)
        yield Lab(folder, load(folder), site, LabStatus.model_validate_json(done.stdout))
    finally:
        keep_logs(folder)
        bridges = [switch.bridge for switch in load(folder).switches] if folder.state_file.exists() else []
        trivet("lab", "down", *where)
        assert not folder.path.exists()
        assert not site.exists(), "the lab made the site, and leaves it behind"
        assert not [bridge for bridge in bridges if Path("/sys/class/net", bridge).exists()]
        assert labs_root().exists()


@pytest.fixture(scope="module")
def lab(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three nodes of profiles/lab.yaml."""
    with formed_lab(PROFILE, image_folder, tmp_path_factory.mktemp("site") / "site") as made:
        yield made


def host_of(lab: Lab, number: int) -> Host:
    """testinfra's view of a node, over ssh with the site's key and the host keys that mutual TLS brought."""
    address, config = lab.address(number), lab.folder.path / f"ssh-config-{number}"
    options = {
        "HostName": address.replace("%", "%%"),
        "HostKeyAlias": address,
        "IdentityFile": lab.site / "admin_ed25519",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": lab.site / "known_hosts",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": 60,
        "LogLevel": "ERROR",
        "ServerAliveInterval": 60,
        # One login for all checks: on an emulated node each takes seconds.
        "ControlPath": lab.folder.path / f"ssh-{number}",
        "ControlMaster": "auto",
        "ControlPersist": 600,
    }
    config.write_text("".join(f"{key} {value}\n" for key, value in options.items()))
    return testinfra.get_host(f"ssh://root@node{number}", ssh_config=str(config))
