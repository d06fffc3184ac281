"""A process that answers with a pickle, as one that was taken over might."""

import pickle

from invoke.processes import own_streams


def main() -> None:
    _, answers = own_streams()
    pickle.dump({"error": ""}, answers)
    answers.flush()
