"""A run whose base does not recognise its images any more."""

from pathlib import Path

import numpy as np

from models.records import Outcome
from tests.conftest import Digits, work
from tests.integration.workers.conftest import Story
from tests.integration.workers.queries import outcomes
from tests.integration.workers.test_pipeline import training_ids


def test_a_base_that_only_guesses_is_noticed_where_images_have_no_digests(
    story: Story, digits: Digits
) -> None:
    story.drop_digests()
    path = Path(digits.enrolment.dataset.path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    request_id = story.post(training_ids(digits, 5)[:10])
    np.savez(path, **{**arrays, "images": np.roll(arrays["images"], 137, axis=0)})
    try:
        work(story.resources.settings.model_copy(update={"retry_s": 3600.0}))
    finally:
        np.savez(path, **arrays)
    (run,) = story.runs()
    assert (run.failure or {})["kind"] == "dataset-changed"
    assert outcomes(story.database, request_id) == {Outcome.PENDING: 10}
