"""torchrun that dies with whoever has started it: `-m workers.enrolment.torchrun PARENT OPTIONS`.

The options are torchrun's, and end with what it starts, which is told this process's number: it
dies with this one. This imports nothing that it does not start processes with: the ranks begin
seconds earlier for it.
"""

import os
import sys

from models.processes import die_with_parent

if __name__ == "__main__":
    parent, *options = sys.argv[1:]
    die_with_parent(int(parent))
    # It takes two seconds, in which whoever has started this may already die.
    from torch.distributed import run as torchrun

    torchrun.main([*options, str(os.getpid())])
