"""How often hosts are to be heard of."""

from __future__ import annotations

import pytest

from domain.heartbeats import HEARTBEAT_S, HEARTBEATS_A_SECOND, WATCH_BEAT_S, WATCH_BEATS_A_SECOND, HeartbeatRate


@pytest.mark.parametrize(("hosts", "interval_s"), [(0, 15.0), (750, 15.0), (751, 15.02), (10_000, 200.0)])
def test_a_large_fleet_is_heard_of_less_often(hosts: int, interval_s: float) -> None:
    assert HeartbeatRate(15.0, 50.0, hosts).interval_s == pytest.approx(interval_s)


@pytest.mark.parametrize("hosts", [1, 100, 1_000, 10_000, 100_000])
@pytest.mark.parametrize("usual", [(HEARTBEAT_S, HEARTBEATS_A_SECOND), (WATCH_BEAT_S, WATCH_BEATS_A_SECOND)])
def test_no_more_beats_than_are_carried(hosts: int, usual: tuple[float, float]) -> None:
    pace = HeartbeatRate(*usual, hosts)
    assert hosts / pace.interval_s <= pace.per_second + 1e-9
    assert pace.interval_s >= pace.shortest_s


@pytest.mark.parametrize("given", [(0.0, 50.0), (15.0, 0.0), (15.0, -1.0)])
def test_a_pace_that_cannot_be_is_refused(given: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        HeartbeatRate(*given)
