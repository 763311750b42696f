"""Reading the samples of a run, some of whose images are gone."""

from dataclasses import dataclass, field

import numpy as np
import torch

from models.errors import SampleUnreadable
from models.specifications import Preprocessing
from workers.datasets import Dataset
from workers.datasets.isolation import IsolatedReader
from workers.datasets.source import ImageSource, SampleIndex, StoredImage
from workers.subjects import readable_batches
from workers.unlearning.importances import BATCH

COUNT = 2 * BATCH + 5


@dataclass
class EverySecondGone(ImageSource):
    """Grey pictures, of which those at odd positions cannot be read; notes what was asked for."""

    asked: list[int] = field(default_factory=list)

    def index(self) -> SampleIndex:
        """As many as there are."""
        return SampleIndex([str(p) for p in range(COUNT)], np.zeros(COUNT, np.int64), None)

    def stored(self, position: int) -> StoredImage:
        """Each as bright as its position."""
        self.asked.append(position)
        if position % 2:
            raise SampleUnreadable(f"The image at position {position} is gone.", position)
        return StoredImage(b"", lambda: torch.full((1, 2, 2), position / COUNT))


def test_each_image_is_asked_for_once_however_many_cannot_be_read() -> None:
    source = EverySecondGone()
    dataset = Dataset(source, Preprocessing(size=2, channels=1, mean=[0], std=[1]))
    isolated = Dataset(source, dataset.preprocessing, reader=IsolatedReader(dataset.read, 2))
    samples = [(position, position % 10) for position in range(COUNT)]
    for each in (dataset, isolated):
        unreadable: dict[int, str] = {}
        batches = list(readable_batches(each, samples, torch.device("cpu"), unreadable=unreadable))
        # One of every so many samples, as the probe of a run counts them.
        assert [len(batch) for batch in batches] == [BATCH // 2, BATCH // 2, 3]
        positions = torch.cat([batch.positions for batch in batches])
        assert positions.tolist() == list(range(0, COUNT, 2))
        assert torch.equal(torch.cat([batch.labels for batch in batches]), positions % 10)
        brightness = torch.cat([batch.inputs for batch in batches]).amax(dim=(1, 2, 3))
        assert torch.allclose(brightness * COUNT, positions.float())
        assert unreadable == {
            position: f"The image at position {position} is gone."
            for position in range(1, COUNT, 2)
        }
    # The other process has notes of its own.
    assert source.asked == list(range(COUNT))
