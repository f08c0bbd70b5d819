"""Real machines whose clocks are wrong: one without a battery, in 1970, one a day ahead. They form, with one time."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from firstboot import paths
from tests.vm.conftest import Lab, formed_lab, host_of
from tests.vm.test_modes import PROFILES, built

pytestmark = pytest.mark.full

DAY_S = 86_400
CLOSE_S = 10.0
LIMIT_S = 900.0


def ahead_s(lab: Lab, number: int) -> float:
    """How far the node's clock is ahead of this machine's; the middle of the question."""
    began_s = time.time()
    shown_s = float(host_of(lab, number).check_output("date +%s.%N"))
    return shown_s - (began_s + time.time()) / 2


def tracking(lab: Lab, number: int) -> list[str]:
    return host_of(lab, number).check_output("chronyc -n -c tracking").split(",")


def test_a_machine_in_1970_and_one_a_day_ahead_form_with_one_time(tmp_path: Path) -> None:
    image = built("hosts", tmp_path / "image")
    epoch = json.loads((image / "build.json").read_text())["epoch"]
    clocks = ["--clock", "1", str(-int(time.time())), "--clock", "2", str(DAY_S)]
    with formed_lab(PROFILES / "hosts.yaml", image, tmp_path / "site", *clocks) as lab:
        assert [node.phase for node in lab.status.nodes] == ["formed", "formed"]
        first, second = host_of(lab, 1), host_of(lab, 2)
        # systemd had set the clock to the image's time before anything was logged.
        oldest = first.check_output("journalctl -b _TRANSPORT=journal -o json --output-fields=MESSAGE | head -n 1")
        assert int(json.loads(oldest)["__REALTIME_TIMESTAMP"]) / 1e6 >= epoch
        assert "the clock was set" in first.check_output("journalctl -u trivet-firstboot -o cat")
        # Of two the later one is right: nobody moved that.
        assert "the clock was set" not in second.check_output("journalctl -u trivet-firstboot -o cat")
        apart_s = ahead_s(lab, 1) - ahead_s(lab, 2)
        assert abs(apart_s) < CLOSE_S
        assert abs(ahead_s(lab, 2) - DAY_S) < CLOSE_S
        for node in (first, second):
            assert node.file(str(paths.CHRONY_MEMBERS / "members.keys")).mode == 0o600
            assert node.check_output("systemctl --failed --no-legend --plain") == ""
        end = time.monotonic() + LIMIT_S
        while sorted(tracking(lab, number)[0] == "7F7F0101" for number in (1, 2)) != [False, True]:
            assert time.monotonic() < end, [tracking(lab, number) for number in (1, 2)]
            time.sleep(10)
        assert [row.split(",")[1] for row in first.check_output("chronyc -n -c authdata").splitlines()] == ["SK"]
        refused = "journalctl -k --grep 'apparmor=\"DENIED\".*chronyd' -o cat"
        assert first.run(refused).stdout == ""
