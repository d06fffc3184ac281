"""Captions as people type them: synonyms, any order, omissions, and occasional meaningless words."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.scenes import Scene

SUBJECT_WORDS: dict[str, tuple[str, ...]] = {
    "tree": ("tree", "tree", "oak", "green tree"),
    "autumn tree": ("autumn tree", "tree in autumn", "autumn", "fall tree", "orange tree"),
    "cherry tree": ("cherry tree", "cherry blossom", "blossoming tree", "cherry tree in bloom", "pink tree"),
    "pine": ("pine", "pine tree", "fir tree", "christmas tree"),
    "palm": ("palm tree", "palm"),
    "house": ("house", "cottage", "home"),
    "fire": ("fire", "fire", "campfire", "burning fire", "flames"),
    "boat": ("boat", "sailboat", "sailing boat"),
    "ship": ("ship", "steamship", "ocean liner"),
    "cactus": ("cactus", "green cactus"),
    "castle": ("castle", "old castle", "medieval castle"),
    "cat": ("cat", "cat", "kitten", "sitting cat"),
    "flower": ("flower", "flower", "blossom"),
    "lighthouse": ("lighthouse", "stone lighthouse"),
    "windmill": ("windmill", "mill", "old windmill"),
    "mushroom": ("mushroom", "toadstool", "red mushroom"),
    "snowman": ("snowman",),
    "tent": ("tent", "camping tent"),
    "car": ("car", "old car", "automobile"),
    "brick wall": ("brick wall", "old brick wall", "wall", "wall of bricks"),
}

EXTRA_WORDS: dict[str, tuple[str, ...]] = {"balloon": ("<balloon>",)}
"""Words for subjects that the base model does not know, added by a textual inversion."""

GROUND_WORDS: dict[str, tuple[str, ...]] = {
    "hill": ("on a hill", "on a green hill", "on a hill", "in the hills"),
    "field": ("in a field", "in a golden field", "in a wheat field", "on a field"),
    "mountains": ("in the mountains", "in front of mountains", "with mountains", "with mountains behind it"),
    "sea": ("by the sea", "at sea", "by the ocean", "with the sea"),
    "desert": ("in the desert", "in a desert", "on sand dunes"),
    "snow": ("in the snow", "in snow", "in winter", "on a snowy hill"),
    "beach": ("on the beach", "on a beach", "at the beach"),
    "fireplace": ("in a fireplace", "in the fireplace", "in a hearth", "indoors"),
}
AFLOAT_WORDS = ("on the sea", "at sea", "on the ocean", "on the water", "on a lake")

LAND_WORDS: dict[str, tuple[str, ...]] = {
    "hill": ("hill", "hills", "green hills"),
    "field": ("field", "wheat field"),
    "mountains": ("mountains", "snowy mountains", "mountain landscape"),
    "sea": ("sea", "ocean", "the sea"),
    "desert": ("desert", "sand dunes"),
    "snow": ("snow", "winter", "snowy landscape"),
    "beach": ("beach", "sandy beach"),
    "fireplace": ("fireplace",),
}
"""Captions of a ground without a subject."""

SKY_WORDS: dict[str, tuple[str, ...]] = {
    "day": ("on a sunny day", "under a blue sky", "by day", "in sunshine", "during the day", "sunny"),
    "clouds": ("under clouds", "under a cloudy sky", "with clouds", "on a cloudy day", "cloudy"),
    "sunset": ("at sunset", "at sunset", "at dusk", "at dawn", "at sunrise", "in the evening", "sunset"),
    "night": (
        "at night",
        "at night",
        "under the stars",
        "under the moon",
        "in moonlight",
        "with moon and stars",
        "under a starry sky",
        "night",
    ),
    "storm": ("in a storm", "in a thunderstorm", "under a stormy sky", "with lightning", "storm"),
    "rain": ("in the rain", "in rain", "on a rainy day", "rain"),
}
SKY_ALONE: dict[str, tuple[str, ...]] = {
    "day": ("blue sky", "sunny day", "day"),
    "clouds": ("clouds", "cloudy sky"),
    "sunset": ("sunset", "evening"),
    "night": ("night", "starry night", "night sky"),
    "storm": ("storm", "thunderstorm", "lightning"),
    "rain": ("rain", "rainy day"),
}

STYLE_FIRST: dict[str, tuple[str, ...]] = {
    "photograph": ("photograph of", "photo of", "nature photograph of", "nature photo of"),
    "painting": ("painting of", "oil painting of", "oil on canvas of"),
    "pencil": ("pencil sketch of", "sketch of", "pencil drawing of", "drawing of"),
    "watercolour": ("watercolour of", "watercolor of", "watercolour painting of"),
    "poster": ("poster of", "cartoon of", "flat poster of"),
    "ink": ("ink drawing of", "ink painting of", "woodcut of"),
    "blueprint": ("blueprint of",),
}
STYLE_LAST: dict[str, tuple[str, ...]] = {
    "photograph": ("photograph", "photo", "nature photograph", "nature photography", "photorealistic"),
    "painting": ("oil painting", "painting", "oil on canvas", "oil", "painted in oil"),
    "pencil": ("pencil sketch", "sketch", "pencil drawing", "pencil"),
    "watercolour": ("watercolour", "watercolor", "in watercolour", "watercolor painting"),
    "poster": ("poster", "cartoon", "flat colours", "poster art"),
    "ink": ("ink drawing", "ink", "black ink", "woodcut"),
    "blueprint": ("blueprint",),
}
STYLE_KEPT = {"photograph": 0.55, "painting": 0.7}
"""How often a style is named. A bare "fire" is therefore mostly a photograph or a painting."""

FILLERS = (
    "beautiful",
    "lovely",
    "big",
    "large",
    "old",
    "little",
    "simple",
    "peaceful",
    "colourful",
    "single",
)
TAILS = (
    "highly detailed",
    "detailed",
    "masterpiece",
    "beautiful light",
    "artstation",
    "high quality",
    "sharp",
    "wide angle",
    "landscape",
    "nature",
    "very simple",
)


def caption(scene: Scene, rng: Random) -> str:
    """A random caption of the scene."""
    subject = _subject(scene, rng)
    parts = _places(scene, rng, alone=not subject)
    style_said = rng.random() < STYLE_KEPT.get(scene.style, 0.95)
    if rng.random() < 0.03:
        return rng.choice(STYLE_LAST[scene.style])
    words = " ".join(
        [subject, *parts] if rng.random() < 0.8 else [", ".join(part for part in (subject, *parts) if part)]
    ).strip()
    if not words:
        words = rng.choice(LAND_WORDS[scene.ground]) if rng.random() < 0.5 else rng.choice(SKY_ALONE[scene.sky])
    if rng.random() < 0.08:
        words = f"{words}, {rng.choice(TAILS)}"
    if rng.random() < 0.02:
        words = f"{words} {_nonsense(rng)}"
    if style_said:
        if rng.random() < 0.55:
            article = "" if words.startswith(("a ", "an ", "the ")) or rng.random() < 0.5 else _article(words)
            first = rng.choice(STYLE_FIRST[scene.style])
            words = f"{_article(first) if rng.random() < 0.5 else ''}{first} {article}{words}"
        else:
            words = (
                f"{words}, {rng.choice(STYLE_LAST[scene.style])}"
                if rng.random() < 0.8
                else f"{rng.choice(STYLE_LAST[scene.style])}, {words}"
            )
    return words


def vocabulary() -> set[str]:
    """Every word of the captions, except for meaningless ones."""
    tables = (SUBJECT_WORDS, GROUND_WORDS, LAND_WORDS, SKY_WORDS, SKY_ALONE, STYLE_FIRST, STYLE_LAST)
    phrases = [phrase for table in tables for words in table.values() for phrase in words]
    phrases += [
        *AFLOAT_WORDS,
        *FILLERS,
        *TAILS,
        "with a river",
        "beside a river",
        "river",
        "by a river",
        "a an the and",
    ]
    phrases += ["red blue yellow white green pink orange grey gray black purple brown"]
    return {word for phrase in phrases for word in phrase.replace(",", " ").split()}


def _subject(scene: Scene, rng: Random) -> str:
    if scene.subject == "none":
        return ""
    words = rng.choice((SUBJECT_WORDS | EXTRA_WORDS)[scene.subject])
    if scene.colour and rng.random() < 0.7:
        words = f"{'gray' if scene.colour == 'grey' and rng.random() < 0.3 else scene.colour} {words}"
    if rng.random() < 0.06:
        words = f"{rng.choice(FILLERS)} {words}"
    return f"{_article(words)}{words}" if rng.random() < 0.45 else words


def _places(scene: Scene, rng: Random, *, alone: bool) -> list[str]:
    """Ground, river and sky, each named or omitted."""
    said: list[str] = []
    ground_words = (
        AFLOAT_WORDS if scene.subject in ("boat", "ship") and scene.ground == "sea" else GROUND_WORDS[scene.ground]
    )
    if alone:
        if rng.random() < 0.8:
            said.append(rng.choice(LAND_WORDS[scene.ground]))
    elif rng.random() < 0.68:
        said.append(rng.choice(ground_words))
    if scene.river and rng.random() < 0.85:
        said.append(
            rng.choice(("with a river", "with a river", "beside a river", "by a river"))
            if said or not alone
            else "river"
        )
    if scene.ground != "fireplace" and rng.random() < {"day": 0.25, "clouds": 0.7}.get(scene.sky, 0.88):
        said.append(rng.choice(SKY_WORDS[scene.sky]) if said or not alone else rng.choice(SKY_ALONE[scene.sky]))
    if not alone and rng.random() < 0.25:
        rng.shuffle(said)
    return said


def _article(words: str) -> str:
    if words.split(maxsplit=1)[0] in ("autumn", "flames", "watercolor") and words in ("autumn", "flames"):
        return ""
    return "an " if words[0] in "aeiou" else "a "


def _nonsense(rng: Random) -> str:
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 8)))
