"""What an enrolment has found before its long pass, as its processes have it."""

import torch

from models.specifications import Enrolment
from workers.datasets.digests import digest_images
from workers.enrolment.preparation import Prepared, prepare


def prepared_on(device: torch.device, enrolment: Enrolment) -> Prepared:
    """What is to be summed on that device, of images as they are now."""
    prepared = prepare(enrolment, None, device)
    source, count = prepared.indexed.dataset.source, len(prepared.indexed.rows.sample_ids)
    return prepared.of_images(digest_images(source, count, lambda: None))


def prepared_on_cpu(enrolment: Enrolment) -> Prepared:
    """What this process would sum."""
    return prepared_on(torch.device("cpu"), enrolment)
