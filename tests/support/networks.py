"""Networks that are not as they were built."""

from torch import nn


def shuffle_statistics(network: nn.Module) -> None:
    """Draw the running statistics of its batch norms, in place, from PyTorch's own generator.

    A fresh batch norm does nothing: whoever forgets about the statistics would not be found out.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
