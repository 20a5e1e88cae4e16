"""Names from files as a reader sees them: nothing in them moves, hides or reorders the text around them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import takewhile

from fne_cli.unprintable import plain

_BREAK = re.compile(r"[\s_/.,;:()-]")  # what stands between the words of a name


def shown(name: str, length: int = 64, keep: str = "") -> str:
    """A name as one line of at most `length` characters, the middle of a longer one left out. keep: as in `plain`."""
    text = plain(name if len(name) <= 2 * length else name[:length] + "…" + name[-length:], keep) or "(no name)"
    return text if len(text) <= length else without_middle(text, length)


def without_middle(text: str, length: int) -> str:
    """The beginning and the end of a longer text, cut between words where there are some nearby."""
    tail = length // 3
    end = text[-tail:]
    if not _BREAK.match(text[-tail - 1]):
        first = next((match.start() for match in _BREAK.finditer(end)), tail)
        end = end[first:] if 3 * first <= 2 * tail else end
    return _start(text, length - tail - 1).rstrip() + "…" + end.lstrip()


def _start(text: str, length: int) -> str:
    """The first characters of a longer text, up to the end of a word if there is one in their second two thirds."""
    start = text[:length]
    if not _BREAK.match(text[length : length + 1]):
        last = max((match.end() for match in _BREAK.finditer(start)), default=0)
        start = start[:last] if 3 * last >= length else start
    return start


def distinct(names: Sequence[str], length: int, cut: Callable[[str, int], str] = shown) -> list[str]:
    """Names cut to `length` characters; different ones differ there, too, by what tells them apart or by a number.

    cut: what makes a name a line of at most so many characters.
    """
    found = [cut(name, length) for name in names]
    head = length // 3
    for alike in places_of_equals(found):
        if any(len(names[place]) <= length for place in alike):  # they differ only in what cannot be seen
            continue
        columns = zip(*(names[place] for place in alike), strict=False)
        same = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
        differ = max(head, same - 2)
        word = max((match.end() for match in _BREAK.finditer(names[alike[0]][:differ])), default=0)
        differ = word if head <= word and differ - word <= head else differ  # from the beginning of a word
        for place in alike:
            start = _start(names[place], head) if len(names[place]) > head else names[place]
            found[place] = cut(start, head) + "…" + cut(names[place][differ:], length - head - 1)
    taken = set(found)
    for alike in places_of_equals(found):
        number = 1
        for place in alike[1:]:
            while (text := f"{cut(names[place], length - 8)} ({number + 1})") in taken:
                number += 1
            taken.add(text)
            found[place] = text
    return found


def places_of_equals(texts: Sequence[str]) -> list[list[int]]:
    """The places of each text that stands at several."""
    places: dict[str, list[int]] = {}
    for place, text in enumerate(texts):
        places.setdefault(text, []).append(place)
    return [found for found in places.values() if len(found) > 1]


def file_name(name: str, length: int = 60) -> str:
    """A name as a part of a file's name: letters, digits, `.`, `_` and `-`, and no leading dot."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:length].lstrip(".") or "_"
