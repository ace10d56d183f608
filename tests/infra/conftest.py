"""Templates of the stack, each synthesized once. The function's code is a stub: no template depends on it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

# Read by the CDK's own process when it starts, so before `aws_cdk` is imported: no check against AWS's schemas
# here, where it would cost seconds; tests/infra/test_app.py makes it.
os.environ["CDK_VALIDATION"] = "false"
os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "20"

from aws_cdk import App
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template

from infra.config import StageConfig
from infra.stack import RelookStack

ROOT = Path(__file__).parents[2]
CONTEXT: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]

MakeStack = Callable[..., RelookStack]
Synthesize = Callable[..., Template]


@pytest.fixture(scope="session")
def make_stack(tmp_path_factory: pytest.TempPathFactory) -> MakeStack:
    """Build the stack of a stage (with fields changed) in an app of its own, without synthesizing it."""
    code = tmp_path_factory.mktemp("code")
    for module in ("inspect_image", "lookout_api", "train_model", "watch_quality"):
        (code / f"{module}.py").write_text("def handler(event, context): ...\n")

    def make(stage: str = "dev", **fields: Any) -> RelookStack:
        context = {**CONTEXT, "stage": stage, **fields}
        app = App(context=context, outdir=str(tmp_path_factory.mktemp("assembly")))
        config = StageConfig.from_context(context.get)
        stub = lambda_.Code.from_asset(str(code))
        return RelookStack(app, f"Relook-{stage}", config=config, code=stub, training_code=stub)

    return make


@pytest.fixture(scope="session")
def synthesize(make_stack: MakeStack) -> Synthesize:
    """The template of a stage, with fields changed."""

    @cache
    def template(stage: str = "dev", **fields: Any) -> Template:
        return Template.from_stack(make_stack(stage, **fields))

    return template
