"""A mask from memory: white is kept, black is repainted."""

from PIL import Image

from invoke import Shell

drawing = Image.open("test-pictures/fire-drawing.png").convert("RGB").resize((256, 256))
mask = Image.new("L", drawing.size, 255)
mask.paste(0, (0, 0, 256, 128))
with Shell() as shell:
    [picture] = shell.make("a starry night -f 1 -S 7", image=drawing, mask_image=mask)
print(picture.path)
