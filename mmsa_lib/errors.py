"""Errors a user can act on. The command line prints each as one line and exits with status 2."""


class MMSAError(Exception):
    """Base class: the message is one line that names the file, row or option at fault."""


class DataError(MMSAError):
    """An annotation table or data folder that cannot be used as it is."""


class MediaError(MMSAError):
    """A clip that cannot be decoded; `reason` is the short cause without the file name.

    `passing` tells that the system is at fault, not the clip: another try may succeed.
    """

    def __init__(self, path: object, reason: str, passing: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason
        self.passing = passing

    def __reduce__(self):  # exceptions travel between worker processes by pickle
        return type(self), (self.path, self.reason, self.passing)


class TrainingError(MMSAError):
    """Training that cannot go on, such as a loss that is no longer a number."""


class BackboneError(MMSAError):
    """Pretrained weights that cannot be had, or are not the ones a saved model was trained on."""
