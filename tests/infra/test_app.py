"""The app as the CDK command line runs it: offline, without an account, and twice the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.asset import Contents, build_asset
from infra.config import Stage, StageConfig
from tests.infra.conftest import CONTEXT, ROOT

pytestmark = pytest.mark.slow


def synthesize(outdir: Path, *, context: dict[str, Any], **env: str) -> subprocess.CompletedProcess[str]:
    """Run app.py as `cdk synth` does, with no way out to a network, an account or git."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nowhere = "http://127.0.0.1:9"
    return subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={
            **kept,
            "CDK_OUTDIR": str(outdir),
            "CDK_CONTEXT_JSON": json.dumps(context),
            "HTTP_PROXY": nowhere,
            "HTTPS_PROXY": nowhere,
            "PIP_NO_INDEX": "1",
            "GIT_DIR": "/nonexistent",
            **env,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def assembly(outdir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in outdir.glob("*.json")}


def test_synth_passes_every_check_and_gives_the_same_template_twice(tmp_path: Path) -> None:
    for contents in Contents:  # as `make setup` does, with the network if need be
        build_asset(StageConfig(stage=Stage.DEV), contents)
    # The first with the check against AWS's own schemas, which the other tests of the stack leave out.
    first = synthesize(tmp_path / "first", context=CONTEXT, CDK_VALIDATION="true")
    assert (first.returncode, first.stdout) == (0, ""), first.stderr
    assert "MB unzipped" in first.stderr
    second = synthesize(tmp_path / "second", context=CONTEXT, CDK_VALIDATION="false")
    assert second.returncode == 0, second.stderr
    assert assembly(tmp_path / "first") == assembly(tmp_path / "second")
    template = json.loads((tmp_path / "first" / "Relook-dev.template.json").read_text())
    assert "AWS::Lambda::Function" in {resource["Type"] for resource in template["Resources"].values()}
    assert str(ROOT) not in json.dumps(template)


def test_a_wrong_stage_is_one_line_on_stderr(tmp_path: Path) -> None:
    failed = synthesize(tmp_path, context={**CONTEXT, "stage": "staging"})
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == ["cdk.json or -c: stage is 'staging', expected one of local, dev, prod"]
