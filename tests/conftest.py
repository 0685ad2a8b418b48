"""Environment of every unit test and of the commands it starts: set before torch or matplotlib load."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may reach the network
os.environ["MPLBACKEND"] = "Agg"  # no test may open a window
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it warns after a fork
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side

import pytest


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A tiny data set with clips, made once; tests only read it."""
    from worlds import write_world  # after the environment is set

    return write_world(tmp_path_factory.mktemp("world"))
