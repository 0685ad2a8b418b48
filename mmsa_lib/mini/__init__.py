"""mini-MELD, the embedded data set: makes it from one seed. Nothing here is needed to use the data."""
