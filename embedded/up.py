"""What `expunge up` does between its start and Ctrl-C."""

import asyncio
import errno
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import click
import httpx2

from embedded.addresses import key_file
from embedded.supervisor import Supervisor
from models.errors import NotConfigured
from models.settings import Settings

START_S = 60.0


def run_up(settings: Settings, stop: threading.Event) -> None:
    """Start everything, say where it is, and keep it running until `stop` is set."""
    with running(settings, stop):
        if not stop.is_set():
            click.echo(banner(settings))
        stop.wait()
        click.echo("Stopping …", err=True)


@contextmanager
def running(settings: Settings, stop: threading.Event) -> Iterator[None]:
    """Everything is up inside the block, and has been stopped in good order after it."""
    require_port(settings)
    supervisor = Supervisor(settings)
    try:
        supervisor.start()
    except BaseException:
        supervisor.stop()
        raise
    with ThreadPoolExecutor(1, thread_name_prefix="supervisor") as pool:
        tending = pool.submit(supervisor.tend, stop)
        # Whatever ends it: nobody is to wait for what nobody tends.
        tending.add_done_callback(lambda _: stop.set())
        try:
            wait_for_gateway(settings, supervisor, stop)
            yield
        finally:
            stop.set()
            tending.result()


def require_port(settings: Settings) -> None:
    """Raise `NotConfigured` unless the gateway can listen where it is to.

    Whoever else does would answer in its place until it has found out itself.
    """

    async def listen() -> None:
        # As the gateway's server does, which may be on several addresses.
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            asyncio.Protocol, settings.gateway_host, settings.gateway_port
        )
        server.close()

    try:
        asyncio.run(listen())
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise NotConfigured(
                f"Port {settings.gateway_port} of {settings.gateway_host} is taken, perhaps by "
                "another Expunge: set EXPUNGE_GATEWAY_PORT, or --port, to one that is free."
            ) from None
        raise NotConfigured(
            f"Nothing can listen at {address(settings)}: {error.strerror}. "
            "Check EXPUNGE_GATEWAY_HOST and EXPUNGE_GATEWAY_PORT."
        ) from None


def address(settings: Settings) -> str:
    """Where the gateway is."""
    return f"http://{settings.gateway_host}:{settings.gateway_port}"


def wait_for_gateway(settings: Settings, supervisor: Supervisor, stop: threading.Event) -> None:
    """Return when the gateway is ready or `stop` is set; raise `NotConfigured` if neither comes."""
    deadline = time.monotonic() + START_S
    while not stop.wait(0.1):
        try:
            answer = httpx2.get(f"{address(settings)}/readyz")
            # If the port has become somebody else's, they answer, and ours is dead.
            if answer.status_code == 200 and supervisor.runs("gateway"):
                return
        except httpx2.TransportError:
            pass
        if time.monotonic() > deadline:
            raise NotConfigured(
                f"The gateway did not become ready at {address(settings)} within {START_S:.0f} s. "
                "Its log above says why."
            )


def banner(settings: Settings) -> str:
    """Addresses and keys, for a person to copy."""
    keys = [
        f"  {name:9} key    {key_file(settings.data_dir, name)}" for name in ("admin", "pipeline")
    ]
    return "\n".join(
        [
            "Expunge is up.",
            f"  gateway          {address(settings)}",
            f"  documentation    {address(settings)}/openapi.json",
            *(keys if not settings.api_keys else []),
            "Ctrl-C stops it.",
        ]
    )
