"""Manifests as the guide shows them, as the service's users had them, and broken ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relook.registry.manifest import ManifestEntry, parse_entry, parse_manifest

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
    assert parse_entry(changed(CLASSIFICATION, anomaly_label_metadata={"class-name": "maybe"})).is_anomalous is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "source-ref is missing"),
        (changed(CLASSIFICATION, source_ref=""), "source-ref is missing"),
        ('{"source-ref": "s3://a/b"}', "no label"),
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


def test_bad_lines_do_not_stop_the_others() -> None:
    manifest = parse_manifest([json.dumps(CLASSIFICATION), "", "{", json.dumps(SEGMENTATION), json.dumps(SEGMENTATION)])
    assert [entry.is_anomalous for entry in manifest.entries] == [False, True]
    assert [problem.line for problem in manifest.problems] == [3, 5]
    assert "stands in an earlier line too" in str(manifest.problems[1])


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_json_is_an_entry_or_a_problem(value: Any) -> None:
    manifest = parse_manifest([json.dumps(value), json.dumps({"source-ref": "a", "b": 1, "b-metadata": value})])
    assert len(manifest.entries) + len(manifest.problems) >= 1
