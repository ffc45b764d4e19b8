"""The viewset that every ``/v1`` resource builds on: parse, call one service, render."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import sleep
from typing import Any, ClassVar

from django.db import OperationalError, transaction
from django.db.models import Model
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from psycopg.errors import DeadlockDetected
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from stoa_cp.db.changes import changed_fields
from stoa_cp.domain.actors import Actor
from stoa_cp.identity.authentication import actor_of
from stoa_cp.rest.conditional import check_row_version, etag, etag_matches
from stoa_cp.rest.filtering import NamedFieldsFilter
from stoa_cp.rest.idempotency import HEADER, IdempotentRequest
from stoa_cp.rest.parameters import flag_parameter

# Long enough for the other side to take the lock that it waited for: tried again at once, we would often be faster.
DEADLOCK_PAUSE_SECONDS = 0.1

_representations: dict[type[BaseSerializer[Any]], Callable[[Any], dict[str, Any]]] = {}


class ControlPlaneViewSet(GenericViewSet[Any]):
    """Subclasses name their ``rights`` per action, and a ``serializer_class`` that renders the resource."""

    rights: ClassVar[Mapping[str, str]]
    filter_backends = [NamedFieldsFilter]
    http_method_names = ["get", "head", "post", "patch", "delete"]

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        if request.method.lower() not in self.action_map:  # told before anything about the tenant is
            self.http_method_not_allowed(request)
        super().initial(request, *args, **kwargs)

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    def get_object(self) -> Any:
        """Return what the path names. DRF's own would apply the list's filters to it."""
        return get_object_or_404(self.get_queryset(), pk=self.kwargs[str(self.lookup_url_kwarg)])

    def list(self, request: Any, **kwargs: str) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        represent = representation_by(self.get_serializer_class())
        return self.get_paginated_response([represent(row) for row in page or ()])

    def retrieve(self, request: Any, **kwargs: str) -> Response:
        resource = self.get_object()
        tag = self.etag_version(resource)
        if etag_matches(request.headers.get("If-None-Match", ""), tag):
            return Response(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag(tag)})
        return self._answer(resource, HTTPStatus.OK)

    def parse(self, serializer_class: type[BaseSerializer[Any]], *, instance: Model | None = None) -> dict[str, Any]:
        """Return the body's validated fields; with an ``instance``, only those that it is to change (RFC 7396).

        Raises ValidationError that names each refused field.
        """
        data = self.request.data
        if not isinstance(data, Mapping):
            raise ValidationError({"non_field_errors": [_("The body must be a JSON object.")]})
        is_partial = instance is not None
        context = self.get_serializer_context()
        serializer = serializer_class(instance, data=data, partial=is_partial, context=context)
        serializer.is_valid(raise_exception=True)
        fields: dict[str, Any] = serializer.validated_data
        return fields if instance is None else changed_fields(instance, fields)

    def write(
        self,
        service: Callable[..., Any],
        *arguments: Any,
        on: Model | None = None,
        render: Callable[[Any], Response] | None = None,
        **options: Any,
    ) -> HttpResponse:
        """Call one service and render what it returns, both in one transaction.

        What a client can ask of any write is done here: ``If-Match`` against ``on``, ``Idempotency-Key``,
        ``?dry_run=true``. Raises what the service refuses; a deadlock is retried once.
        """

        def answer() -> Response:
            return (render or self.render)(service(*arguments, by=self.actor, **options))

        try:
            return self._write_once(answer, on)
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected):
                raise
            sleep(DEADLOCK_PAUSE_SECONDS)
            return self._write_once(answer, on)

    def _write_once(self, answer: Callable[[], Response], on: Model | None) -> HttpResponse:
        attempt = self._attempt()
        is_dry_run = flag_parameter(self.request, "dry_run")
        with transaction.atomic():
            replayed = attempt.claim() if attempt else None
            if replayed:
                return replayed
            if on is not None and "If-Match" in self.request.headers:
                self.check_precondition(on)
            response = _render_now(answer())
            if is_dry_run:
                transaction.set_rollback(True)
            elif attempt:
                attempt.store(response)
        return response

    def check_precondition(self, resource: Model) -> None:
        """Compare If-Match under a lock. Raises PreconditionFailed."""
        rows = type(resource)._default_manager.all()  # noqa: SLF001 - Django documents it
        check_row_version(rows, resource.pk, self.request.headers["If-Match"])

    def _attempt(self) -> IdempotentRequest | None:
        header = self.request.headers.get(HEADER)
        if header is None or self.request.method not in ("POST", "PATCH"):
            return None
        scope = f"{self.actor.id}\n{self.request.method}\n{self.request.path}"
        return IdempotentRequest.read(header, scope, self.request.body)

    def etag_version(self, resource: Any) -> int | str:
        """Return what the ETag shows; subclasses add what can change without a new version of the row."""
        version: int = resource.version
        return version

    def render(
        self, resource: Model, *, status: int = HTTPStatus.OK, once: Mapping[str, Any] | None = None
    ) -> Response:
        """Answer a write with the whole object, and with what is shown ``once``, in this answer only."""
        return self._answer(self.reload(resource), status, once)

    def reload(self, resource: Model) -> Model:
        """Return what was written as a read shows it; subclasses whose reads add to the row ask for it."""
        return resource

    def _answer(self, resource: Model, status: int, once: Mapping[str, Any] | None = None) -> Response:
        data = representation_by(self.get_serializer_class())(resource) | dict(once or {})
        return Response(data, status=status, headers={"ETag": etag(self.etag_version(resource))})

    def render_created(self, resource: Model, *, once: Mapping[str, Any] | None = None) -> Response:
        """Answer 201 with the whole object and where it lives."""
        response = self.render(resource, status=HTTPStatus.CREATED, once=once)
        response["Location"] = f"{self.collection_path}/{resource.pk}"
        return response

    @property
    def collection_path(self) -> str:
        """Below which path a created object lives."""
        return self.request.path

    def render_nothing(self, _result: object) -> Response:
        """Answer 204."""
        return Response(status=HTTPStatus.NO_CONTENT)


def representation_by(serializer_class: type[BaseSerializer[Any]]) -> Callable[[Any], dict[str, Any]]:
    """Return what turns a row into JSON types; it is one for all requests, and looks at none of them.

    DRF makes a serializer for each answer, and copies its fields for longer than they take to read a row.
    """
    if serializer_class not in _representations:
        _representations[serializer_class] = serializer_class().to_representation
    return _representations[serializer_class]


def _render_now(response: Response) -> HttpResponse:
    """Render now, inside the transaction: what is stored for a retry is what the first client got."""
    content = b"" if response.data is None else JSONRenderer().render(response.data)
    media_type = "application/json" if content else None
    rendered = HttpResponse(content, status=response.status_code, content_type=media_type)
    for name in ("ETag", "Location"):
        if name in response:
            rendered[name] = response[name]
    return rendered
