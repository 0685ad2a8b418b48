"""`python -m mmsa_lib` is the command `mmsa`."""

from mmsa_lib.cli import main

if __name__ == "__main__":
    main()
