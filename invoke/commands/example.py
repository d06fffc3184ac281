"""`!example`: copies the pictures used in the docs into the working folder."""

from pathlib import Path

from invoke import files
from invoke.commands.context import CommandContext
from invoke.errors import OutputError
from invoke.language.parse import CommandCall
from invoke.text import counted

FOLDER = "test-pictures"
_PACKAGE = Path(__file__).parents[1]
LINE = '"a fire, photograph" -I test-pictures/fire-drawing.png -W 256 -H 256 -s 20 -f 0.7'


def example(context: CommandContext, call: CommandCall) -> None:
    """Copy missing files, and put a first line on the prompt. Raises OutputError."""
    shipped = _PACKAGE / FOLDER
    source = shipped if shipped.is_dir() else _PACKAGE.parent / FOLDER
    target = Path(FOLDER)
    copied = 0
    if not context.dry_run:
        try:
            target.mkdir(exist_ok=True)
            for file in sorted(source.iterdir()):
                if not (target / file.name).exists():
                    files.write_new([target / file.name], file.read_bytes(), durable=False)
                    copied += 1
        except OSError as error:
            raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
        context.say(f"{counted(copied, 'file')} copied to {target}/" if copied else f"{target}/ has everything already")
    context.confirm("Enter redraws one of them with the line on the prompt")
    context.put_back(LINE)
