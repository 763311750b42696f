"""torchrun that dies with whoever has started it: `-m workers.enrolment.torchrun PROCESSES JOB`.

It starts `workers.enrolment.rank` so many times, and imports nothing that it does not compute with:
the ranks begin seconds earlier for it.
"""

import os
import sys

from models.processes import die_with_parent


def launch(processes: str, job: str) -> None:
    """Start the ranks and wait for them."""
    # It takes two seconds, in which whoever has started this may already die.
    from torch.distributed import run as torchrun

    command = ["--standalone", "--nproc-per-node", processes, "-m", "workers.enrolment.rank", job]
    torchrun.main(command)


if __name__ == "__main__":
    die_with_parent(os.getppid())
    launch(*sys.argv[1:])
