"""Where the program begins: before anything slow is imported."""

import signal


def main() -> int:
    """Run `invoke`; a Ctrl-C that comes before there is a program to stop ends it at once, without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # whoever has Ctrl-C ignored, as `nohup … &` does, has it stay so
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from invoke import cli

    signal.signal(signal.SIGINT, before)
    return cli.main()
