"""What must be in place before glusterd may start: links, ports, the order of things."""

from __future__ import annotations

from pathlib import Path

import pytest

from firstboot import paths
from firstboot.context import Context
from firstboot.errors import RefusedError, TrivetError
from firstboot.gluster import closing, credentials
from firstboot.gluster.closing import Closing, links, place_link, port_range, require_ports
from firstboot.network.packetfilter import PacketFilter
from tests.unit.firstboot.gluster.formed import context

ELEMENT = Path(__file__).parents[4] / "elements" / "trivet-gluster" / "trivet-files"


def test_the_image_has_every_link() -> None:
    for link, target in links().items():
        shipped = ELEMENT / str(link).lstrip("/")
        assert shipped.is_symlink(), shipped
        assert shipped.readlink() == target


def test_the_image_gives_bricks_the_guarded_ports_and_keeps_them_free() -> None:
    options = ELEMENT / str(paths.GLUSTERD_OPTIONS).lstrip("/")
    assert port_range(options.read_text()) == paths.BRICK_PORTS
    setting = (ELEMENT / "usr/lib/sysctl.d/60-trivet-gluster.conf").read_text()
    reserved = setting.partition("ip_local_reserved_ports = ")[2].strip().split(",")
    assert f"{paths.BRICK_PORTS[0]}-{paths.BRICK_PORTS[-1]}" in reserved
    assert {str(paths.GLUSTERD_PORT), str(paths.ADMISSION_PORT)} <= set(reserved)


def test_migrations_have_their_own_ports() -> None:
    assert not set(paths.BRICK_PORTS) & set(range(49152, 49216))


def test_links_are_made_where_they_are_missing_and_never_over_something(tmp_path: Path) -> None:
    link, target = tmp_path / "ssl" / "glusterfs.pem", tmp_path / "node.pem"
    place_link(link, target)
    place_link(link, target)
    assert link.readlink() == target
    with pytest.raises(RefusedError, match="is not a link to"):
        place_link(link, tmp_path / "other.pem")
    link.unlink()
    link.write_text("an operator's own")
    with pytest.raises(RefusedError, match="Gluster would use another certificate"):
        place_link(link, target)
    assert link.read_text() == "an operator's own"


@pytest.mark.parametrize(
    ("options", "ports"),
    [
        ("    option base-port 50152\n    option max-port  52151\n", range(50152, 52152)),
        ("option base-port 50160\n#   option max-port 60999\noption max-port 50169\n", range(50160, 50170)),
    ],
)
def test_ports_behind_the_packet_filter(options: str, ports: range) -> None:
    assert port_range(options) == ports
    require_ports(ports)


@pytest.mark.parametrize(
    "options",
    [
        "",
        "#   option base-port 50152\n    option max-port  60999\n",
        "option base-port 50152\noption max-port 60999\n",
        "option base-port 49152\noption max-port 52151\n",
        "option base-port 52151\noption max-port 50152\n",
    ],
)
def test_ports_outside_of_it_are_refused(options: str) -> None:
    with pytest.raises(RefusedError, match="the packet filter guards 50152 to 52151"):
        require_ports(port_range(options))


class Node:
    """A node whose parts are stood in for; `steps` is what happened, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.steps: list[str] = []
        self.is_running = False
        self.trouble: TrivetError | None = None
        self.is_plain = False
        options = folder / "glusterd.vol"
        options.write_text("option base-port 50152\noption max-port 52151\n")
        monkeypatch.setattr(paths, "GLUSTERD_OPTIONS", options)
        monkeypatch.setattr(paths, "SECURE_ACCESS", folder / "secure-access")
        monkeypatch.setattr(paths, "TLS_FOLDERS", (folder / "ssl",))
        monkeypatch.setattr(credentials, "verify", lambda *_: self._step("verify", self.trouble))
        monkeypatch.setattr(PacketFilter, "keep", lambda *_: self._step("filter"))
        monkeypatch.setattr(closing, "is_active", lambda _: self.is_running)
        monkeypatch.setattr(closing.processes, "end_all", lambda: self._step("end"))
        monkeypatch.setattr(closing, "speaks_plainly", lambda: self._step("handshake") or self.is_plain)

    def _step(self, what: str, error: Exception | None = None) -> None:
        self.steps.append(what)
        if error is not None:
            raise error


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Node:
    return Node(monkeypatch, tmp_path)


@pytest.fixture
def formed() -> Context:
    return context(1)


def test_closed_before_the_first_start(node: Node, formed: Context) -> None:
    one = Closing()
    one.close(formed)
    assert node.steps == ["end", "verify", "filter"], "what a glusterd left that is gone may be open"
    assert paths.SECURE_ACCESS.stat().st_mode & 0o777 == 0o600
    assert all(link.is_symlink() for link in links())
    node.is_running = True
    one.close(formed)
    assert node.steps[1:] == ["verify", "filter"] * 2, "done again it changed something"


def test_an_open_glusterd_is_ended_first_whatever_else_is_wrong(node: Node, formed: Context) -> None:
    node.is_running, node.trouble = True, TrivetError("expired")
    with pytest.raises(TrivetError, match="expired"):
        Closing().close(formed)
    assert node.steps == ["end", "verify"]
    assert not paths.SECURE_ACCESS.exists(), "TLS without a certificate"


@pytest.mark.parametrize(("plain", "steps"), [(True, ["handshake", "end"]), (False, ["handshake"])])
def test_a_glusterd_from_before_this_agent_is_asked_for_tls(
    node: Node, formed: Context, plain: bool, steps: list[str]
) -> None:
    paths.SECURE_ACCESS.write_text("")
    node.is_running, node.is_plain = True, plain
    one = Closing()
    one.close(formed)
    assert node.steps == ["verify", "filter", *steps]
    one.close(formed)
    assert node.steps[-2:] == ["verify", "filter"], "asked once"
