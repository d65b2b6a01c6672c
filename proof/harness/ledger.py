"""The ledger's rows, read from the tables and not through the API, as an auditor would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine.session import make_engine, make_session_factory
from db.tables import Resource
from proof.harness.audit import LedgerRow


class LedgerReader:
    """Reads the ledger of one client."""

    def __init__(self, database_url: str, client_id: str) -> None:
        self._url = database_url
        self._client_id = client_id

    def open_rows(self) -> list[LedgerRow]:
        """Resources that exist, or may exist."""
        query = select(Resource).where(Resource.client_id == self._client_id, Resource.state.in_(("intended", "live")))
        with self._session() as session:
            return [_row(one) for one in session.scalars(query.order_by(Resource.id))]

    def instances_made(self) -> list[LedgerRow]:
        """Every instance that an operation made, also those that are gone."""
        query = select(Resource).where(
            Resource.client_id == self._client_id, Resource.type == "instance", Resource.token.is_not(None)
        )
        with self._session() as session:
            return [_row(one) for one in session.scalars(query)]

    @contextmanager
    def _session(self) -> Iterator[Session]:
        engine = make_engine(self._url, pool_size=1, max_overflow=0)
        try:
            with make_session_factory(engine)() as session:
                yield session
        finally:
            engine.dispose()


def _row(one: Resource) -> LedgerRow:
    return LedgerRow(one.type, one.state, one.resource_id or "", one.token or "", one.operation_id)
