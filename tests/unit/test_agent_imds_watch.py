"""The watch: what EC2 says on IMDS becomes a notice, once, in time, whatever else goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from agent.imds import Imds, ImdsError, learn_identity
from agent.imds_watch import INSTANCE_ACTION, ImdsWatch, read_notice
from agent.notice_board import NoticeBoard
from domain.host import Notice, NoticeKind, NoticeSource
from tests.unit.test_agent_fakes import INSTANCE, TOKEN_PATH, FakeImds, eventually

DEADLINE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def imds() -> Iterator[FakeImds]:
    with FakeImds().serving() as service:
        assert isinstance(service, FakeImds)
        yield service


@pytest.fixture
def board(imds: FakeImds) -> Iterator[NoticeBoard]:
    """With a watch that looks often."""
    found, stop = NoticeBoard(), threading.Event()
    ImdsWatch(INSTANCE, imds.url, found, stop, every_s=0.01).start()
    yield found
    stop.set()


def test_the_session_token_is_kept_between_reads(imds: FakeImds) -> None:
    reader = Imds(imds.url)
    assert reader.identity().zone == "us-east-1a"
    assert imds.paths().count(TOKEN_PATH) == 1


def test_a_session_token_that_has_ended_is_renewed(imds: FakeImds) -> None:
    reader = Imds(imds.url)
    reader.identity()
    imds.tokens.clear()
    assert reader.identity().instance_id == INSTANCE
    assert imds.paths().count(TOKEN_PATH) == 2


def test_a_document_that_cannot_be_read_is_an_error(imds: FakeImds) -> None:
    imds.said["/latest/dynamic/instance-identity/document"] = "<html>"
    with pytest.raises(ImdsError, match="identity document"):
        Imds(imds.url).identity()


def test_the_identity_is_asked_for_until_imds_answers(imds: FakeImds) -> None:
    document = imds.said.pop("/latest/dynamic/instance-identity/document")
    found: list[object] = []
    asking = threading.Thread(target=lambda: found.append(learn_identity(imds.url, threading.Event())))
    asking.start()
    eventually(lambda: len(imds.requests) >= 3)
    imds.said["/latest/dynamic/instance-identity/document"] = document
    asking.join(60)
    assert found


def test_an_interruption_is_heard_with_its_deadline(imds: FakeImds, board: NoticeBoard) -> None:
    imds.interrupt(DEADLINE, "stop")
    eventually(lambda: board.first_not_in([]) is not None)
    notice = board.first_not_in([])
    assert notice is not None
    assert (notice.kind, notice.action, notice.deadline) == (NoticeKind.INTERRUPTION, "stop", DEADLINE)


def test_an_interruption_comes_before_a_rebalance(imds: FakeImds, board: NoticeBoard) -> None:
    imds.recommend_rebalance()
    eventually(lambda: board.first_not_in([]) is not None)
    imds.interrupt(DEADLINE)
    eventually(lambda: board.first_not_in([f"{INSTANCE}/rebalance"]) is not None)
    first = board.first_not_in([])
    assert first is not None
    assert first.kind == NoticeKind.INTERRUPTION


def test_a_new_deadline_updates_the_notice_and_is_news_again(imds: FakeImds, board: NoticeBoard) -> None:
    heard: list[Notice] = []
    board.listen(heard.append)
    imds.interrupt(DEADLINE)
    eventually(lambda: len(heard) == 1)
    imds.interrupt(DEADLINE + timedelta(seconds=60))
    eventually(lambda: len(heard) == 2)
    assert heard[1].deadline == DEADLINE + timedelta(seconds=60)
    assert heard[0].notice_id == heard[1].notice_id


def test_the_same_notice_is_news_only_once(imds: FakeImds, board: NoticeBoard) -> None:
    heard: list[Notice] = []
    board.listen(heard.append)
    imds.interrupt(DEADLINE)
    eventually(lambda: imds.paths().count(INSTANCE_ACTION) > 10)
    assert len(heard) == 1


def test_the_watch_survives_an_answer_that_makes_no_sense(imds: FakeImds, board: NoticeBoard) -> None:
    imds.said[INSTANCE_ACTION] = '{"action": "terminate"}'
    eventually(lambda: imds.paths().count(INSTANCE_ACTION) > 2)
    imds.interrupt(DEADLINE)
    eventually(lambda: board.first_not_in([]) is not None)


def test_a_time_without_a_zone_is_utc() -> None:
    notice = read_notice(INSTANCE, INSTANCE_ACTION, '{"action":"terminate","time":"2026-01-02T03:04:05"}', DEADLINE)
    assert (notice.deadline, notice.source) == (DEADLINE, NoticeSource.IMDS)
