"""A stage's configuration is read from the context, and every mistake in it is named."""

from __future__ import annotations

import dataclasses
import platform
import sys
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk.aws_s3 import Bucket

from infra.config import Architecture, ConfigError, Stage, StageConfig
from relook.registry.retention import Retention
from relook.settings import DetectorKind
from tests.infra.conftest import CONTEXT


def read(stage: Any = "dev", **context: Any) -> StageConfig:
    return StageConfig.from_context({**CONTEXT, "stage": stage, **context}.get)


def test_cdk_json_configures_every_stage_and_prefers_the_throw_away_one() -> None:
    assert StageConfig.from_context(CONTEXT.get) == read("dev") == StageConfig(stage=Stage.DEV)
    assert [read(stage).protects_data for stage in Stage] == [False, False, True]


def test_the_cloud_runs_python_3_13_on_arm_and_the_laptop_what_it_has() -> None:
    assert (read("prod").runtime, read("prod").architecture) == ("python3.13", Architecture.ARM64)
    local = read("local")
    assert local.runtime == f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert (local.architecture == Architecture.ARM64) == (platform.machine() in ("arm64", "aarch64"))


def test_a_field_given_on_the_command_line_as_text_wins() -> None:
    config = read("prod", memory_mb="512", protects_data="false", detector="sagemaker", remote_endpoint="Bracket")
    assert (config.memory_mb, config.protects_data) == (512, False)
    assert (config.detector, config.remote_endpoint) == (DetectorKind.SAGEMAKER, "Bracket")


@pytest.mark.parametrize("stage", ["test", "", None, "stages"])
def test_an_unknown_stage_is_named_with_those_there_are(stage: str | None) -> None:
    with pytest.raises(ConfigError, match="expected one of local, dev, prod") as raised:
        read(stage)
    assert repr(stage) in str(raised.value)


def test_every_wrong_value_is_named_in_one_error() -> None:
    stages = {"dev": {"memory": 512, "memory_mb": "much", "protects_data": "yes", "architecture": "mips"}}
    with pytest.raises(ConfigError) as raised:
        read("dev", stages=stages, batch_size=11)
    assert raised.value.problems == [
        "architecture is 'mips': expected one of arm64, x86_64",
        "batch_size is 11, expected 1 to 10",
        "memory is not a setting of a stage",
        "memory_mb is 'much': expected a whole number",
        "protects_data is 'yes': expected true or false",
    ]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"retry_after_s": 59}, "retry_after_s is 59, below timeout_s"),
        ({"detector": "sagemaker"}, "remote_endpoint is needed"),
        ({"remote_endpoint": "https://example.com"}, "remote_endpoint is needed"),
        ({"runtime": "python3.11"}, "runtime is 'python3.11', expected one of python3.12, python3.13, python3.14"),
        ({"log_retention_days": 2}, "log_retention_days is 2, expected one of 1, 7, 30, 90, 365"),
        ({"log_level": "LOUD"}, "log_level is 'LOUD', expected one of DEBUG, INFO, WARNING, ERROR"),
        ({"memory_mb": 64}, "memory_mb is 64, expected 128 to 10240"),
        ({"timeout_s": 901, "retry_after_s": 901}, "timeout_s is 901, expected 1 to 900"),
        ({"retry_after_s": 43201}, "retry_after_s is 43201, expected 1 to 43200"),
        ({"max_receives": 0}, "max_receives is 0, expected 1 to 1000"),
        ({"max_concurrency": 1}, "max_concurrency is 1, expected 2 to 1000"),
        ({"training_retry_after_s": 900}, "training_retry_after_s is 900, not above training_timeout_s"),
        ({"training_memory_mb": 64}, "training_memory_mb is 64, expected 128 to 10240"),
        ({"keep_records_days": 30}, "keep_records_days is 30, expected 31 or more, or 0 for good"),
        ({"keep_normal_pictures_days": 36501}, "keep_normal_pictures_days is 36501, expected 0 to 36500"),
        (
            {"keep_anomalous_pictures_days": 7, "images_bucket": "line-7"},
            "keep_anomalous_pictures_days is 7, but images_bucket is yours: its own lifecycle rules say",
        ),
    ],
)
def test_values_that_aws_or_the_pipeline_would_refuse_are_refused_first(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read("dev", **fields)
    (only,) = raised.value.problems
    assert only.startswith(problem)


def test_how_long_is_kept_is_said_in_days() -> None:
    assert read("prod").retention == Retention()
    kept = read("dev", keep_records_days="31", keep_normal_pictures_days="1").retention
    assert kept == Retention(records_days=31, normal_pictures_days=1)
    assert Retention.of_outputs({"ImagesBucket": "images", **kept.to_outputs()}) == kept


def test_names_of_data_buckets_are_separated_by_commas() -> None:
    assert read("dev").data_bucket_names == ()
    assert read("dev", data_buckets="line-7, line-8,").data_bucket_names == ("line-7", "line-8")


def test_every_field_is_described() -> None:
    described = StageConfig.__doc__ or ""
    self_explaining = {"stage", "architecture", "batch_size", "log_level", "log_retention_days", "detector"}
    assert all(
        f"{field.name}" in described for field in dataclasses.fields(StageConfig) if field.name not in self_explaining
    )


@pytest.mark.parametrize(
    "name", ["My_Images", "s3://factory-images", "ab", "factory-images/line-7", "-images", "a..b", "10.0.0.1"]
)
def test_a_name_that_no_bucket_has_is_named_with_what_would_be_right(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read("dev", images_bucket=name)
    assert raised.value.problems == [
        f"images_bucket is {name!r}, expected the name of an existing bucket alone: 3 to 63 lower-case letters, "
        "digits, dots and hyphens, such as factory-images"
    ]
    assert read("dev", images_bucket="factory-images.7").images_bucket == "factory-images.7"


@pytest.mark.parametrize("name", ["s3://x/y", "ab", "_line", "line 7", "x" * 64, "a..b", "a-.b", "10.0.0.1"])
def test_a_data_bucket_that_cannot_be_is_named_beside_those_that_can(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read("dev", data_buckets=f"line-7,{name}")
    assert raised.value.problems == [
        f"data_buckets has {name!r}, expected names of existing buckets alone, separated by commas, such as "
        "line-7-datasets,line-8-datasets"
    ]


def test_data_buckets_of_old_may_have_capitals_and_underscores() -> None:
    stack = Stack()
    for name in read("dev", data_buckets="My_Line.7,line-8").data_bucket_names:
        assert Bucket.from_bucket_name(stack, name, name).bucket_name == name
