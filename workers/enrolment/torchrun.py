"""torchrun that dies with whoever has started it: `-m workers.enrolment.torchrun OPTIONS`.

The options are torchrun's, and end with what it starts. This imports nothing that it does not start
processes with: the ranks begin seconds earlier for it.
"""

import os
import sys

from models.processes import die_with_parent

if __name__ == "__main__":
    die_with_parent(os.getppid())
    # It takes two seconds, in which whoever has started this may already die.
    from torch.distributed import run as torchrun

    torchrun.main(sys.argv[1:])
