"""Addresses as texts: their parts, names in folders, and names that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtool.errors import Usage
from wtool.io.addresses import (
    Address,
    below,
    folder_of,
    has_listing,
    is_address,
    is_below,
    joined,
    name_of,
    text_of,
    trimmed,
    why_unsafe,
    without_query,
)

NAMES = st.text(st.characters(blacklist_characters="/:?#\0", blacklist_categories=("Cs",)), min_size=1, max_size=6)
HEADS = st.sampled_from(["s3://", "memory://", "hf://", "simplecache::s3://", "https://"])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("s3://zoo/m.keras", True),
        ("simplecache::s3://zoo/m.keras", True),
        ("zip://m.keras::s3://zoo/a.zip", True),
        ("memory://m.keras", True),
        ("m.keras", False),
        ("runs:/m.keras", False),
        ("C:/models/m.keras", False),
        ("C://models/m.keras", False),
        ("-", False),
        ("", False),
        ("./s3://zoo/m.keras", False),
    ],
)
def test_addresses_are_known_by_their_form(word: str, expected: bool) -> None:
    assert is_address(word) == expected


@given(HEADS, st.lists(NAMES, min_size=1, max_size=4))
def test_what_is_joined_comes_apart(head: str, names: list[str]) -> None:
    *folders, name = names
    folder = head + "/".join(["place", *folders])
    whole = joined(folder, name)
    assert (name_of(whole), folder_of(whole)) == (name, folder)
    assert below(folder, whole) == below(f"{folder}/", whole) == name
    assert below(f"{head}place", whole) == "/".join(names)
    assert is_below(folder, whole)
    assert is_below(f"{head}place", whole)
    assert not is_below(f"{folder}x", whole)
    assert str(Address.of(whole)) == whole


def test_slashes_that_keys_have_stay() -> None:
    assert joined("s3://zoo//", "m.keras") == "s3://zoo//m.keras"
    assert joined("s3://zoo/", "m.keras") == joined("s3://zoo", "m.keras") == "s3://zoo/m.keras"
    assert folder_of("s3://zoo//m.keras") == "s3://zoo/"
    assert joined("memory://", "m.keras") == "memory://m.keras"
    assert trimmed("memory://") == "memory://"
    assert below("s3://zoo", "s3://zoo//m.keras") == "/m.keras"


def test_the_query_of_a_web_address_is_no_name() -> None:
    signed = "https://host/zoo/m.keras?X-Amz-Signature=secret&a=/b/c.h5"
    assert name_of(signed) == "m.keras"
    assert folder_of(signed) == trimmed("https://host/zoo/?a=b") == "https://host/zoo"
    assert below("https://host/zoo", signed) == "m.keras"
    assert name_of("s3://zoo/what?.keras") == "what?.keras"
    assert str(Address.of(signed)) == signed
    assert not has_listing(signed)
    assert not has_listing("simplecache::http://host/m.keras")
    assert has_listing("s3://zoo/")


def test_archives_keep_their_own_address() -> None:
    inner = "zip://zoo/m.keras::s3://b/a.zip"
    assert name_of(inner) == "m.keras"
    assert folder_of(inner) == "zip://zoo::s3://b/a.zip"
    assert joined("zip://zoo::s3://b/a.zip", "n.keras") == "zip://zoo/n.keras::s3://b/a.zip"


OUT = ["../m.keras", "a/../m.keras", "./m.keras", "a//m.keras", "/m.keras", "a/", "..", "", "a\\m.keras"]
NO_TEXT = ["m\n.keras", "m\0.keras", "m\x1b[2J.keras", "m\x85.keras", f"m{chr(0xDCFF)}.keras"]


@pytest.mark.parametrize("name", [*OUT, *NO_TEXT], ids=ascii)
def test_names_that_lead_elsewhere_have_a_reason(name: str) -> None:
    assert why_unsafe(name)


@pytest.mark.parametrize("name", ["m.keras", "a/b/m.keras", "..m.keras", "a b/é…\u00a0.keras", ".hidden/m.keras"])
def test_other_names_are_fine(name: str) -> None:
    assert why_unsafe(name) is None


def test_messages_have_no_secrets() -> None:
    assert without_query("https://me:secret@host/m.keras?X-Amz-Signature=secret") == "https://host/m.keras"
    inside = "zip://m.keras::https://me:secret@host/zoo.zip?sig=secret"
    assert without_query(inside) == "zip://m.keras::https://host/zoo.zip"
    assert without_query("simplecache::https://host/m.keras?sig=secret::x") == "simplecache::https://host/m.keras"
    assert without_query("s3://zoo/what?.keras") == "s3://zoo/what?.keras"
    assert without_query("zoo/m.keras?a=b") == "zoo/m.keras?a=b"


def test_paths_of_users() -> None:
    assert text_of("file:///zoo/m.keras") == text_of(Path("/zoo/m.keras")) == "/zoo/m.keras"
    assert text_of("s3://zoo//m.keras") == "s3://zoo//m.keras"
    with pytest.raises(Usage, match="pathlib takes slashes away"):
        text_of(Path("s3://zoo/m.keras"))
