"""Networks for which the batched pass is wrong are found on a few samples."""

import pytest
import torch
from torch import Tensor, nn

from models.errors import NotEvaluable
from models.specifications import ArchitectureSpec
from workers.architectures import build
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import empirical, label_free
from workers.unlearning.exactness import require_exact


class SequenceFirst(nn.Module):
    """Puts the positions before the samples, as some networks of sequences do."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.tanh(self.embed(inputs.transpose(0, 1)))
        output: Tensor = self.head(hidden.mean(dim=0))
        return output


class Coupled(nn.Module):
    """Takes the mean over its batch away from every sample."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.head(inputs - inputs.mean(dim=0))
        return output


@pytest.mark.parametrize(
    ("network", "inputs"),
    [(SequenceFirst(), torch.randn(3, 6, 4)), (Coupled(), torch.randn(3, 4))],
)
def test_a_network_that_mixes_its_samples_is_refused_by_name(
    network: nn.Module, inputs: Tensor
) -> None:
    samples = Batch.of(inputs, torch.tensor([0, 1, 2]))
    with pytest.raises(NotEvaluable, match=r"parameter '.+' come out wrong in batches"):
        require_exact(network.eval(), samples, empirical())


@pytest.mark.parametrize("estimator", [empirical(), label_free()])
def test_a_network_that_keeps_them_apart_passes_and_is_left_as_it_was(estimator: object) -> None:
    torch.manual_seed(0)
    network = build(ArchitectureSpec(name="small_resnet", num_classes=3, options={"width": 8}))
    network.requires_grad_(False)
    samples = Batch.of(torch.randn(3, 3, 8, 8), torch.tensor([0, 1, 2]))
    require_exact(network, samples, estimator)  # type: ignore[arg-type]
    assert not any(parameter.requires_grad for parameter in network.parameters())
