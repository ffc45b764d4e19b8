"""The base class of every ``/v1`` viewset: parse the request, call one service, render its result."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

from django.db.models import Model
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from stoa_cp.db.changes import changed_fields
from stoa_cp.domain.actors import Actor
from stoa_cp.domain.issued import Issued
from stoa_cp.identity.authentication import actor_of
from stoa_cp.rest.conditional import check_row_version, etag, etag_matches
from stoa_cp.rest.filtering import NamedFieldsFilter
from stoa_cp.rest.parameters import check_query_parameters, flag_parameter
from stoa_cp.rest.writes import run_write

_representations: dict[type[BaseSerializer[Any]], Callable[[Any], dict[str, Any]]] = {}


class ControlPlaneViewSet(GenericViewSet[Any]):
    """Subclasses name their ``rights`` per action, and a ``serializer_class`` that renders the resource."""

    rights: ClassVar[Mapping[str, str]]
    # The query parameters of each action; of ``list``, those beside its filters. Every write also takes ``dry_run``.
    query_parameters: ClassVar[Mapping[str, Collection[str]]] = {}
    filter_backends = [NamedFieldsFilter]
    http_method_names = ["get", "head", "post", "patch", "delete"]

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        # 405 before the tenant is looked up: the answer must not tell whether the tenant exists.
        if request.method.lower() not in self.action_map:
            self.http_method_not_allowed(request)
        super().initial(request, *args, **kwargs)
        if self.action != "list":
            known = set(self.query_parameters.get(str(self.action), ()))
            check_query_parameters(request, known if request.method in SAFE_METHODS else known | {"dry_run"})

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    def get_object(self) -> Any:
        """Return the object that the path names. DRF's own method would apply the list's filters to it."""
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
        *,
        instance: Model | None = None,
        status: HTTPStatus = HTTPStatus.OK,
        render: Callable[[Any], Response] | None = None,
    ) -> HttpResponse:
        """Call ``service(by=actor)`` and answer with what it returns: a row, or a row ``Issued`` with its secrets.

        ``instance`` is the row that ``If-Match`` is compared with. ``run_write`` tells what else happens here.
        """

        def operation() -> Response:
            result = service(by=self.actor)
            return render(result) if render else self._render(result, status)

        precondition = None if instance is None else partial(self.check_precondition, instance)
        return run_write(self.request, operation, path=self.canonical_path, check_precondition=precondition)

    def check_precondition(self, resource: Model) -> None:
        """Compare If-Match under a lock. Raises PreconditionFailed."""
        rows = type(resource)._default_manager.all()  # noqa: SLF001 - Django documents it
        check_row_version(rows, resource.pk, self.request.headers["If-Match"])

    def etag_version(self, resource: Any) -> int | str:
        """Return the version that the ETag shows. Subclasses add what can change without a new version of the row."""
        version: int = resource.version
        return version

    def _render(self, result: Any, status: HTTPStatus) -> Response:
        if status == HTTPStatus.NO_CONTENT:
            return Response(status=status)
        issued = result if isinstance(result, Issued) else Issued(result)
        if flag_parameter(self.request, "dry_run"):
            issued = issued.without_secrets()
        response = self._answer(self.reload(issued.resource), status, self.members_shown_once(issued))
        if status == HTTPStatus.CREATED:
            response["Location"] = f"{self.collection_path}/{issued.resource.pk}"
        return response

    def members_shown_once(self, issued: Issued[Any]) -> Mapping[str, Any]:
        """Return what this one answer adds to the object."""
        return issued.secrets

    def reload(self, resource: Model) -> Model:
        """Return what was written as a read shows it; subclasses whose reads add to the row query it again."""
        return resource

    def _answer(self, resource: Model, status: int, extra: Mapping[str, Any] | None = None) -> Response:
        data = representation_by(self.get_serializer_class())(resource) | dict(extra or {})
        return Response(data, status=status, headers={"ETag": etag(self.etag_version(resource))})

    @property
    def canonical_path(self) -> str:
        """The path with ids only. Subclasses whose paths may hold a name replace it."""
        return self.request.path

    @property
    def collection_path(self) -> str:
        """The path below which a created object is found, for ``Location``."""
        return self.request.path


def representation_by(serializer_class: type[BaseSerializer[Any]]) -> Callable[[Any], dict[str, Any]]:
    """Return a function from a row to JSON types. It is made once per serializer class and reads no request.

    DRF makes a serializer per answer and deep-copies its fields, which takes longer than reading the row.
    """
    if serializer_class not in _representations:
        _representations[serializer_class] = serializer_class().to_representation
    return _representations[serializer_class]
