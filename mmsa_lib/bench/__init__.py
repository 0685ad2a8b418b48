"""How fast the library is, against the usual way to do the same: `make bench` (`python -m mmsa_lib.bench`).

Nothing here is needed to use the library, and nothing is a test: times differ from machine to machine, the ratios
of two ways that are timed in turn differ less. Needs OpenCV (the `course` extra) and the program `ffmpeg`.
"""
