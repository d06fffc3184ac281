"""A process that answers with a pickle, like a compromised one."""

import pickle

from invoke.processes import own_streams


def main() -> None:
    _, answers = own_streams()
    pickle.dump({"error": ""}, answers)
    answers.flush()
