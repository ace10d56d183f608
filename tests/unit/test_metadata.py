"""User metadata as S3 hands it back."""

from __future__ import annotations

import pytest

from relook.inspection.metadata import readable


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
    assert readable({"who": given}) == {"who": expected}


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
    assert readable({"note": text}) == {"note": text}
