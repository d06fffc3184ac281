"""The composition root: builds the parts that a launch needs, and turns errors into an exit status."""

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO, cast

import invoke
from invoke import signals
from invoke.cli.standard_streams import open_standard_streams
from invoke.engine.process.remote import RemoteEngine
from invoke.errors import CommandError, ExitStatus, InvokeError, OutputError, unexpected
from invoke.language.config_file import read_settings
from invoke.language.launch import Launch, engine_options, read_arguments, warmth
from invoke.language.launch_options import EditingKeys, Preview, usage
from invoke.models import DEFAULT_MODEL, read_registry
from invoke.options import EngineOptions
from invoke.paths import config_file, expanded, keep_log
from invoke.session import Session, models_file, session_of

PIPE = "-"
"""The name of standard input."""
BROKEN_PIPE = 141
"""Exit status that a shell reports for a program killed by a broken pipe: 128 + SIGPIPE."""


NICE = 10
"""Niceness of the engine behind a prompt, so that typing stays responsive."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `invoke` with the words after it; return the exit status (see `errors.ExitStatus`)."""
    if arguments is None:
        _insist_on_utf8()
    open_standard_streams()
    if _shares_its_folder():
        print(_SHARED_FOLDER, file=sys.stderr)
        return ExitStatus.UNUSABLE
    try:
        with signals.as_flags():
            status = _run(read_arguments(sys.argv[1:] if arguments is None else arguments))
            return signals.status() or status
    except InvokeError as error:
        _refuse(error)
        return ExitStatus.USAGE if isinstance(error, CommandError) else ExitStatus.UNUSABLE
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except signals.Terminated as end:
        return int(end.code or ExitStatus.TERMINATED)
    except BrokenPipeError:
        # print nothing more, not even when Python flushes its streams at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (MemoryError, OSError) as error:
        _refuse(unexpected(error, ""))
        return ExitStatus.UNUSABLE


def _refuse(error: InvokeError) -> None:
    from invoke.text import say

    say(sys.stderr, f"invoke: {error.message}")
    if error.hint:
        say(sys.stderr, f"  {error.hint}")


def _say(text: str) -> None:
    from invoke.cli.reports import write

    write(sys.stdout, text)


def _run(launch: Launch) -> int:
    if launch.on("help"):
        _say(usage())
        return ExitStatus.OK
    if launch.on("version"):
        _say(f"invoke-shell {invoke.__version__}")
        return ExitStatus.OK
    if launch.on("print_completion"):
        from invoke.language.completion_scripts import script

        _say(script(launch.options["print_completion"], read_registry(models_file(launch))).rstrip())
        return ExitStatus.OK
    if launch.on("install_completion"):
        from invoke.cli.install_completion import install

        _say(install(read_registry(models_file(launch))))
        return ExitStatus.OK
    if launch.on("print_schema"):
        _say(files("invoke.cli").joinpath("events.schema.json").read_text(encoding="utf-8").rstrip())
        return ExitStatus.OK
    if launch.on("cool"):
        _say(_cool())
        return ExitStatus.OK
    _insist_on_a_folder()
    launch = launch.over(read_settings(config_file()))
    interactive = _is_interactive(launch)
    stream = None if interactive else _open_lines(launch)
    if any(launch.on(name) for name in ("workers", "ray", "shard")):
        from invoke.cli.worker_choice import refuse_outside_batches

        refuse_outside_batches(launch, stream)
    if stream is None and launch.on("resume"):
        raise CommandError(
            "--resume needs a batch (--from-file, or lines on standard input)",
            code="usage",
            hint="add --from-file FILE, or pipe lines in",
        )
    models = read_registry(models_file(launch))
    options = replace(engine_options(launch), nice=NICE if interactive else 0)
    workers = None
    if launch.on("workers") or launch.on("ray"):
        from invoke.cli.worker_choice import count_workers, threads_of_each

        workers = count_workers(launch, options, models, launch.defaults.get("model", DEFAULT_MODEL))
        options = replace(options, threads=threads_of_each(launch, options, workers))
    engine = RemoteEngine(models, options, warmth=warmth(launch))
    # the shell and a single line keep their steps, a batch does not
    session = session_of(launch, engine, models, save_intermediates=int(stream is None))
    with closing(engine):
        if interactive:
            from invoke.shell.app import run

            keys = cast(EditingKeys, launch.options.get("editing_mode", "emacs"))
            history = not launch.on("no_history")
            queue = not launch.on("no_queue")
            return run(
                session,
                history=history,
                editing_mode=keys,
                preview=_preview(launch),
                queue=queue,
                osc=not launch.on("no_osc"),
                bell=not launch.on("no_bell"),
                pages=not launch.on("no_pager"),
            )
        return _run_lines(session, engine, launch, stream, options, workers)


def _cool() -> str:
    from invoke.engine.process.warm.finding import cool
    from invoke.text import counted

    ended = cool()
    return f"{counted(ended, 'warm engine')} ended" if ended else "no warm engine was waiting"


def _run_lines(  # noqa: PLR0913, PLR0917 - each of another type
    session: Session,
    engine: RemoteEngine,
    launch: Launch,
    stream: BinaryIO | None,
    options: EngineOptions,
    workers: int | None,
) -> int:
    """Make the lines of `stream` (None: the line of the launch) on `workers` workers."""
    from invoke.cli.batch import Batch
    from invoke.cli.reports import JsonReport, Report, TextReport
    from invoke.cli.stdin import GLANCE, PATIENCE, Piped, arriving
    from invoke.cli.worker_choice import asked_shard, begin_pool
    from invoke.outputs.ledger import Ledger
    from invoke.outputs.speeds import Speeds
    from invoke.text import count_lines, read_lines
    from invoke.workers.shard import ShardFolder

    single, dry_run = stream is None, launch.on("dry_run")
    log_file = keep_log()  # it keeps the output of an engine that crashes at once
    is_alone = workers is None and not launch.on("ray")
    if is_alone and _may_lack_its_device(launch):
        engine.check_device()
    shard = asked_shard(launch)
    report: Report
    if launch.on("json"):
        report = JsonReport(sys.stdout)
        place = engine.place(session.model) if is_alone and not dry_run else None
        report.session(invoke.__version__, session.model, *(place or (None, None)))
    elif sys.stderr.isatty() and not launch.on("quiet"):
        from invoke.cli.progress_report import WatchedReport

        report = WatchedReport(sys.stdout, sys.stderr, single=single, preview=_preview(launch) if single else "off")
        report.lines = count_lines(stream) if stream else None
        session.watched = report.shows_pictures
    else:
        report = TextReport(sys.stdout, sys.stderr, quiet=launch.on("quiet"), single=single)
    shard_folder = None
    if shard is not None and stream is not None:
        lines = count_lines(stream, sys.maxsize)
        shard_folder = ShardFolder(shard, _source(launch), lines or 0, resume=launch.on("resume"))
    # only after the report has its streams: Ray prints to standard output
    pool = None if dry_run else begin_pool(session, launch, options, workers, log_file)
    batch = Batch(
        session,
        report,
        dry_run=dry_run,
        stop_on_error=launch.on("stop_on_error"),
        log_file=log_file,
        ledger=Ledger(
            _source(launch),
            resume=launch.on("resume"),
            keep=not (single or dry_run),
            part=f"{shard.index}-of-{shard.count}" if shard else "",
        ),
        piped=Piped(None if stream is sys.stdin.buffer else sys.stdin.buffer),
        seconds=partial(
            Speeds().seconds, device=launch.options.get("device", "auto"), threads=options.threads, workers=workers or 1
        ),
        alone=single,
        pool=pool,
        workers=workers or 1,
        shard=shard_folder,
    )
    if stream is None:
        return batch.run([launch.line or ""])
    if stream.seekable():
        return batch.run(read_lines(stream))
    # pending pictures must not wait for lines that are slow to arrive;
    # duplicated, as the thread that reads it is not joined at exit
    patience = PATIENCE if pool is None else GLANCE
    return batch.run(arriving(read_lines(os.fdopen(os.dup(stream.fileno()), "rb")), patience))


def _may_lack_its_device(launch: Launch) -> bool:
    """Whether pictures are to be made on a device that this machine may lack."""
    only_reads = launch.on("dry_run") or (launch.line or "").lstrip().startswith("!")
    return not only_reads and launch.options.get("device", "auto") not in {"auto", "cpu"}


def _preview(launch: Launch) -> Preview:
    return cast(Preview, launch.options.get("preview", "auto"))


def _is_interactive(launch: Launch) -> bool:
    if launch.line is not None or launch.on("from_file") or launch.on("dry_run"):
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()


def _open_lines(launch: Launch) -> BinaryIO | None:
    """The stream of lines; None for the one line of the launch."""
    if launch.line is not None:
        if launch.on("from_file"):
            raise CommandError("a line and --from-file cannot be combined", code="usage")
        return None
    name = launch.options.get("from_file", PIPE)
    if name == PIPE:
        return sys.stdin.buffer
    try:
        return signals.wait_for(lambda: expanded(name).open("rb"))  # opening a FIFO blocks until there is a writer
    except OSError as error:
        raise CommandError(f"{name}: cannot be read: {error.strerror}", code="no_lines") from None


def _source(launch: Launch) -> str:
    """The identity of a batch: a digest of its file's path."""
    name = launch.options.get("from_file", PIPE)
    return name if name == PIPE else sha256(os.fsencode(expanded(name).resolve())).hexdigest()[:16]


def _insist_on_utf8() -> None:
    """Restart in Python's UTF-8 mode if the locale's encoding is ASCII, in which many file names cannot be encoded."""
    if sys.getfilesystemencoding() == "ascii":
        words = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
        os.execve(sys.executable, words, os.environ | {"PYTHONUTF8": "1"})  # noqa: S606 - this program, no shell


def _insist_on_a_folder() -> None:
    """Check that the working folder exists: paths are relative to it, and libraries crash without it.

    Raises OutputError.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise OutputError(
            f"the working folder cannot be used: {error.strerror}",
            code="no_folder",
            hint="change to another folder with cd",
        ) from None


_SHARED_FOLDER = """\
invoke: another package owns the folder `invoke` in this Python: the task runner of that name.
  Both cannot live in one environment, and pip does not warn about it.
  Keep them apart: pipx install invoke-shell"""


def _shares_its_folder() -> bool:
    mine = getattr(invoke, "IS_THE_SHELL", False)
    return not mine or (Path(__file__).parents[1] / "collection.py").exists()
