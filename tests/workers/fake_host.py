"""A worker process with the engine of the tests: its module's `main`, as `workers.host` has one."""

import signal

from invoke.processes import own_streams, receive
from invoke.workers.host import Host, Setup, serve
from tests.workers.lanes import HostedFake


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions, answers = own_streams()
    setup = receive(questions)
    assert isinstance(setup, Setup)
    serve(Host(HostedFake(pause=0.01), setup), questions, answers)
