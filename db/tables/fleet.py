"""The fleet: servers, the instances that play them, their agents, and the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Computed, Index, Integer, Numeric, String, and_
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship

from db.tables.base import TABLE, Base, seconds_between
from db.tables.types import Ascii, UtcDateTime


class Server(Base):
    """A machine as its owner thinks of it. `version` guards against stale writes."""

    __tablename__ = "servers"
    __table_args__ = (
        Index("uq_servers_active_name", "client_id", "active_name", unique=True),
        Index(None, "client_id", "created_at", "id"),
        Index(None, "created_at", "id"),
        TABLE,
    )

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(Ascii(64))
    name: Mapped[str] = mapped_column(String(191))
    region: Mapped[str] = mapped_column(Ascii(32))
    account_id: Mapped[str] = mapped_column(Ascii(32), default="")
    handoff: Mapped[str] = mapped_column(Ascii(16))
    policy: Mapped[dict[str, Any]]
    moves: Mapped[list[str]] = mapped_column(default=list)  # what follows it, in words
    state: Mapped[str] = mapped_column(Ascii(16), default="active")  # active | ended
    ended_how: Mapped[str | None] = mapped_column(Ascii(32))
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # A name is free again when its server has ended.
    active_name: Mapped[str | None] = mapped_column(
        String(191), Computed("CASE WHEN state = 'active' THEN name END", persisted=True)
    )

    __mapper_args__ = {"version_id_col": version, "eager_defaults": False}  # noqa: RUF012 - SQLAlchemy declares it so


class Agent(Base):
    """Our process on an instance, as last heard of. Apart from `instances`: its heartbeats never
    wait for a state change, and an instance may have an agent before it is adopted.

    The key starts with the client: a token of one client cannot write over another's agent.
    """

    __tablename__ = "agents"
    __table_args__ = (Index(None, "silent_since", "due_at"), TABLE)

    client_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    instance_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    version: Mapped[str] = mapped_column(Ascii(64), default="")
    identity: Mapped[dict[str, Any]] = mapped_column(default=dict)  # region, zone, type, private address
    registered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)  # it is silent unless it is heard of before
    silent_since: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when that was told; None: it is heard


class Instance(Base):
    """One EC2 instance in one server's life.

    Invariant 1 is `primary_of`: unique, and empty for all but a primary. `live_id` lets an instance
    that was let go be adopted again, and nobody's live instance be adopted twice.
    """

    __tablename__ = "instances"
    __table_args__ = (
        Index("uq_instances_primary_of", "primary_of", unique=True),
        Index("uq_instances_live_id", "live_id", unique=True),
        Index(None, "server_id", "created_at", "id"),
        Index(None, "client_id", "created_at", "id"),
        Index(None, "client_id", "state", "created_at"),
        Index(None, "created_at", "id"),
        Index(None, "state", "created_at"),
        Index(None, "state", "updated_at"),
        TABLE,
    )

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)  # EC2's
    server_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(Ascii(64))
    state: Mapped[str] = mapped_column(Ascii(32))  # domain.instance_states.InstanceState
    role: Mapped[str | None] = mapped_column(Ascii(16))  # primary | replica; None: retired, or not yet
    roles: Mapped[list[Any] | None]  # [when, role] each time it became another; money depends on it
    pool: Mapped[str] = mapped_column(Ascii(128), default="")
    region: Mapped[str] = mapped_column(Ascii(32), default="")
    zone: Mapped[str] = mapped_column(Ascii(32), default="")
    instance_type: Mapped[str] = mapped_column(Ascii(32), default="")
    lifecycle: Mapped[str] = mapped_column(Ascii(16), default="")
    private_ip: Mapped[str] = mapped_column(Ascii(64), default="")
    spot_request_id: Mapped[str] = mapped_column(Ascii(64), default="")
    usd_per_hour: Mapped[float | None] = mapped_column(Numeric(12, 6, asdecimal=False))
    operation_id: Mapped[str | None] = mapped_column(Ascii(64))  # that last changed it
    reason: Mapped[str] = mapped_column(String(1000), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    launch_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    launch_confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    terminate_requested_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    terminate_confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    launch_duration_seconds: Mapped[float | None] = mapped_column(
        Numeric(16, 6, asdecimal=False),
        Computed(seconds_between("launch_requested_at", "launch_confirmed_at"), persisted=True),
    )
    termination_duration_seconds: Mapped[float | None] = mapped_column(
        Numeric(16, 6, asdecimal=False),
        Computed(seconds_between("terminate_requested_at", "terminate_confirmed_at"), persisted=True),
    )
    primary_of: Mapped[str | None] = mapped_column(
        Ascii(64), Computed("CASE WHEN role = 'primary' THEN server_id END", persisted=True)
    )
    live_id: Mapped[str | None] = mapped_column(
        Ascii(64), Computed("CASE WHEN state NOT IN ('terminated', 'released') THEN id END", persisted=True)
    )

    agent: Mapped[Agent | None] = relationship(
        primaryjoin=lambda: and_(
            foreign(Instance.client_id) == Agent.client_id, foreign(Instance.id) == Agent.instance_id
        ),
        viewonly=True,
        uselist=False,
        lazy="raise",  # queries join it; records never read it
    )

    @property
    def agent_seen_at(self) -> datetime | None:
        return self.agent.seen_at if self.agent else None

    @property
    def agent_version(self) -> str:
        return self.agent.version if self.agent else ""


class Resource(Base):
    """The ledger: an AWS resource we made or adopted, written before the call that makes it."""

    __tablename__ = "resources"
    __table_args__ = (
        Index("uq_resources_token", "token", unique=True),
        Index(None, "server_id", "id"),
        Index(None, "client_id", "resource_id"),
        Index(None, "client_id", "state", "type"),
        Index(None, "state", "type"),
        Index(None, "type", "gone_at"),
        TABLE,
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    client_id: Mapped[str] = mapped_column(Ascii(64))
    server_id: Mapped[str] = mapped_column(Ascii(64))
    operation_id: Mapped[str] = mapped_column(Ascii(64), default="")  # empty: adopted by the server itself
    step: Mapped[str] = mapped_column(Ascii(64), default="")
    type: Mapped[str] = mapped_column(Ascii(32))  # instance, volume, snapshot, address, spot_request, …
    token: Mapped[str | None] = mapped_column(Ascii(160))  # its ClientToken; None: adopted
    resource_id: Mapped[str | None] = mapped_column(Ascii(255))  # EC2's; None until it is made
    state: Mapped[str] = mapped_column(Ascii(16))  # intended | live | gone
    how: Mapped[str] = mapped_column(Ascii(32), default="")  # made, adopted; deleted, never_made, released
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    intended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    live_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    gone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Notice(Base):
    """AWS's word about an instance, however many ways it was heard."""

    __tablename__ = "notices"
    __table_args__ = (
        Index(None, "client_id", "seen_at"),
        Index(None, "server_id", "seen_at"),
        Index(None, "seen_at"),
        TABLE,
    )

    notice_id: Mapped[str] = mapped_column(Ascii(128), primary_key=True)
    server_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(Ascii(64))
    instance_id: Mapped[str] = mapped_column(Ascii(64))
    kind: Mapped[str] = mapped_column(Ascii(16))  # interruption | rebalance
    source: Mapped[str] = mapped_column(Ascii(16))  # that came first
    sources: Mapped[list[str]]
    action: Mapped[str] = mapped_column(Ascii(16), default="")
    deadline: Mapped[datetime | None] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    operation_id: Mapped[str | None] = mapped_column(Ascii(64))
    handled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    handled: Mapped[str] = mapped_column(String(255), default="")  # how, in words
