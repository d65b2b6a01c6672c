"""What the API writes, each with its event."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.clients import audit, clients, tokens
from db.clients.clients import get_client
from db.clients.tokens import find_token, list_tokens
from db.engine.session import SessionFactory
from db.event_log.reading import events_after
from db.fleet import agents
from db.market.incoming_prices import store_spot_prices
from db.market.pools import get_pool, page_of_pools
from db.tables import Agent, Audit, Client, PriceObservation, Server, Token
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from tests.database_schemas import NOW, unique

pytest_plugins = ["tests.database_fixtures"]


def told(session: Session, client_id: str) -> list[str]:
    return [event.type for event in events_after(session, client_id, 0).events]


def test_a_clients_life_is_told(sessions: SessionFactory, client_id: str) -> None:
    token = unique("tok")
    with sessions.begin() as session:
        tokens.create_token(session, token, "a" * 64, NOW, client_id=client_id, label="laptop")
    with sessions.begin() as session:
        assert find_token(session, token) is not None
        assert [t.id for t in list_tokens(session, client_id)] == [token]
        assert clients.delete_client(session, client_id, NOW)
    with sessions.begin() as session:
        assert get_client(session, client_id) is None
        assert find_token(session, token) is None
        assert not clients.delete_client(session, client_id, NOW)
        assert told(session, client_id) == ["client.created", "token.created", "client.deleted"]


def test_a_client_with_servers_stays(sessions: SessionFactory, client_id: str) -> None:
    plain = {"region": "us-east-1", "handoff": "stateless", "policy": {}, "created_at": NOW, "updated_at": NOW}
    with sessions.begin() as session:
        session.add(Server(id=unique("srv"), client_id=client_id, name="orders-db", **plain))
    with pytest.raises(clients.ClientHasServers, match="orders-db"), sessions.begin() as session:
        clients.delete_client(session, client_id, NOW)


def test_a_token_is_revoked_once_and_by_its_own_client(sessions: SessionFactory, client_id: str) -> None:
    token, admin = unique("tok"), unique("tok")
    with sessions.begin() as session:
        tokens.create_token(session, token, "a" * 64, NOW, client_id=client_id)
        tokens.create_token(session, admin, "b" * 64, NOW, client_id=None)
    with sessions.begin() as session:
        assert not tokens.revoke_token(session, "cli-other", token, NOW)
        assert not tokens.revoke_token(session, client_id, admin, NOW)
        assert tokens.revoke_token(session, client_id, token, NOW)
        assert not tokens.revoke_token(session, client_id, token, NOW)
        assert find_token(session, token) is None
        kept = find_token(session, admin)
        assert kept is not None
        assert (kept.kind, kept.client_id) == ("admin", None)
        assert told(session, client_id)[1:] == ["token.created", "token.revoked"]


def test_a_tokens_use_is_kept_to_the_minute(sessions: SessionFactory, client_id: str) -> None:
    token = unique("tok")
    with sessions.begin() as session:
        tokens.create_token(session, token, "a" * 64, NOW, client_id=client_id)
        for seconds in (0, 59, 61):
            tokens.token_used(session, token, NOW + timedelta(seconds=seconds))
            used = session.scalar(select(Token.last_used_at).where(Token.id == token))
            assert used == NOW + timedelta(seconds=61 if seconds == 61 else 0)


def test_an_agents_heartbeats_are_few_writes_and_no_events(sessions: SessionFactory, client_id: str) -> None:
    with sessions.begin() as session:
        assert not agents.agent_seen(session, client_id, "i-1", NOW)
        agents.register_agent(session, client_id, "i-1", "1.0", {"zone": "us-east-1a"}, NOW)
        for seconds, kept in ((4, 0), (6, 6)):
            assert agents.agent_seen(session, client_id, "i-1", NOW + timedelta(seconds=seconds))
            seen = session.scalar(select(Agent.seen_at).where(Agent.client_id == client_id))
            assert seen == NOW + timedelta(seconds=kept)
        assert told(session, client_id) == ["client.created", "agent.registered"]


def test_when_an_agent_is_due_follows_from_what_it_was_told(sessions: SessionFactory, client_id: str) -> None:
    def due_in() -> float:
        with sessions() as session:
            due_at = session.scalars(select(Agent.due_at).where(Agent.client_id == client_id)).one()
        return (due_at - NOW).total_seconds()

    with sessions.begin() as session:
        agents.register_agent(session, client_id, "i-1", "1.0", {}, NOW)
    assert due_in() == 45
    with sessions.begin() as session:
        agents.agent_seen(session, client_id, "i-1", NOW + timedelta(seconds=10), 200.0)
    assert due_in() == 610
    with sessions.begin() as session:
        agents.register_agent(session, client_id, "i-1", "1.0", {}, NOW + timedelta(seconds=20), 20.0)
    assert due_in() == 80


def test_invariant_7_an_agent_of_another_client_is_left_alone(sessions: SessionFactory, client_id: str) -> None:
    with sessions.begin() as session:
        clients.create_client(session, client_id + "-b", "b", NOW)
        agents.register_agent(session, client_id, "i-2", "1.0", {}, NOW)
        agents.register_agent(session, client_id + "-b", "i-2", "9.9", {}, NOW)
        assert session.get_one(Agent, (client_id, "i-2")).version == "1.0"


def test_an_audit_row_says_who_did_what(session: Session) -> None:
    subject = unique("srv")
    audit.write_audit(session, NOW, "server.switch", "accepted", token_id="tok-1", subject=subject, request_id="r")
    row = session.scalars(select(Audit).where(Audit.subject == subject)).one()
    assert (row.action, row.outcome, row.token_id, row.at) == ("server.switch", "accepted", "tok-1", NOW)


def test_creating_a_client_twice_leaves_no_half(sessions: SessionFactory, client_id: str) -> None:
    with pytest.raises(Exception, match="Duplicate"), sessions.begin() as session:
        clients.create_client(session, client_id, "again", NOW)
    with sessions() as session:
        assert session.get_one(Client, client_id).name == client_id
        assert told(session, client_id) == ["client.created"]


def test_a_price_is_kept_once_and_the_latest_stands_beside_the_pool(session: Session) -> None:
    def seen(minute: int, usd: str) -> ReportedPrice:
        return ReportedPrice("eu-west-1", "eu-west-1a", "m5.large", NOW + timedelta(minutes=minute), usd)

    for prices in ([seen(5, "0.05"), seen(3, "0.03")], [seen(4, "0.04"), seen(5, "0.05")]):
        store_spot_prices(session, prices, PriceSource.EC2, PriceBounds(), NOW)
    spot = get_pool(session, "eu-west-1a/m5.large/spot")
    assert spot is not None
    assert (spot.usd_per_hour, spot.priced_at) == (0.05, NOW + timedelta(minutes=5))
    assert session.scalar(select(func.count()).select_from(PriceObservation)) == 3
    assert [pool.lifecycle for pool in page_of_pools(session, region="eu-west-1").items] == ["spot"]
