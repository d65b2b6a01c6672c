"""`python -m api`: settings, services and the server, put together here and nowhere else."""

from __future__ import annotations

import gc
import logging
import sys

import uvicorn
from pydantic import ValidationError

from api.app import create_app
from api.http.request_log import configure
from api.services import Services, connect
from api.settings import Settings

log = logging.getLogger("api")


def main() -> int:
    try:
        settings = Settings()  # type: ignore[call-arg]  # the environment gives them
        services = connect(settings)
    except ValidationError as error:
        for found in error.errors(include_input=False, include_url=False):
            name = str(found["loc"][0]) if found["loc"] else "settings"
            sys.stderr.write(f"{name if name.isupper() else f'SPOT_{name.upper()}'}: {found['msg']}\n")
        return 2
    except (OSError, ValueError) as error:
        sys.stderr.write(f"the API cannot start: {error}\n")
        return 2
    configure(settings.log_level)
    if settings.identity_certificate is None:
        log.warning("SPOT_IDENTITY_CERTIFICATE is not set: identity documents of agents are not verified")
    config = server_config(services)
    gc.collect()
    gc.freeze()  # what is loaded now is never freed, so that no collection looks through it while requests wait
    uvicorn.Server(config).run()
    return 0


def server_config(services: Services) -> uvicorn.Config:
    # A stop does not wait for event streams: they stay open as long as somebody reads them.
    return uvicorn.Config(
        create_app(services),
        host=services.settings.api_host,
        port=services.settings.api_port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
        server_header=False,
        forwarded_allow_ips=services.settings.trusted_proxies,
    )


if __name__ == "__main__":
    sys.exit(main())
