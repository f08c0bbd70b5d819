"""Talks to the local glusterd through `gluster --xml`; the answers are typed here and go no further as XML."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from errno import ENOTCONN

from firstboot.errors import TrivetError
from firstboot.run import run

ASK_LIMIT_S = 120
CHANGE_LIMIT_S = 240
"""Generous: creating and starting under software emulation, with TLS, takes half a minute on a quiet machine. The
locks of a change last that long and two minutes more (glusterd-syncop.c): everybody waits for them where an answer
between two of them was lost. Not where a member died: then glusterd 10.3 refuses at once, or after 31 s when its
network went silent."""
WORDS_LIMIT_S = 10
"""The CLI gives up first, and has so long to say it: what it says then is told from a refusal."""
BUSY_TRIES = 20
BUSY_PAUSE_S = 0.5
MEETING = (
    "Probe Sent to Peer",
    "Probe Received from Peer",
    "Accepted peer request",
    "Sent and Received peer request",
    "Connected to Peer",
    "Peer is connected and Accepted",
)
"""glusterd's words (glusterd-sm.c) for what lies between a probe and a peer in the cluster."""
STATUSES = {0: "Created", 1: "Started", 2: "Stopped"}
LATE = "glusterd did not answer in time; it goes on with it by itself"


class GlusterError(TrivetError):
    """glusterd refused; `text` is its own sentence (opErrstr)."""

    def __init__(self, doing: str, text: str, *, errno: int = 0, hint: str = "") -> None:
        super().__init__(f"{doing}: {explain(text)}", hint=hint)
        self.text = text
        self.errno = errno

    @property
    def is_unreachable(self) -> bool:
        """Whether the other side simply does not answer (yet)."""
        return self.errno == ENOTCONN or "not connected" in self.text

    @property
    def is_busy(self) -> bool:
        """Whether another command holds the lock of the pool or of the volume."""
        return "nother transaction is in progress" in self.text


class UnansweredError(GlusterError):
    """No answer came: whether a change was made, or is being made still, is not known."""


class NotListeningError(UnansweredError):
    """No glusterd answers on this node: it is not started, or has not come so far."""


@dataclass(frozen=True)
class Peer:
    """A member of the pool other than this node, with every name that glusterd knows it by."""

    uuid: str
    names: tuple[str, ...]
    connected: bool
    state: str

    @property
    def is_settled(self) -> bool:
        """Whether both sides have accepted each other, so that volumes may use it."""
        return self.connected and self.state == "Peer in Cluster"

    @property
    def is_meeting(self) -> bool:
        """Whether it is there, but the two have not finished accepting each other."""
        return self.connected and self.state in MEETING


@dataclass(frozen=True)
class Pool:
    """The trusted storage pool as this node's glusterd sees it."""

    own_uuid: str
    peers: tuple[Peer, ...]


@dataclass(frozen=True)
class VolumeInfo:
    """A volume's definition; `bricks` are `host:/path` in order, `options` those that were set."""

    name: str
    id: str
    type: str
    status: str
    replica: int
    arbiter: int
    bricks: tuple[str, ...]
    options: Mapping[str, str]


def pool() -> Pool:
    """The peers; raises NotListeningError while there is no glusterd."""
    return parse_pool(_ask("reading the pool", "pool", "list"))


def probe(host: str) -> None:
    """Take a node into the pool; one that is in it already is left alone."""
    _change(f"probing {host}", "peer", "probe", host)


def volumes() -> tuple[VolumeInfo, ...]:
    """Every volume of the pool."""
    return parse_volumes(_ask("reading the volumes", "volume", "info"))


def online_bricks(volume: str) -> frozenset[str]:
    """The bricks (`host:/path`) of a started volume whose process runs and has a port."""
    return parse_status(_ask(f"reading the state of volume {volume}", "volume", "status", volume))


def clients(volume: str) -> dict[str, tuple[str, ...]]:
    """By brick that is online, the hosts of its connected clients, each as often as it is connected."""
    return parse_clients(_ask(f"reading the clients of volume {volume}", "volume", "status", volume, "clients"))


def is_busy(volume: str) -> bool:
    """Whether anybody in the pool is changing a volume, which need not exist yet: found out by taking its lock."""
    try:
        _tell(f"looking whether volume {volume} is being changed", ("volume", "status", volume), ASK_LIMIT_S)
    except GlusterError as error:
        if error.is_busy:
            return True
        if not any(text in error.text for text in ("does not exist", "is not started")):
            raise
    return False


def create(volume: str, layout: tuple[str, ...], bricks: tuple[str, ...]) -> None:
    """Make a volume; `layout` is `replica N [arbiter M]`, or nothing."""
    _change(f"creating volume {volume}", "volume", "create", volume, *layout, *bricks)


def add_bricks(volume: str, layout: tuple[str, ...], bricks: tuple[str, ...]) -> None:
    """Add bricks; `layout` is `replica N [arbiter M]` when they are more copies of what there is, or nothing."""
    _change(f"adding bricks to volume {volume}", "volume", "add-brick", volume, *layout, *bricks)


def remove_bricks(volume: str, layout: tuple[str, ...], bricks: tuple[str, ...]) -> None:
    """Take bricks out at once, without moving data; `layout` is `replica N`, the copies left of each file."""
    _change(f"taking bricks out of volume {volume}", "volume", "remove-brick", volume, *layout, *bricks, "force")


def stop_brick(volume: str, brick: str) -> None:
    """Have a brick that is to be reset run no more; glusterd does not start it again before that."""
    _change(f"stopping brick {brick} of volume {volume}", "volume", "reset-brick", volume, brick, "start")


def reset_brick(volume: str, brick: str) -> None:
    """Have a brick that does not run begin anew, empty: before it starts, the other copies mark that it lacks all."""
    _change(
        f"resetting brick {brick} of volume {volume}",
        *("volume", "reset-brick", volume, brick, brick, "commit", "force"),
    )


def detach(host: str) -> None:
    """Take a node out of the pool, whether it answers or not; no volume may have bricks on it."""
    _change(f"detaching {host}", "peer", "detach", host, "force")


def heal_full(volume: str) -> None:
    """Have the self-heal daemons look at every file, not only at those that are known to differ."""
    # The one command whose answer is never XML: its exit code tells.
    words = ["gluster", "--mode=script", "volume", "heal", volume, "full", _time_limit(CHANGE_LIMIT_S)]
    done = run(words, timeout_s=CHANGE_LIMIT_S + WORDS_LIMIT_S, check=False)
    if not done.ok:
        raise GlusterError(f"healing volume {volume}", " ".join((done.stderr or done.stdout).split()))


def set_group(volume: str, group: str) -> None:
    """Apply one of glusterd's option groups (/var/lib/glusterd/groups)."""
    _change(f"tuning volume {volume} with group {group}", "volume", "set", volume, "group", group)


def set_options(volume: str, options: Mapping[str, str]) -> None:
    """Set options of a volume, all of them in one transaction."""
    words = [word for pair in sorted(options.items()) for word in pair]
    _change(f"tuning volume {volume}", "volume", "set", volume, *words)


def start(volume: str) -> None:
    """Start a volume that was created."""
    _change(f"starting volume {volume}", "volume", "start", volume)


def start_anew(volume: str) -> None:
    """Start a started volume where it is not, and what of it does not run."""
    _change(f"starting volume {volume} anew", "volume", "start", volume, "force")


def explain(text: str) -> str:
    """glusterd's sentence, with the true cause where it is known to say something else."""
    if "already part of another cluster" in text:
        return (
            f"{text} (glusterd also says so when its TLS files are missing or of another authority, "
            "and when that node already has volumes of its own)"
        )
    if "Transport endpoint is not connected" in text:
        return f"{text} (its name does not resolve here, or no glusterd listens there on port 24007)"
    return text


def parse_pool(answer: ElementTree.Element) -> Pool:
    """The answer to `pool list`."""
    own, peers = "", []
    for node in answer.iterfind("peerStatus/peer"):
        name = _text(node, "hostname")
        if name == "localhost":
            own = _text(node, "uuid")
            continue
        names = dict.fromkeys([name, *(n.text or "" for n in node.iterfind("hostnames/hostname"))])
        connected = _text(node, "connected") == "1"
        peers.append(Peer(_text(node, "uuid"), tuple(names), connected, _text(node, "stateStr")))
    return Pool(own, tuple(peers))


def parse_volumes(answer: ElementTree.Element) -> tuple[VolumeInfo, ...]:
    """The answer to `volume info`."""
    return tuple(_volume(node) for node in answer.iterfind("volInfo/volumes/volume"))


def parse_status(answer: ElementTree.Element) -> frozenset[str]:
    """The online bricks in the answer to `volume status NAME`; a node that is down is not in it at all."""
    online = set()
    for node in answer.iterfind("volStatus/volumes/volume/node"):
        path, port = _text(node, "path"), _text(node, "port")
        # Self-heal daemons stand in the same list, with a host name for a path and no port.
        if path.startswith("/") and _text(node, "status") == "1" and port.isdigit():
            online.add(f"{_text(node, 'hostname')}:{path}")
    return frozenset(online)


def parse_clients(answer: ElementTree.Element) -> dict[str, tuple[str, ...]]:
    """The answer to `volume status NAME clients`."""
    return {
        f"{_text(node, 'hostname')}:{_text(node, 'path')}": tuple(
            _text(client, "hostname").rpartition(":")[0] for client in node.iterfind("clientsStatus/client")
        )
        for node in answer.iterfind("volStatus/volumes/volume/node")
        if _text(node, "status") == "1"
    }


def parse_answer(doing: str, text: str) -> ElementTree.Element:
    """The document; raises GlusterError when glusterd says in it that it refused (the exit code is 0 then, too)."""
    try:
        # glusterd on this machine is trusted: no defence against hostile XML is needed.
        answer = ElementTree.fromstring(text)  # noqa: S314
    except ElementTree.ParseError:
        said = text.strip()[:200]
        # The two sentences that the CLI prints as plain text, --xml or not.
        if said.startswith("Connection failed"):
            raise NotListeningError(doing, said, hint="look at its log: journalctl -u glusterd") from None
        if said.startswith("Error : Request timed out"):
            raise UnansweredError(doing, LATE, hint="it is looked at again: gluster volume status") from None
        raise UnansweredError(doing, f"the answer is no XML: {said or 'nothing'}") from None
    if _text(answer, "opRet") != "0":
        said, errno = _text(answer, "opErrstr") or "refused without a reason", int(_text(answer, "opErrno") or 0)
        raise GlusterError(doing, said, errno=errno)
    return answer


def _ask(doing: str, *words: str) -> ElementTree.Element:
    return _call(doing, words, ASK_LIMIT_S)


def _change(doing: str, *words: str) -> ElementTree.Element:
    return _call(doing, words, CHANGE_LIMIT_S)


def _call(doing: str, words: tuple[str, ...], limit_s: int) -> ElementTree.Element:
    for tries_left in range(BUSY_TRIES, -1, -1):
        try:
            return _tell(doing, words, limit_s)
        except GlusterError as error:
            # It lasts a moment.
            if not error.is_busy or not tries_left:
                raise
            time.sleep(BUSY_PAUSE_S)
    raise AssertionError("the loop above ends by itself")


def _tell(doing: str, words: tuple[str, ...], limit_s: int) -> ElementTree.Element:
    argv = ["gluster", "--mode=script", "--xml", *words, _time_limit(limit_s)]
    done = run(argv, timeout_s=limit_s + WORDS_LIMIT_S, check=False)
    return parse_answer(doing, done.stdout or done.stderr)


def _time_limit(limit_s: int) -> str:
    """The option, taken at any place: last, a command begins with what it does."""
    return f"--timeout={limit_s}"


def _volume(node: ElementTree.Element) -> VolumeInfo:
    return VolumeInfo(
        name=_text(node, "name"),
        id=_text(node, "id"),
        type=_text(node, "typeStr"),
        status=STATUSES.get(int(_text(node, "status")), _text(node, "statusStr")),
        replica=int(_text(node, "replicaCount")),
        arbiter=int(_text(node, "arbiterCount")),
        bricks=tuple(_text(brick, "name") for brick in node.iterfind("bricks/brick")),
        options={_text(o, "name"): _text(o, "value") for o in node.iterfind("options/option")},
    )


def _text(node: ElementTree.Element, path: str) -> str:
    return (node.findtext(path) or "").strip()
