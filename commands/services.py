"""Starting the service: each of its processes alone, or all of them on this machine."""

import signal
import threading
from types import FrameType

import click

from models.settings import Settings


@click.command()
@click.pass_obj
def gateway(settings: Settings) -> None:
    """Serve the HTTP API."""
    from app.main import serve

    serve(settings)


@click.command()
@click.pass_obj
def worker(settings: Settings) -> None:
    """Carry out enrolments and runs, one process each."""
    from workers.main import run_worker

    if not run_worker(settings.require_rendezvous()):
        raise click.ClickException("The queue is gone; start the worker again.")


@click.command()
@click.pass_obj
def steward(settings: Settings) -> None:
    """Queue work that was lost again, remove unused files, re-read stored files for damage."""
    from workers.steward import run_steward

    run_steward(settings, _stop_on_signals())


@click.command()
@click.option("--port", type=int, help="Port of the gateway [EXPUNGE_GATEWAY_PORT, else 8080].")
@click.pass_obj
def up(settings: Settings, port: int | None) -> None:
    """Start everything on this machine: servers, gateway, worker, steward. Ctrl-C stops it."""
    from embedded.up import run_up

    changed = settings if port is None else settings.model_copy(update={"gateway_port": port})
    run_up(changed, _stop_on_signals())


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything running and print the addresses.")
@click.pass_obj
def demo(settings: Settings, keep: bool) -> None:
    """Train a network, enrol it, delete samples over HTTP, and show what came of it."""
    from demo.story import run_demo

    run_demo(settings, _stop_on_signals(), keep=keep)


def _stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
