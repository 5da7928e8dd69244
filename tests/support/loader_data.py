"""Datasets that a process which did not inherit them can import."""

import os
import random
import signal
import time

import numpy as np

import framework
from framework import data


class Noisy(data.Dataset):
    """Large arrays, small ones, text, and what the item's streams of random numbers give."""

    def __init__(self, n=12):
        self.n = n
        self.table = framework.arange(n)

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        time.sleep(0.001 * (index % 3))
        image = np.full((40, 50), index, np.float32)
        return {"image": image, "index": self.table[index], "name": f"item {index}", "noise": noise()}


class Counting(data.IterableDataset):
    """Each worker's share of the numbers below n."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = data.get_worker_info()
        for i in range(info.id, self.n, info.num_workers):
            yield i, noise()


class Troubled(data.Dataset):
    """Does at item `at` what `trouble` names."""

    def __init__(self, trouble, at=5, n=40):
        self.trouble, self.at, self.n = trouble, at, n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        if index == self.at:
            getattr(self, self.trouble)()
        return np.full(5000, index, np.float32)

    def killed(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def exited(self):
        os._exit(3)

    def error(self):
        raise LookupError("no such scan")

    def own_error(self):
        raise OwnError("scan", 7)

    def slow(self):
        time.sleep(30)


class OwnError(Exception):
    """Cannot be made again from its arguments, so it does not pass to another process."""

    def __init__(self, what, number):
        super().__init__(f"{what} {number} is broken")


class Globals(data.Dataset):
    """What the process's own random streams give, and who it is."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        info = data.get_worker_info()
        return os.getpid(), info.id, random.random(), np.random.random(), framework.get_num_threads()


def noise():
    return np.concatenate([data.item_rng().random(2), framework.rand(2).numpy()])


class Reading(data.Dataset):
    """Reads a long list of names; items say how much memory is the worker's own."""

    def __init__(self, names):
        self.names = names

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        assert self.names[index]
        if (index + 1) % 2000:
            return 0, 0
        with open("/proc/self/smaps_rollup") as file:
            fields = dict(line.split(":") for line in file.read().splitlines()[1:])
        return os.getpid(), 1024 * int(fields["Private_Dirty"].split()[0])
