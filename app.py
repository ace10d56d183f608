"""CDK entry: read the stage's configuration, build the stack, synthesize. No AWS call, no clock, no git."""

from __future__ import annotations

import sys

from aws_cdk import App, Validations
from aws_cdk import aws_lambda as lambda_
from cdk_nag import AwsSolutionsChecks

from infra.asset import Asset, AssetError, Contents, build_asset
from infra.config import ConfigError, StageConfig
from infra.names import stack_name
from infra.stack import RelookStack


def main() -> None:
    """Build and synthesize the app that `cdk` asked for."""
    app = App()
    config = StageConfig.from_context(app.node.try_get_context)
    code, training_code = (_code(contents, build_asset(config, contents)) for contents in Contents)
    RelookStack(app, stack_name(config.stage), config=config, code=code, training_code=training_code)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


def _code(contents: Contents, asset: Asset) -> lambda_.Code:
    print(f"{contents}: {asset.size_mb:.0f} MB unzipped", file=sys.stderr)
    return lambda_.Code.from_asset(str(asset.path), asset_hash=asset.hash)


if __name__ == "__main__":
    try:
        main()
    except (AssetError, ConfigError) as error:
        sys.exit(str(error))
