"""What every document of the API shares."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

MAX_LIMIT = 500

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most items on a page")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before", max_length=400)]


class View(BaseModel):
    """An answer: read from a record's attributes. Instants are ISO 8601 in UTC, money is USD per hour."""

    model_config = ConfigDict(from_attributes=True)


class Request(BaseModel):
    """A request's body: an unknown field is an error, and is not ignored."""

    model_config = ConfigDict(extra="forbid")


class Links(View):
    self: str
    stream: str = ""
    server: str = ""


Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w][\w .@/+-]*$")]
Ec2Id = Annotated[str, Field(max_length=64, pattern=r"^i-[0-9a-zA-Z]{1,40}$", examples=["i-0123456789abcdef0"])]
Region = Annotated[str, Field(max_length=32, pattern=r"^[a-z]{2}(-[a-z]+)+-\d+$", examples=["us-east-1"])]
