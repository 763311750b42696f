"""What `expunge up` does between its start and Ctrl-C."""

import threading
import time

import click
import httpx2

from embedded.addresses import key_file
from embedded.supervisor import Supervisor
from models.errors import NotConfigured
from models.settings import Settings

START_S = 60.0


def run_up(settings: Settings, stop: threading.Event) -> None:
    """Start everything, say where it is, and watch it until `stop` is set."""
    supervisor = Supervisor(settings)
    try:
        supervisor.start()
        watching = watch_in_background(supervisor, stop)
        wait_for_gateway(settings, stop)
        click.echo(banner(settings))
        stop.wait()
        watching.join()
    finally:
        click.echo("Stopping …", err=True)
        supervisor.stop()


def watch_in_background(supervisor: Supervisor, stop: threading.Event) -> threading.Thread:
    """Keep everything running from a thread, so that the caller can use it."""
    thread = threading.Thread(target=supervisor.watch, args=(stop,), name="supervisor")
    thread.start()
    return thread


def address(settings: Settings) -> str:
    """Where the gateway is."""
    return f"http://{settings.gateway_host}:{settings.gateway_port}"


def wait_for_gateway(settings: Settings, stop: threading.Event) -> None:
    """Return when the gateway is ready; raise `NotConfigured` if it does not become so."""
    deadline = time.monotonic() + START_S
    while not stop.wait(0.1):
        try:
            if httpx2.get(f"{address(settings)}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        if time.monotonic() > deadline:
            raise NotConfigured(
                f"The gateway did not become ready at {address(settings)} within {START_S:.0f} s. "
                "Its log above says why; the port may be taken (use --port)."
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
            f"  documentation    {address(settings)}/docs",
            *(keys if not settings.api_keys else []),
            "Ctrl-C stops it.",
        ]
    )
