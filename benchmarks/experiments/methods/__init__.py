"""Name → method: how a network is made to forget, one file each.

A method takes a network in evaluation mode, a task and a seed, and returns another network in
evaluation mode; the one it was given stays as it was. To add one, write its file and one line here.

Hyperparameters are those of the code that the authors of arXiv 2308.07707 published for a ResNet18
(github.com/if-loops/selective-synaptic-dampening), for other networks too, but for SSD's α. Where
that code does not do what the paper says, the paper is followed:

- its retraining gives new weights to layers at the top level of the network only, which in a
  ResNet18 is the last one: `retrain` starts from scratch;
- its random task stops with an error, because the strategy assigns to the name of the module that
  it needs, and its script calls strategies by names that the program refuses;
- its random task measures forgotten accuracy on the training samples, under the name of test
  accuracy: here the two are two figures, and there is no test accuracy of a hundred samples.

Elsewhere it differs from that code in little:

- `finetune` takes random samples, too, in batches of 64, which there has 128;
- `bad_teacher` has batches of 256 for vision transformers, too, which there has 128;
- the noise of `unsir` is made on a network in evaluation mode, which there stays in train mode;
- `label_free` is per sample, and `adaptive_…` are on sums over samples: their files say more.

Epochs are as published, too, where they were chosen for 50 000 training images; with fewer images
the same epochs are fewer steps, which `bad_teacher` feels most. So it and `amnesiac` are there with
more epochs as well, as `…_longer`.
"""

from collections.abc import Callable, Mapping

from torch import nn

from benchmarks.experiments.methods.adaptive import adaptive_empirical, adaptive_label_free
from benchmarks.experiments.methods.amnesiac import amnesiac, amnesiac_longer
from benchmarks.experiments.methods.bad_teacher import bad_teacher, bad_teacher_longer
from benchmarks.experiments.methods.finetune import finetune
from benchmarks.experiments.methods.label_free import label_free
from benchmarks.experiments.methods.ours import ours, ours_empirical
from benchmarks.experiments.methods.retrain import retrain
from benchmarks.experiments.methods.ssd_published import ssd_published
from benchmarks.experiments.methods.unchanged import unchanged
from benchmarks.experiments.methods.unsir import unsir
from benchmarks.experiments.notes import Noted
from benchmarks.experiments.tasks import Task

Method = Callable[[nn.Module, Task, int], nn.Module | Noted]

METHODS: Mapping[str, Method] = {
    "unchanged": unchanged,
    "retrain": retrain,
    "finetune": finetune,
    "amnesiac": amnesiac,
    "amnesiac_longer": amnesiac_longer,
    "bad_teacher": bad_teacher,
    "bad_teacher_longer": bad_teacher_longer,
    "unsir": unsir,
    "ssd_published": ssd_published,
    "label_free": label_free,
    "adaptive_empirical": adaptive_empirical,
    "adaptive_label_free": adaptive_label_free,
    "ours": ours,
    "ours_empirical": ours_empirical,
}
