"""Manifests as the guide shows them, as the service's users had them, and broken ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relook.aws.bucket import S3Uri
from relook.registry.manifest import CheckedLines, check_lines, first_problems, lines_of
from relook.registry.manifest_entry import MAX_LINE_CHARS, ManifestEntry, entry_line, parse_entry

CLASSIFICATION: dict[str, Any] = {
    "source-ref": "s3://bucket/image.jpg",
    "anomaly-label": 1,
    "anomaly-label-metadata": {
        "confidence": 0.9,
        "job-name": "job",
        "class-name": "normal",
        "human-annotated": "yes",
        "creation-date": "2020-09-17T02:22:41.4Z",
        "type": "groundtruth/image-classification",
    },
}
# As in the getting-started data: no BACKGROUND, no confidence, upper-case colour, a date in JavaScript's format.
SEGMENTATION: dict[str, Any] = {
    "source-ref": "s3://bucket/anomaly.jpg",
    "auto-label": 0,
    "auto-label-metadata": {
        "class-name": "anomaly",
        "type": "groundtruth/image-classification",
        "creation-date": "Mon Aug 22 2022 13:52:52 GMT-0700 (Pacific Daylight Time)",
    },
    "anomaly-mask-ref": "s3://bucket/mask.png",
    "anomaly-mask-ref-metadata": {
        "internal-color-map": {"0": {"class-name": "cracked", "hex-color": "#23A436"}},
        "type": "groundtruth/semantic-segmentation",
    },
}


def changed(fields: dict[str, Any], **changes: Any) -> str:
    return json.dumps({**fields, **{name.replace("_", "-"): value for name, value in changes.items()}})


def read(*lines: str | bytes) -> CheckedLines:
    data = b"\n".join(each if isinstance(each, bytes) else each.encode() for each in lines)
    return check_lines(lines_of([data]), None, may_repeat=False)


def test_class_name_decides() -> None:
    assert parse_entry(json.dumps(CLASSIFICATION)) == ManifestEntry("s3://bucket/image.jpg", False)
    assert parse_entry(json.dumps(SEGMENTATION)) == ManifestEntry(
        "s3://bucket/anomaly.jpg", True, "s3://bucket/mask.png", {"cracked": "#23A436"}
    )


def test_background_is_optional_and_left_out() -> None:
    color_map = {
        "0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0},
        "1": {"class-name": "dent", "hex-color": "#4dd8ff"},
    }
    line = changed(SEGMENTATION, anomaly_mask_ref_metadata={"internal-color-map": color_map})
    assert parse_entry(line).colors == {"dent": "#4dd8ff"}


def test_another_class_is_kept_unlabelled() -> None:
    names: list[Any] = ["maybe", "nor mal", "", ["normal"], {}, None, 0]
    for name in names:
        assert parse_entry(changed(CLASSIFICATION, anomaly_label_metadata={"class-name": name})).is_anomalous is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[" * 8192, "not JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "source-ref is missing"),
        (changed(CLASSIFICATION, source_ref=""), "source-ref is missing"),
        ('{"source-ref": "s3://a/b", "anomaly-label": 1}', "no label"),
        (changed(SEGMENTATION, anomaly_mask_ref=""), "anomaly-mask-ref is empty"),
        (changed(CLASSIFICATION, x="y" * 8192), "at most 8,192"),
        (
            changed(SEGMENTATION, anomaly_mask_ref_metadata={"internal-color-map": {"0": {"class-name": "a"}}}),
            "needs class-name and hex-color",
        ),
        (
            changed(
                SEGMENTATION,
                anomaly_mask_ref_metadata={"internal-color-map": {"0": {"class-name": "a", "hex-color": "red"}}},
            ),
            "must look like #7ED321",
        ),
        (
            changed(
                SEGMENTATION,
                anomaly_mask_ref_metadata={"internal-color-map": {"1": {"class-name": "a", "hex-color": "#ffffff"}}},
            ),
            "the background's colour",
        ),
    ],
)
def test_a_bad_line_says_what_is_wrong(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_entry(line)


@pytest.mark.parametrize("name", ["Normal", "NORMAL", " normal", "normal\n", "\u00a0normal "])
def test_case_and_spaces_of_a_label_do_not_matter(name: str) -> None:
    line = changed(CLASSIFICATION, anomaly_label_metadata={"class-name": name})
    assert parse_entry(line).is_anomalous is False
    assert parse_entry(line.replace("ormal", "ORMAL")).is_anomalous is False


LABEL = {"class-name": "anomaly", "type": "groundtruth/image-classification"}
MASK_METADATA = SEGMENTATION["anomaly-mask-ref-metadata"]


@pytest.mark.parametrize(
    "fields",
    [
        {"camera": 3, "camera-metadata": {"class-name": "normal", "type": "of/cameras"}, "l": 0, "l-metadata": LABEL},
        {"quality-ref": 0, "quality-ref-metadata": LABEL},
        {"line": 0, "line-metadata": {**LABEL, "class-name": "line 7"}, "l": 0, "l-metadata": LABEL},
        {
            "guess": 0,
            "guess-metadata": {**LABEL, "class-name": "normal", "human-annotated": "no"},
            "l": 1,
            "l-metadata": {**LABEL, "human-annotated": "yes"},
        },
        {"l-metadata": {**LABEL, "type": "GroundTruth/Image-Classification"}, "l": 1},
    ],
    ids=["another type", "any name", "another class", "a person's", "case"],
)
def test_the_label_is_found_by_its_type_wherever_it_stands(fields: dict[str, Any]) -> None:
    for each in (fields, dict(reversed(fields.items()))):
        assert parse_entry(json.dumps({"source-ref": "s3://bucket/a.jpg", **each})).is_anomalous is True


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"l2": 0, "l2-metadata": {**LABEL, "class-name": "normal"}}, "contradict each other"),
        ({"m-ref": "s3://bucket/m.png"}, "m-ref needs m-ref-metadata with an internal-color-map"),
        ({"m-ref": "s3://bucket/m.png", "m-ref-metadata": {}}, "m-ref needs m-ref-metadata"),
        ({"m": "s3://bucket/m.png", "m-metadata": MASK_METADATA}, "must end in -ref: m-ref"),
        ({"m-ref-metadata": MASK_METADATA}, "describes a mask, but m-ref is missing"),
        (
            {f"{m}-ref": "s3://bucket/m.png" for m in "mn"} | {f"{m}-ref-metadata": MASK_METADATA for m in "mn"},
            "several masks",
        ),
    ],
)
def test_what_is_unclear_is_a_problem(more: dict[str, Any], message: str) -> None:
    for fields in ({"l": 1, "l-metadata": LABEL, **more}, {**more, "l": 1, "l-metadata": LABEL}):
        with pytest.raises(ValueError, match=message):
            parse_entry(json.dumps({"source-ref": "s3://bucket/a.jpg", **fields}))


def test_an_empty_cell_is_no_mask() -> None:
    assert parse_entry(changed(CLASSIFICATION, m_ref="")).mask_ref is None


NORMAL_LINE, ANOMALOUS_LINE = json.dumps(CLASSIFICATION), json.dumps(SEGMENTATION)


@pytest.mark.parametrize(
    "data",
    [
        f"\ufeff{NORMAL_LINE}\n{ANOMALOUS_LINE}".encode(),
        f"{NORMAL_LINE}\r\n\r\n{ANOMALOUS_LINE}\r\n".encode(),
        f"{NORMAL_LINE}\r{ANOMALOUS_LINE}\r".encode(),
        f"\n \t \n  {NORMAL_LINE}  \n\n{ANOMALOUS_LINE}\n\n".encode(),
        f"{NORMAL_LINE}\n\ufeff{ANOMALOUS_LINE}".encode(),
        (json.dumps({**CLASSIFICATION, "note": "a\u2028b\x85c"}, ensure_ascii=False) + f"\n{ANOMALOUS_LINE}").encode(),
    ],
    ids=["mark", "windows", "old mac", "blank", "two files", "U+2028"],
)
def test_one_manifest_however_it_was_saved(data: bytes) -> None:
    for size in (1, 7, len(data)):
        chunks = (data[start : start + size] for start in range(0, len(data), size))
        checked = check_lines(lines_of(chunks), None, may_repeat=False)
        assert not checked.problems
        assert [each.entry.is_anomalous for each in checked.usable.values()] == [False, True]


def test_a_comma_behind_the_object_is_named() -> None:
    (problem,) = read(f"{NORMAL_LINE},", ANOMALOUS_LINE).problems
    assert (problem.line, "the comma at its end is one too many" in problem.message) == (1, True)


def test_bad_lines_do_not_stop_the_others() -> None:
    checked = read(NORMAL_LINE, "", "{", ANOMALOUS_LINE, ANOMALOUS_LINE)
    assert [each.entry.is_anomalous for each in checked.usable.values()] == [False, True]
    assert [problem.line for problem in checked.problems] == [3, 5]
    assert "stands in an earlier line too" in str(checked.problems[1])


def test_lines_that_no_model_is_trained_with_are_named() -> None:
    checked = read(
        NORMAL_LINE,
        '{"source-ref": "s3://bucket/b.png"}',
        "",
        changed(SEGMENTATION, auto_label_metadata={**LABEL, "class-name": "broken"}),
    )
    assert [str(each) for each in checked.unlabeled] == [
        "line 2: the image has no label",
        "line 4: class-name 'broken' is neither normal nor anomaly",
    ]


def test_of_many_problems_the_first_ten_are_shown() -> None:
    problems = read(*["{}"] * 12, f'{{"source-ref": "{"x" * 5000}"}}').problems
    assert len(problems) == 13
    shown = first_problems(problems)
    assert "line 10: source-ref is missing; …" in shown and "line 11" not in shown
    assert len(first_problems(problems[-1:])) < 400


@pytest.mark.parametrize(
    "entry",
    [
        ManifestEntry("s3://bucket/a b/ü.png", False),
        ManifestEntry("s3://bucket/a.png", True),
        ManifestEntry("s3://bucket/a.png", True, "s3://bucket/m.png", {"Kratzer tief": "#7ed321", "dent-2": "#4DD8FF"}),
    ],
)
def test_what_is_written_is_read_again(entry: ManifestEntry) -> None:
    assert parse_entry(entry_line(entry)) == entry


def test_the_first_usable_line_names_the_bucket() -> None:
    elsewhere = changed(CLASSIFICATION, source_ref="s3://elsewhere/a.jpg")
    lines = ["{}", elsewhere, json.dumps(CLASSIFICATION), " ", json.dumps(SEGMENTATION)]
    free, bound = check_lines(lines, None, may_repeat=False), check_lines(lines, "bucket", may_repeat=False)
    assert list(free.usable) == ["s3://elsewhere/a.jpg"]
    assert list(bound.usable) == ["s3://bucket/image.jpg", "s3://bucket/anomaly.jpg"]
    assert [[problem.line for problem in each.problems] for each in (free, bound)] == [[1, 3, 5], [1, 2]]
    assert free.count == bound.count == 4


def test_of_lines_that_may_repeat_the_last_counts_in_the_firsts_place() -> None:
    first, other = json.dumps(CLASSIFICATION), json.dumps(SEGMENTATION)
    last = changed(CLASSIFICATION, anomaly_label_metadata={"class-name": "anomaly"})
    checked = check_lines([first, other, f" {last} "], None, may_repeat=True)
    assert [each.line for each in checked.usable.values()] == [last, other]
    assert checked.usable["s3://bucket/image.jpg"].entry.is_anomalous
    assert not checked.problems
    assert [problem.line for problem in check_lines([first, last], None, may_repeat=False).problems] == [2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.jpg",
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "s3://b/key",
        "http://bucket/key",
        "S3://bucket/key",
        "s3://bu cket/key",
        "s3://bucket/\ud800",
        f"s3://bucket/{'x' * 1025}",
        f"s3://bucket/{'ä' * 513}",
    ],
)
def test_what_is_no_object_in_s3_is_no_location(text: str) -> None:
    with pytest.raises(ValueError, match="is not the location of an object in S3, such as s3://bucket/key"):
        S3Uri.parse(text)


@pytest.mark.parametrize("key", ["key", "a b/ä//c+d%20.jpg", "/key", "x" * 1024, "\n"])
def test_a_location_is_a_bucket_and_a_key(key: str) -> None:
    assert S3Uri.parse(f"s3://my.bucket-1_x/{key}") == S3Uri("my.bucket-1_x", key)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))), st.integers(1, 9))
def test_lines_are_the_same_however_the_bytes_come(lines: list[str], size: int) -> None:
    data = "".join(f"{line}\r\n" for line in lines).encode()
    read = list(lines_of(data[start : start + size] for start in range(0, len(data), size)))
    assert read == [line.removeprefix("\ufeff") for line in lines]


def test_of_an_endless_line_no_more_is_kept_than_shows_that() -> None:
    chunks = ["ä".encode() * 50_001, b"x" * 100_000, b"\n{}"]
    long, short = lines_of(chunks)
    assert MAX_LINE_CHARS < len(long) < 5 * MAX_LINE_CHARS
    assert short == "{}"


def test_bytes_that_are_no_text_name_their_line() -> None:
    with pytest.raises(UnicodeError, match="line 2 is not UTF-8"):
        list(lines_of([b"{}", b"\n\xff", b"\n{}"]))


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_json_is_an_entry_or_a_problem(value: Any) -> None:
    lines = [json.dumps(value), json.dumps({"source-ref": "a", "b": 1, "b-metadata": value})]
    checked = check_lines(lines, None, may_repeat=False, may_be_local=True)
    assert checked.count == len(checked.usable) + len(checked.problems) == 2


def test_an_image_that_nobody_has_labelled_yet_is_kept_unlabelled() -> None:
    for line in ('{"source-ref": "s3://a/b"}', '{"source-ref": "s3://a/b", "source-ref-metadata": {}}'):
        assert parse_entry(line) == ManifestEntry("s3://a/b", None)
