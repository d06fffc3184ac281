"""Where the program begins: before anything slow is imported."""

import signal
import sys


def main() -> int:
    """Run `invoke`; a Ctrl-C during the imports ends it at once, without a traceback."""
    if sys.platform == "win32":
        sys.stderr.write("invoke: runs on Linux, on macOS, and on Windows in WSL (wsl --install)\n")
        return 3
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # a caller that ignores Ctrl-C, as `nohup … &` does, keeps it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from invoke.cli.main import main as run

    signal.signal(signal.SIGINT, before)
    return run()


if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # python -m puts the working folder there: what lies in it is not imported
    sys.exit(main())
