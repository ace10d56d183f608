"""CDK entry: read the stage's configuration, build the stack, synthesize. No AWS call, no clock, no git."""

from __future__ import annotations

import sys

from aws_cdk import App, Validations
from aws_cdk import aws_lambda as lambda_
from cdk_nag import AwsSolutionsChecks

from infra.asset import AssetError, build_asset
from infra.config import ConfigError, StageConfig
from infra.stack import RelookStack


def main() -> None:
    """Build and synthesize the app that `cdk` asked for."""
    app = App()
    config = StageConfig.from_context(app.node.try_get_context)
    asset = build_asset(config)
    print(f"functions: {asset.size_mb:.0f} MB unzipped", file=sys.stderr)
    code = lambda_.Code.from_asset(str(asset.path), asset_hash=asset.hash)
    RelookStack(app, f"Relook-{config.stage}", config=config, code=code)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except (AssetError, ConfigError) as error:
        sys.exit(str(error))
