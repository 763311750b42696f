"""`expunge demo`: a deletion pipeline's day, told through the HTTP API.

Train ResNet18 on real digits, enrol it, forget every sample of one class, then twenty random ones,
download the result and look at it in a process that knows nothing but the file.
"""

import hashlib
import json
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console

from demo import training
from demo.report import print_audit, print_fresh, print_run
from embedded.addresses import key_file
from embedded.folder import clear_folder
from embedded.up import address, banner, running
from models.documents import Report
from models.errors import ExpungeError
from models.records import Split
from models.settings import Settings
from models.specifications import (
    ArchitectureSpec,
    DigitsSpec,
    Enrolment,
    HoldoutSpec,
    Preprocessing,
)
from workers.datasets import open_dataset
from workers.datasets.indexing import split_samples

NAME = "digits"
FORGOTTEN_CLASS = 3
RANDOM_SAMPLES = 20
SEED = 0
EPOCHS = 6
THREADS = 2


class DemoFailed(ExpungeError):
    """A step of the demo did not end as it should."""


def run_demo(settings: Settings, stop: threading.Event, *, keep: bool) -> None:
    """Tell the story; with `keep`, leave everything running until `stop` is set."""
    console = Console()
    folder = settings.data_dir / "demo"
    clear_folder(folder)
    # Servers and keys of its own, whatever the environment says: a demo touches nothing else.
    settings = Settings(
        data_dir=folder,
        gateway_host="127.0.0.1",
        gateway_port=_port(settings.gateway_port),
        log_level="WARNING",
        api_keys=[],
        sources_root=None,
        DATABASE_URL="",
        REDIS_URL="",
        ARTIFACT_STORE_URL="",
    )
    console.rule("Starting PostgreSQL, Redis, gateway, worker, steward")
    with running(settings, stop):
        _tell(settings, console)
        if keep:
            console.print(banner(settings))
            stop.wait()


def _tell(settings: Settings, console: Console) -> None:
    enrolment = _enrolment(settings.data_dir / "base.safetensors")
    console.rule("Training torchvision's ResNet18 on scikit-learn's handwritten digits")
    started = time.monotonic()
    with training.threads(THREADS):
        network = training.train(
            enrolment.architecture,
            enrolment.dataset,
            enrolment.preprocessing,
            holdout=enrolment.holdout,
            epochs=EPOCHS,
            seed=SEED,
        )
    training.save(network, Path(enrolment.weights))
    console.print(f"Trained in {time.monotonic() - started:.0f} s.")
    with _client(settings, "admin") as admin, _client(settings, "pipeline") as pipeline:
        console.rule("Enrolling: checking weights, indexing samples, Fisher sums")
        _enrol(admin, enrolment, console)
        whole_class, scattered = _choose(enrolment)
        for title, sample_ids, expected in (
            (
                f"Deletion request: every sample of class {FORGOTTEN_CLASS}",
                whole_class,
                ("published",),
            ),
            (
                f"Deletion request: {RANDOM_SAMPLES} random samples",
                scattered,
                # A network that never memorised them has nothing to forget of them. On another
                # machine it comes out otherwise, and twenty samples may stand out by chance.
                ("published", "no_detectable_influence", "needs_review"),
            ),
        ):
            console.rule(title)
            request = _delete(pipeline, sample_ids)
            run = _get(admin, request["run"]["href"])
            report = Report.model_validate(_get(admin, f"{request['run']['href']}/report"))
            print_run(console, request, report)
            if run["state"] not in expected:
                raise DemoFailed(f"The run ended as {run['state']}.")
        console.rule("Downloading the new checkpoint, and looking at it in a fresh process")
        file = _download(pipeline, settings.data_dir / "forgotten.safetensors")
        print_fresh(console, _look(enrolment, file, [*whole_class, *scattered]))
        console.rule("Audit trail")
        print_audit(console, _get(admin, "/v1/audit/records")["records"])


def _enrolment(weights: Path) -> Enrolment:
    return Enrolment(
        name=NAME,
        architecture=ArchitectureSpec(name="resnet18", num_classes=10),
        weights=str(weights),
        dataset=DigitsSpec(),
        preprocessing=Preprocessing(size=32, channels=3, mean=[0.3], std=[0.35]),
        # Enough of each label to compare forgotten samples with.
        holdout=HoldoutSpec(fraction=0.2, seed=SEED),
    )


def _client(settings: Settings, name: str) -> httpx2.Client:
    key = key_file(settings.data_dir, name).read_text()
    return httpx2.Client(
        base_url=address(settings),
        headers={"Authorization": f"Bearer {key}"},
        timeout=90,
        follow_redirects=True,
    )


def _get(client: httpx2.Client, path: str, **parameters: Any) -> Any:
    return client.get(path, params=parameters).raise_for_status().json()


def _enrol(admin: httpx2.Client, enrolment: Enrolment, console: Console) -> None:
    admin.post("/v1/models", json=enrolment.model_dump(mode="json")).raise_for_status()
    with console.status("waiting for the worker") as status:
        while True:
            model = _get(admin, f"/v1/models/{NAME}", wait=1)
            if model["state"] != "enrolling":
                break
            if model["progress"]:
                progress = model["progress"]
                eta = progress["eta_s"]
                left = "" if eta is None else f", {eta:.0f} s left"
                status.update(f"{progress['done']} of {progress['total']} samples{left}")
    if model["state"] != "active":
        raise DemoFailed(model["failure"]["detail"])
    console.print(
        f"Enrolled: {model['training_samples']} training and {model['holdout_samples']} "
        "holdout samples."
    )


def _choose(enrolment: Enrolment) -> tuple[list[str], list[str]]:
    """All training samples of one class, and some random ones of the others."""
    index = open_dataset(enrolment.dataset, enrolment.preprocessing).index()
    splits = split_samples(index, enrolment.holdout)
    trained = [
        (sample_id, label)
        for sample_id, label, split in zip(index.sample_ids, index.labels, splits, strict=True)
        if split is Split.TRAIN
    ]
    whole_class = [sample_id for sample_id, label in trained if label == FORGOTTEN_CLASS]
    others = [sample_id for sample_id, label in trained if label != FORGOTTEN_CLASS]
    return whole_class, random.Random(SEED).sample(others, RANDOM_SAMPLES)  # noqa: S311


def _delete(pipeline: httpx2.Client, sample_ids: list[str]) -> Any:
    """Post as a pipeline would, and poll until the request has ended."""
    posted = pipeline.post(
        "/v1/deletion-requests",
        json={"model": NAME, "sample_ids": sample_ids},
        headers={"Idempotency-Key": hashlib.sha256(json.dumps(sample_ids).encode()).hexdigest()},
    ).raise_for_status()
    while True:
        request = _get(pipeline, posted.headers["Location"], wait=60)
        if request["status"] not in ("pending", "running"):
            return request


def _download(pipeline: httpx2.Client, path: Path) -> Path:
    response = pipeline.get(f"/v1/models/{NAME}/checkpoints/latest/file").raise_for_status()
    digest = hashlib.sha256(response.content).hexdigest()
    if response.headers["ETag"] != f'"{digest}"':
        raise DemoFailed("The downloaded bytes do not have the digest that the ETag promises.")
    path.write_bytes(response.content)
    return path


def _look(enrolment: Enrolment, file: Path, forgotten: list[str]) -> Any:
    """Accuracies of the downloaded file, measured in a new interpreter."""
    command = [sys.executable, "-m", "demo.fresh", str(file)]
    question = {"enrolment": enrolment.model_dump(mode="json"), "forgotten": forgotten}
    answer = subprocess.run(
        command, input=json.dumps(question), capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise DemoFailed(f"The fresh process failed:\n{answer.stderr}")
    return json.loads(answer.stdout)


def _port(wanted: int) -> int:
    """The wanted port if it is free, else one that is."""
    for candidate in (wanted, 0):
        with socket.socket() as listener, suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", candidate))
            port: int = listener.getsockname()[1]
            return port
    raise DemoFailed("There is no free port on 127.0.0.1.")
