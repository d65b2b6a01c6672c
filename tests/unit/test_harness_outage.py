"""What counts as an outage, and how long it was."""

from __future__ import annotations

from proof.harness.outage import Sample, Window, failed_requests, first_answer, gaps, outage_ms

OLD, NEW = "i-old", "i-new"


def ok(started: float, ended: float | None = None, instance: str = OLD) -> Sample:
    return Sample(started, ended if ended is not None else started + 0.01, True, instance)


def bad(started: float, ended: float | None = None) -> Sample:
    return Sample(started, ended if ended is not None else started + 0.01, False)


def test_without_a_failed_request_there_is_no_outage_however_slow_an_answer_was() -> None:
    assert outage_ms([[ok(1.0), ok(1.1, 3.0), ok(3.1)]], Window(0, 10)) == 0


def test_an_outage_lasts_from_the_last_success_to_the_next() -> None:
    samples = [ok(1.0, 1.01), bad(1.1, 1.2), bad(1.3, 1.4), ok(1.5, 1.61)]
    assert outage_ms([samples], Window(0, 10)) == 600
    [gap] = gaps(samples)
    assert (gap.failures, gap.first, gap.last) == (2, 1.1, 1.4)


def test_the_longest_gap_of_any_client_counts() -> None:
    one = [ok(1.0, 1.0), bad(1.1), ok(1.3, 1.3), bad(2.0), ok(2.9, 2.9)]
    other = [ok(1.0, 1.0), bad(1.5), ok(3.5, 3.5)]
    assert outage_ms([one], Window(0, 10)) == 1600
    assert outage_ms([one, other], Window(0, 10)) == 2500


def test_one_clients_success_does_not_end_anothers_outage() -> None:
    out = [ok(1.0, 1.0), bad(1.1), bad(1.2), ok(2.0, 2.0)]
    served = [ok(1.0), ok(1.15), ok(1.3)]
    assert outage_ms([out, served], Window(0, 10)) == 1000


def test_failures_outside_the_window_belong_to_another_operation() -> None:
    samples = [ok(1.0, 1.0), bad(1.5, 1.6), ok(2.0, 2.0), bad(8.0, 8.1), ok(8.4, 8.4)]
    assert outage_ms([samples], Window(3.0, 7.0)) == 0
    assert outage_ms([samples], Window(3.0, 8.05)) == 6400


def test_the_window_reaches_a_tenth_before_the_request_and_a_second_past_the_end() -> None:
    window = Window.around(10.0, 20.0)
    assert failed_requests([[bad(9.85, 9.895), bad(9.9, 9.91), bad(20.99, 21.5), bad(21.01)]], window) == 2


def test_what_fails_after_the_next_request_is_not_this_ones() -> None:
    failed = [[bad(20.05), bad(20.35), bad(20.45)]]
    assert failed_requests(failed, Window.around(10.0, 20.0, then=20.4)) == 1
    assert failed_requests(failed, Window.around(20.4, 25.0)) == 2
    assert Window.around(10.0, 20.0, then=15.0).until == 20.0, "what fails while it runs is its own all the same"


def test_an_outage_that_never_ended_lasts_until_the_last_request() -> None:
    assert outage_ms([[ok(1.0, 1.0), bad(1.1), bad(5.0, 6.0)]], Window(0, 10)) == 5000


def test_an_outage_before_any_success_begins_with_the_first_failure() -> None:
    assert outage_ms([[bad(1.0, 1.1), ok(1.4, 1.5)]], Window(0, 10)) == 500


def test_serving_begins_with_the_first_answer_to_a_request_sent_after_the_notice() -> None:
    samples = [ok(1.0), ok(1.9, 2.2, NEW), bad(2.3), ok(2.5, 2.6, OLD), ok(3.0, 3.1, NEW)]
    assert first_answer([samples], 2.0, lambda instance: instance == NEW) == 3.1
    assert first_answer([samples], 2.0) == 2.6
    assert first_answer([samples], 4.0) is None
