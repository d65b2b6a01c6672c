"""For probes: whether the process lives, and whether it can work."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.background.dependencies import check_dependencies
from api.services import ServicesDep
from api.views.system import DependencyView, LiveView, ReadyView

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def live() -> LiveView:
    """The process runs; it says nothing of what it depends on."""
    return LiveView()


@router.get("/ready", responses={503: {"model": ReadyView}})
async def ready(services: ServicesDep, response: Response) -> ReadyView:
    """200 when the database and Temporal both answer, else 503 with which one and where."""
    answers = await check_dependencies(services)
    found = {a.name: DependencyView(ok=not a.wrong, address=a.address, detail=a.wrong) for a in answers}
    all_ok = all(dependency.ok for dependency in found.values())
    response.status_code = 200 if all_ok else 503
    return ReadyView(ready=all_ok, dependencies=found)
