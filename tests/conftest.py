"""Environment of every unit test and of the commands it starts: set before torch or matplotlib load."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may reach the network
os.environ["MPLBACKEND"] = "Agg"  # no test may open a window
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it warns after a fork
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side
