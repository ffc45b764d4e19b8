"""Lets DRF read traffic batches, in both spellings, compressed or not."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from metrics.batches import Batch, decode_body, read_json, read_ndjson


class BatchParser(BaseParser):
    """Undoes the content encoding; the gate has refused bodies over the limit."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        request: Request = (parser_context or {})["request"]
        encoding = request.headers.get("Content-Encoding", "").strip().lower()
        return self.read(decode_body(stream.read(), encoding), request)

    @abstractmethod
    def read(self, body: bytes, request: Request) -> Batch:
        """Return the batch that the body spells."""


class JSONBatchParser(BatchParser):
    """One document with the batch's id in it."""

    media_type = "application/json"

    def read(self, body: bytes, request: Request) -> Batch:
        return read_json(body)


class NDJSONBatchParser(BatchParser):
    """One record a line; the batch's id is in the query string."""

    media_type = "application/x-ndjson"

    def read(self, body: bytes, request: Request) -> Batch:
        return read_ndjson(body, request.query_params.get("batch_id", ""))
