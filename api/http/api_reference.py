"""The API's reference at /docs: Swagger UI from an installed package. Nothing is loaded from other hosts."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter
from starlette.responses import Response

from api.http.security_headers import CONTENT_POLICY

router = APIRouter(prefix="/docs", include_in_schema=False)

_DAY = {"Cache-Control": "public, max-age=86400"}
# Swagger UI writes style elements of its own.
_POLICY = CONTENT_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Spot Optimizer API</title>
<link rel="icon" href="/docs/favicon.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  showExtensions: true,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""


@router.get("")
async def reference() -> Response:
    return Response(_PAGE, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


@router.get("/start.js")
async def start() -> Response:
    return Response(_START, media_type="text/javascript", headers=_DAY)


@router.get("/swagger-ui-bundle.js")
def script() -> Response:
    return Response(_part("swagger-ui-bundle.js"), media_type="text/javascript", headers=_DAY)


@router.get("/swagger-ui.css")
def style() -> Response:
    return Response(_part("swagger-ui.css"), media_type="text/css", headers=_DAY)


@router.get("/favicon.png")
def icon() -> Response:
    return Response(_part("favicon-32x32.png"), media_type="image/png", headers=_DAY)


def _part(name: str) -> bytes:
    return (resources.files("fastapi_swagger.resources") / name).read_bytes()
