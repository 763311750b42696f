"""A fresh process that has only the downloaded file: what does this network still know?

Reads the question from standard input and writes the accuracies to standard output, both JSON.
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn

from models.records import Split
from models.specifications import Enrolment
from workers.architectures import build
from workers.datasets import Dataset, open_dataset
from workers.datasets.indexing import split_samples
from workers.tensors import read_tensors
from workers.unlearning.batches import Batch
from workers.unlearning.probing.observation import observe


def main() -> None:
    """Answer one question."""
    question = json.load(sys.stdin)
    enrolment = Enrolment.model_validate(question["enrolment"])
    weights, _ = read_tensors(Path(sys.argv[1]))
    network = build(enrolment.architecture)
    network.load_state_dict(weights)
    json.dump(accuracies(network, enrolment, set(question["forgotten"])), sys.stdout)


def accuracies(
    network: nn.Module, enrolment: Enrolment, forgotten: set[str]
) -> dict[str, float | None]:
    """Accuracy on forgotten, retained and holdout samples, and holdout label by label."""
    dataset = open_dataset(enrolment.dataset, enrolment.preprocessing)
    index = dataset.index()
    splits = split_samples(index, enrolment.holdout)
    labels = index.labels.tolist()
    groups: dict[str, list[int]] = {"forgotten": [], "retained": [], "holdout": []}
    for position, (sample_id, split) in enumerate(zip(index.sample_ids, splits, strict=True)):
        if split is Split.HOLDOUT:
            groups["holdout"].append(position)
            groups.setdefault(f"holdout of class {labels[position]}", []).append(position)
        else:
            groups["forgotten" if sample_id in forgotten else "retained"].append(position)
    return {
        name: _accuracy(network, dataset, positions, labels)
        for name, positions in sorted(groups.items())
    }


def _accuracy(
    network: nn.Module, dataset: Dataset, positions: list[int], labels: list[int]
) -> float | None:
    chosen = torch.tensor([labels[position] for position in positions])
    return observe(network, [Batch.of(dataset.load(positions), chosen)]).accuracy


if __name__ == "__main__":
    main()
