"""Networks for which the batched pass is wrong are found on a few samples."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.errors import NotEvaluable
from models.specifications import ArchitectureSpec
from workers.architectures import build
from workers.unlearning.batches import Batch
from workers.unlearning.estimators import Estimator, empirical, label_free
from workers.unlearning.exactness import FEW, pass_sizes, require_exact
from workers.unlearning.importances import fisher_sums

CPU = torch.device("cpu")


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
        require_exact(network.eval(), samples, empirical(), [3])


class Mixed(nn.Module):
    """Positions first, and so many of them that some batches look like whole samples."""

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 5), nn.Linear(5, 3)
        self.places = torch.arange(1.0, positions + 1)[:, None, None]

    def forward(self, inputs: Tensor) -> Tensor:
        of_one = inputs[:, None].expand(-1, len(self.places), -1).transpose(0, 1)
        hidden = torch.tanh(self.embed(of_one * self.places))
        output: Tensor = self.head(hidden.mean(dim=0))
        return output


def test_a_network_that_mixes_them_in_batches_of_some_sizes_only_is_refused() -> None:
    torch.manual_seed(0)
    samples = Batch.of(torch.randn(16, 4), torch.arange(16) % 3)
    # Of 20 positions neither 3 nor 8 is a divisor: there the rules know that they do not apply.
    network = Mixed(positions=20).eval()
    require_exact(network, samples, empirical(), [3])
    with pytest.raises(NotEvaluable, match=r"parameter 'embed.+' come out wrong in batches"):
        require_exact(network, samples, empirical(), pass_sizes(CPU))


def test_passes_that_are_filled_up_are_tried_even_if_there_are_fewer_samples() -> None:
    torch.manual_seed(0)
    samples = Batch.of(torch.randn(3, 4), torch.arange(3))
    # Requests have passes of 64 with a network as cheap as this.
    with pytest.raises(NotEvaluable, match=r"parameter 'embed.+' come out wrong in batches"):
        require_exact(Mixed(positions=64).eval(), samples, empirical(), [])


def test_of_few_samples_larger_passes_are_tried_too() -> None:
    torch.manual_seed(0)
    samples = Batch.of(torch.randn(3, 4), torch.arange(3))
    network = Mixed(positions=20).eval()
    require_exact(network, samples, empirical(), [FEW])
    with pytest.raises(NotEvaluable, match=r"parameter 'embed.+' come out wrong in batches"):
        require_exact(network, samples, empirical(), [FEW, 20])


def test_all_sizes_that_passes_have_are_tried() -> None:
    assert pass_sizes(CPU) == {2, 3, 4, 8, 16, 32, 64}
    assert pass_sizes(torch.device("cuda")) == {2, 3, 4, 8, 16, 32, 64, 128, 256}


@pytest.mark.parametrize("count", [1, 5, 64, 70, 300])
def test_passes_have_these_sizes_and_no_other(count: int) -> None:
    sizes: set[int] = set()

    class Counting(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            sizes.add(len(inputs))
            return super().forward(inputs)

    samples = Batch.of(torch.randn(count, 4), torch.arange(count) % 3)
    fisher_sums(Counting(4, 3).eval(), [samples])
    assert sizes <= {1, *pass_sizes(CPU)}


class Keyed(nn.Module):
    """Attention whose keys have a bias of their own: the softmax does not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(6, 6) for _ in range(3))
        self.head = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        scores = self.query(inputs) @ self.key(inputs).transpose(1, 2)
        output: Tensor = self.head((scores.softmax(dim=2) @ self.value(inputs)).mean(dim=1))
        return output


@pytest.mark.parametrize("estimator", [empirical(), label_free()])
@pytest.mark.parametrize(
    "network",
    [
        Keyed(),
        nn.Sequential(nn.Conv1d(5, 4, 1), nn.InstanceNorm1d(4), nn.Flatten(), nn.Linear(24, 3)),
    ],
    ids=["a key's bias", "what is normalised next"],
)
def test_a_parameter_whose_gradients_are_nothing_but_rounding_refuses_no_network(
    network: nn.Module, estimator: Estimator
) -> None:
    torch.manual_seed(0)
    samples = Batch.of(torch.randn(16, 5, 6), torch.arange(16) % 3)
    require_exact(network.eval(), samples, estimator, pass_sizes(CPU))


@pytest.mark.parametrize("estimator", [empirical(), label_free()])
def test_a_network_that_keeps_them_apart_passes_and_is_left_as_it_was(
    estimator: Estimator,
) -> None:
    torch.manual_seed(0)
    network = build(ArchitectureSpec(name="small_resnet", num_classes=3, options={"width": 8}))
    network.requires_grad_(False)
    samples = Batch.of(torch.randn(8, 3, 8, 8), torch.arange(8) % 3)
    require_exact(network, samples, estimator, pass_sizes(CPU))
    assert not any(parameter.requires_grad for parameter in network.parameters())


class Checkpointed(nn.Module):
    """Computes a part of itself anew when its gradients are taken."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 5), nn.Linear(5, 3)
        self.reentrant = reentrant

    def forward(self, inputs: Tensor) -> Tensor:
        first = inputs.clone().requires_grad_() if self.reentrant else inputs
        output: Tensor = checkpoint(
            lambda x: self.head(torch.tanh(self.embed(x))), first, use_reentrant=self.reentrant
        )
        return output


class OneByOne(nn.Module):
    """Was written for single images."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self.head(inputs.reshape(1, 4))
        return output


@pytest.mark.parametrize(
    "network", [Checkpointed(reentrant=False), OneByOne()], ids=["checkpoint", "one by one"]
)
def test_a_network_of_which_pytorch_finds_no_gradients_is_refused_with_the_reason(
    network: nn.Module,
) -> None:
    samples = Batch.of(torch.randn(3, 4), torch.arange(3))
    with pytest.raises(NotEvaluable, match=r"\(.+\)\. Build the network for evaluation: without"):
        require_exact(network.eval(), samples, empirical(), [3])
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_what_a_reentrant_checkpoint_uses_is_named() -> None:
    # The gradients that PyTorch returns of it are zeros.
    samples = Batch.of(torch.randn(3, 4), torch.arange(3))
    with pytest.raises(NotEvaluable, match=r"found of embed\.bias, embed\.weight, head\..+: the"):
        require_exact(Checkpointed(reentrant=True).eval(), samples, empirical(), [3])


def test_running_out_of_memory_is_not_put_down_to_the_network() -> None:
    class Cramped(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            raise torch.OutOfMemoryError

    samples = Batch.of(torch.randn(3, 4), torch.arange(3))
    with pytest.raises(torch.OutOfMemoryError):
        require_exact(Cramped(4, 3).eval(), samples, empirical(), [3])


def test_a_network_that_changes_its_input_in_place_passes_and_the_samples_are_kept() -> None:
    class Normalising(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs.sub_(0.3).div_(1.5))

    torch.manual_seed(0)
    inputs = torch.randn(8, 4)
    samples = Batch.of(inputs.clone(), torch.arange(8) % 3)
    require_exact(Normalising(4, 3).eval(), samples, empirical(), pass_sizes(CPU))
    assert torch.equal(samples.inputs, inputs)
