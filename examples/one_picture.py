"""A drawing becomes a painting."""

from PIL import Image

from invoke import Shell

drawing = Image.open("test-pictures/fire-drawing.png")
with Shell() as shell:
    for picture in shell.make("a fire in the night, oil painting -f 0.6 -S 7", image=drawing, width=256):
        print(picture.path)
        print("to make it again:", picture.line)
