"""User metadata on its way to S3 and back."""

from __future__ import annotations

from email.header import decode_header, make_header

import pytest

from relook.aws.bucket import Bucket
from relook.aws.metadata import decoded, encoded
from tests.account import Cloud


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("=?UTF-8?B?SsO8cmdlbg==?=", "Jürgen"),
        ("=?utf-8?b?SsO8cmdlbg==?=", "Jürgen"),
        ("=?UTF-8?Q?J=C3=BCrgen_Gro=C3=9F?=", "Jürgen Groß"),
        ("=?ISO-8859-1?Q?J=FCrgen?=", "Jürgen"),
        ("=?UTF-8*de?Q?J=C3=BCrgen?=", "Jürgen"),
        ("=?UTF-8?B?SsO8?= =?UTF-8?B?cmdlbg==?=", "Jürgen"),
        ("=?UTF-8?B?SsM=?=\r\n =?UTF-8?B?vHJnZW4=?=", "Jürgen"),  # cut within the ü
        ("=?UTF-8?B?SsO8?= =?ISO-8859-1?Q?rgen?=", "Jürgen"),
        ("line 2 of =?UTF-8?B?SsO8cmdlbg==?= today", "line 2 of Jürgen today"),
        ("=?UTF-8?B?5bel5aC0?=", "工場"),
        ("=?UTF-8?Q??=", ""),
    ],
)
def test_encoded_words_are_decoded(given: str, expected: str) -> None:
    assert decoded({"who": given}) == {"who": expected}


@pytest.mark.parametrize(
    "text",
    [
        "Jürgen",
        "",
        "=?",
        "=?UTF-8?B?SsO8cmdlbg==",
        "=?UTF-8?X?abc?=",
        "=?UTF-8?B?SsO8!cmdlbg==?=",
        "=?UTF-8?B?SsO8cmdlbg?=",
        "=?UTF-8?Q?J=ZZrgen?=",
        "=?UTF-8?Q?J=C3rgen?=",
        "=?NO-SUCH-SET?Q?abc?=",
        "=?UTF-8?Q?a b?=",
        "x=?UTF-8?Q?a?=",
        "f(x)=?UTF-8?Q?a?=+1",
        "is 2+2=? or =?=",
    ],
)
def test_what_only_looks_encoded_stays(text: str) -> None:
    assert decoded({"note": text}) == {"note": text}


def test_what_is_not_ascii_is_encoded_in_words_that_mail_programs_read() -> None:
    assert encoded({"operator": "Jürgen", "line": "2"}) == {"operator": "=?UTF-8?B?SsO8cmdlbg==?=", "line": "2"}
    words = encoded({"note": "工場の検査員が見つけた小さな傷です" * 4})["note"].split(" ")
    assert len(words) == 7
    assert max(map(len, words)) <= 75
    assert str(make_header(decode_header(" ".join(words)))) == "工場の検査員が見つけた小さな傷です" * 4


@pytest.mark.parametrize(
    "text",
    [
        "Jürgen",
        "plain, with = and ? in it",
        " both ends ",
        "two\nlines",
        "",
        "=?UTF-8?B?SsO8cmdlbg==?=",  # as it was written, and not what it would be read as
        "🔩" * 30,
    ],
)
def test_whatever_is_written_comes_back(cloud: Cloud, text: str) -> None:
    images = Bucket(cloud.s3, "images")
    images.write("a.png", b"1", metadata={"note": text})
    with images.open("a.png") as stored:
        assert stored.metadata == {"note": text}


def test_half_a_character_is_refused() -> None:
    with pytest.raises(UnicodeError):
        encoded({"note": "\udcfc"})
