"""Powertools' store of what was done already, with our errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

from relook.aws.errors import translated

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class IdempotencyStore(DynamoDBPersistenceLayer):
    """A table of idempotency records. Powertools wraps what it raises; the cause is an `AwsError`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        super().__init__(table, boto3_client=client)

    def _get_record(self, idempotency_key: str) -> DataRecord:
        with translated():
            return super()._get_record(idempotency_key)

    def _put_record(self, data_record: DataRecord) -> None:
        with translated():
            super()._put_record(data_record)

    def _update_record(self, data_record: DataRecord) -> None:
        with translated():
            super()._update_record(data_record)

    def _delete_record(self, data_record: DataRecord) -> None:
        with translated():
            super()._delete_record(data_record)
