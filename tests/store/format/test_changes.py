"""How one image table differs from another, in words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.store.format.changes import ImageChanges, image_changes
from fne_cli.store.format.schema import NO_LABEL, Images


def table(
    paths: str,
    labels: str = "",
    splits: str = "",
    contents: str | None = None,
    classes: Sequence[str] | None = None,
) -> Images:
    """A letter for each image's path, label ("-": none), split and content; without contents nothing was read."""
    labels, splits = labels or "-" * len(paths), splits or "-" * len(paths)
    names = sorted({*labels} - {"-"}) if classes is None else list(classes)
    return Images(
        path=list(paths),
        split=["" if split == "-" else split for split in splits],
        label=np.array([NO_LABEL if label == "-" else names.index(label) for label in labels], np.int32),
        classes=names,
        status=np.zeros(len(paths), np.uint8),
        message=[""] * len(paths),
        sha256=[""] * len(paths) if contents is None else [sha(content) for content in contents],
    )


def sha(content: str) -> str:
    return "" if content == "-" else hashlib.sha256(content.encode()).hexdigest()


def read(paths: str, **more: str) -> Images:
    """A table whose images' contents are their names."""
    return table(paths, contents=paths, **more)


def test_the_same_table():
    old = read("abcd", labels="xyx-", splits="rrs-")
    assert image_changes(old, old) == ImageChanges()
    assert not image_changes(old, old).any


def test_images_that_came_and_went():
    found = image_changes(read("abcd"), read("acde"))
    assert (found.added, found.removed, found.renamed, found.replaced, found.moved) == (["e"], ["b"], [], [], False)
    assert found.lines() == ["1 image added: e", "1 image removed: b"]


def test_an_image_is_renamed_if_its_bytes_are_of_a_path_that_is_gone():
    found = image_changes(read("abc"), table("axc", contents="abc"))
    assert (found.renamed, found.added, found.removed) == ([("b", "x")], [], [])
    assert found.lines() == ["1 image renamed: b -> x"]
    # Of a path that stays, it is a copy.
    copied = image_changes(read("abc"), table("abcx", contents="abcb"))
    assert (copied.renamed, copied.added) == ([], ["x"])


def test_of_two_with_the_same_bytes_each_is_renamed_once():
    found = image_changes(table("abc", contents="zzc"), table("xyc", contents="zzc"))
    assert found.renamed == [("a", "x"), ("b", "y")]
    more = image_changes(table("ab", contents="zz"), table("xyw", contents="zzz"))
    assert (more.renamed, more.added) == ([("a", "x"), ("b", "y")], ["w"])
    less = image_changes(table("ab", contents="zz"), table("x", contents="z"))
    assert (less.renamed, less.removed) == ([("a", "x")], ["b"])


def test_images_that_could_not_be_read_are_not_the_same():
    found = image_changes(table("ab", contents="--"), table("xb", contents="--"))
    assert (found.renamed, found.added, found.removed) == ([], ["x"], ["a"])


def test_contents_count_only_of_images_that_were_read():
    assert image_changes(read("ab"), table("ab", contents="aX")).replaced == ["b"]
    assert image_changes(read("ab"), table("ab")).lines() == []
    assert image_changes(table("ab", contents="a-"), read("ab")).lines() == ["1 image with other content: b"]


def test_the_order():
    assert image_changes(read("abc"), read("bac")).lines() == ["images stand in another order"]
    assert image_changes(read("abc"), read("cab")).moved
    assert not image_changes(read("abc"), read("xaybzc")).moved
    assert not image_changes(read("abc"), read("c")).moved


def test_a_class_of_another_name_is_no_new_label():
    old, new = read("abcd", labels="xxyy"), read("abcd", labels="zzyy")
    found = image_changes(old, new)
    assert (found.classes, found.relabelled, found.new_classes, found.gone_classes) == ([("x", "z")], [], [], [])
    assert found.lines() == ["1 class renamed: x -> z"]


def test_a_class_of_another_name_and_a_label_beside_it():
    found = image_changes(read("abcde", labels="xxyyy"), read("abcde", labels="zzyyz"))
    assert (found.classes, found.relabelled) == ([("x", "z")], [("e", "y", "z")])
    assert found.lines() == ["1 class renamed: x -> z", "1 label changed: e: y -> z"]


def test_a_class_is_renamed_if_most_of_its_images_say_so():
    found = image_changes(read("abcdef", labels="xxxxyy"), read("abcdef", labels="zzzyyy"))
    assert found.lines() == ["1 class renamed: x -> z", "1 label changed: d: x -> y"]
    half = image_changes(read("abcdef", labels="xxxxyy"), read("abcdef", labels="zzyyyy"))
    assert (half.classes, half.new_classes, half.gone_classes, len(half.relabelled)) == ([], ["z"], ["x"], 4)


def test_a_class_that_is_split_or_joined_is_not_renamed():
    apart = image_changes(read("abcd", labels="xxyy"), read("abcd", labels="pqyy"))
    assert apart.classes == []
    assert apart.relabelled == [("a", "x", "p"), ("b", "x", "q")]
    assert (apart.new_classes, apart.gone_classes) == (["p", "q"], ["x"])
    joined = image_changes(read("abcd", labels="xxyy"), read("abcd", labels="yyyy"))
    assert (joined.classes, joined.gone_classes, len(joined.relabelled)) == ([], ["x"], 2)


def test_two_classes_that_swap_their_names_are_labels():
    found = image_changes(read("abcd", labels="xxyy"), read("abcd", labels="yyxx"))
    assert (found.classes, len(found.relabelled)) == ([], 4)


def test_two_classes_that_become_one_new_one():
    """One of them is renamed, the images of the other have another label."""
    found = image_changes(read("abcd", labels="xxyy"), read("abcd", labels="zzzz"))
    assert found.classes == [("x", "z")]
    assert found.relabelled == [("c", "y", "z"), ("d", "y", "z")]
    assert found.gone_classes == ["y"]


def test_labels_and_splits_of_images_that_were_renamed_too():
    old = read("abc", labels="xyy", splits="rrs")
    new = table("aqc", labels="xxy", splits="rss", contents="abc")
    found = image_changes(old, new)
    assert (found.renamed, found.relabelled, found.resplit) == ([("b", "q")], [("q", "y", "x")], [("q", "r", "s")])
    assert found.lines() == ["1 image renamed: b -> q", "1 label changed: q: y -> x", "1 split changed: q: r -> s"]


def test_labels_and_splits_that_came_or_went():
    found = image_changes(read("ab", labels="x-", splits="r-"), read("ab", labels="-x", splits="-r"))
    assert found.lines() == [
        "2 labels changed: a: x -> none, b: none -> x",
        "2 splits changed: a: r -> none, b: none -> r",
    ]


def test_classes_without_images():
    old, new = table("a", labels="x", classes="xy"), table("a", labels="x", classes="xz")
    assert image_changes(old, new).lines() == ["1 class added: z", "1 class removed: y"]


def test_the_first_three_of_many():
    old = read("")
    assert image_changes(old, read("abcd")).lines() == ["4 images added: a, b, c ..."]
    assert image_changes(old, read("abc")).lines() == ["3 images added: a, b, c"]
    many = Images(
        path=[str(number) for number in range(1234)],
        split=[""] * 1234,
        label=np.full(1234, NO_LABEL, np.int32),
        classes=[],
        status=np.zeros(1234, np.uint8),
        message=[""] * 1234,
        sha256=[""] * 1234,
    )
    assert image_changes(many, old).lines() == ["1,234 images removed: 0, 1, 2 ..."]


def several(rows: list[list[int]], classes: str = "xyz") -> Images:
    one = read("abcdefgh"[: len(rows)])
    return replace(one, label=np.array(rows, np.int8).reshape(len(rows), len(classes)), classes=list(classes))


def test_several_labels_per_image():
    old, new = several([[1, 0, 0], [1, 1, 0], [0, 0, 0]]), several([[1, 0, -1], [1, 1, 0], [0, 0, 1]])
    assert image_changes(old, old).lines() == []
    assert image_changes(old, new).lines() == ["2 labels changed: a: x -> x+-z, c: none -> z"]


def test_from_one_label_to_several():
    found = image_changes(read("ab", labels="xy"), several([[1, 0], [0, 1]], "xy"))
    assert found.lines() == ["several labels per image instead of one, or the other way round"]


images_of = st.lists(st.sampled_from("abcdefgh"), unique=True).flatmap(
    lambda paths: st.builds(
        table,
        st.just("".join(paths)),
        st.text("xyz-", min_size=len(paths), max_size=len(paths)),
        st.text("rs-", min_size=len(paths), max_size=len(paths)),
        st.text("1234-", min_size=len(paths), max_size=len(paths)),
    )
)


@given(images_of, images_of)
def test_every_image_is_accounted_for_and_only_equal_tables_say_nothing(old, new):
    found = image_changes(old, new)
    came, went = dict(found.renamed).values(), dict(found.renamed)
    assert sorted([*found.added, *came]) == sorted({*new.path} - {*old.path})
    assert sorted([*found.removed, *went]) == sorted({*old.path} - {*new.path})
    same = (list(old.path), list(old.split), list(old.classes)) == (list(new.path), list(new.split), list(new.classes))
    same = same and old.label.tolist() == new.label.tolist()
    # A content that could not be read now is not known to be another one.
    same = same and all(now in ("", was) for was, now in zip(old.sha256, new.sha256, strict=True))
    assert (found.lines() == []) == same


@pytest.mark.parametrize(("name", "said"), [("a\nb", r"a\nb"), ("a\x1b[31m", r"a\x1b[31m")])
def test_names_cannot_break_a_line_or_move_a_cursor(name, said):
    old = read("a")
    assert image_changes(replace(old, path=[name]), read("")).lines() == [f"1 image removed: {said}"]
