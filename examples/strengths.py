"""The same line at four strengths, on one sheet."""

from invoke import Shell
from invoke.events import Saved

with Shell() as shell:
    sheets = []
    line = "a fire in the night -I test-pictures/fire-drawing.png -W 256 -s 12 -S 7 --sweep strength=0.2,0.4,0.6,0.8"
    for picture in shell.make(line, on_event=lambda event: sheets.append(event) if isinstance(event, Saved) else None):
        print(picture.request.strength, picture.path)
    print("side by side:", *(event.path for event in sheets if event.kind == "sweep"))
