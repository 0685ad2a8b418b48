"""Measurements too long for a lesson: each module is a command that writes a file into `course/results`."""
