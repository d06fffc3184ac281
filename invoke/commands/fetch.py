"""`!fetch`: puts the line that made a picture on the next prompt, or writes the lines of many into a file."""

from __future__ import annotations

from collections.abc import Sequence

from invoke import files
from invoke.commands.context import CommandContext
from invoke.commands.picture_arguments import called
from invoke.errors import CommandError, OutputError, PictureError
from invoke.language.command_table import arguments, expect
from invoke.language.parse import CommandCall
from invoke.outputs.metadata import Recipe, read
from invoke.paths import expanded
from invoke.text import counted, one_line


def fetch(context: CommandContext, call: CommandCall) -> None:
    """`!fetch FILE` or `!fetch FILE OUT`; FILE may be a pattern, or -1 for the newest picture.

    Raises CommandError, PictureError, RequestError or OutputError.
    """
    expect(call, "a picture")
    words = [word.text for word in arguments(call)]
    named = called(call.rest, context.session, call.column)  # a name with spaces needs no quotes
    paths = named or called(words[0], context.session, call.column) or [words[0]]
    if not named and len(words) > 1:
        _write_lines(context, paths, " ".join(words[1:]))
    elif len(paths) > 1:
        raise CommandError(
            f"{len(paths)} pictures have that name",
            code="many_pictures",
            column=call.column,
            hint=f"name a file to write their lines to: !fetch {call.rest} lines.txt",
        )
    else:
        try:
            recipe = _recipe(paths[0])
            if recipe.left_out:
                context.say(_left_out(recipe))
            context.put_back(recipe.line)
        except PictureError as error:
            error.column = call.column
            raise


def _recipe(path: str) -> Recipe:
    """The recipe of the picture at `path`, which has a line. Raises PictureError."""
    recipe = read(path)
    if recipe is not None and recipe.line:
        return recipe
    maker = f" of {recipe.program}" if recipe is not None and recipe.program else ""
    why = f": {'; '.join(recipe.left_out)}" if recipe is not None and recipe.left_out else ""
    raise PictureError(f"{path}: this picture{maker} has no recipe that can be read{why}", code="no_recipe")


def _left_out(recipe: Recipe) -> str:
    """A comment listing what the line does not contain."""
    return f"# left out: {'; '.join(recipe.left_out)}"


def _write_lines(context: CommandContext, paths: Sequence[str], out: str) -> None:
    """Write a new file of lines for `!replay` and `--from_file`; it must not exist yet."""
    lines, without = [], 0
    for path in paths:
        try:
            recipe = _recipe(path)
            lines += [f"# {one_line(path)}", *([_left_out(recipe)] if recipe.left_out else []), recipe.line]
        except PictureError as error:
            without += 1
            lines.append(f"# {one_line(error.message)}")
    if context.dry_run:
        return
    try:
        files.write_new([expanded(out)], "\n".join([*lines, ""]).encode("utf-8", "backslashreplace"))
    except FileExistsError:
        raise OutputError(f"{out}: a file of this name exists already", hint="choose another name") from None
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error
    summary = f"{counted(len(paths) - without, 'line')} written to {out}"
    context.say(summary + (f"; {counted(without, 'file')} had no recipe" if without else ""))
