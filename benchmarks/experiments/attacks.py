"""Attacks that guess from a network's outputs whether it was trained on a sample."""

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn


def called_members(retained: Tensor, unseen: Tensor, forgotten: Tensor) -> float:
    """The share of forgotten samples that the published attack takes for training samples.

    The attack of arXiv 2205.08096 and 2308.07707: a logistic regression, classes balanced, on the
    entropy of the softmax, that learns to tell retained from unseen samples. Takes logits
    [n, classes].
    """
    learned = torch.cat([entropies(retained), entropies(unseen)])
    is_member = torch.cat([torch.ones(len(retained)), torch.zeros(len(unseen))])
    attack = LogisticRegression(class_weight="balanced")
    attack.fit(learned[:, None].numpy(), is_member.numpy())
    return float(attack.predict(entropies(forgotten)[:, None].numpy()).mean())


def loss_auc(forgotten: Tensor, unseen: Tensor, labels: Tensor, unseen_labels: Tensor) -> float:
    """How well a sample's loss tells forgotten from unseen samples of the same labels.

    The area under the receiver operating characteristic: 0.5 is guessing; above it, forgotten
    samples have lower losses, as members do; below it, higher ones, which tells as much.
    """
    losses = torch.cat([_losses(forgotten, labels), _losses(unseen, unseen_labels)])
    is_member = torch.cat([torch.ones(len(forgotten)), torch.zeros(len(unseen))])
    return float(roc_auc_score(is_member.numpy(), -losses.numpy()))


def entropies(logits: Tensor) -> Tensor:
    """The entropy of each sample's softmax, in nats."""
    probabilities = logits.double().softmax(dim=1)
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(dim=1)


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.double(), labels, reduction="none")
