"""Who holds a lease."""

import os
import subprocess
import sys

from workers.resources import worker_name


def test_processes_with_one_number_on_hosts_of_one_name_are_told_apart() -> None:
    told = "from workers.resources import worker_name; print(worker_name(20))"
    there = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    host, number, _ = there.stdout.strip().split(":")
    assert worker_name(20).split(":")[:2] == [host, number]
    assert worker_name(20) != there.stdout.strip()


def test_whoever_was_forked_has_the_name_by_which_its_parent_knows_it() -> None:
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(write, worker_name().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 200).decode() == worker_name(pid)
    os.close(read)
    os.close(write)
