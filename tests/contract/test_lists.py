"""Pages, cursors, filters, search and sorting, told on the list of APIs."""

import pytest

from tenants.models import Tenant
from tests.conftest import Caller
from tests.factories import ApiFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def apis(acme: Tenant) -> list[str]:
    """Five APIs, newest first."""
    made = [ApiFactory(tenant=acme, name=f"api-{number}", path=f"/{number}").id for number in range(5)]
    return made[::-1]


def ids(response: object) -> list[str]:
    return [item["id"] for item in response.json()["items"]]  # type: ignore[attr-defined]


def test_newest_first_by_default(alice: Caller, apis: list[str]) -> None:
    page = alice.get("/v1/tenants/acme/apis").json()

    assert [item["id"] for item in page["items"]] == apis
    assert {name: page[name] for name in ("page", "limit", "total", "total_pages", "next_cursor")} == {
        "page": 1,
        "limit": 20,
        "total": 5,
        "total_pages": 1,
        "next_cursor": None,
    }


def test_pages_and_their_links(alice: Caller, apis: list[str]) -> None:
    response = alice.get("/v1/tenants/acme/apis?page=2&limit=2")

    assert ids(response) == apis[2:4]
    assert response.json()["total_pages"] == 3
    assert response["Link"].split(", ") == [
        f'<http://testserver/v1/tenants/acme/apis?limit=2&page={page}>; rel="{relation}"'
        for relation, page in (("first", 1), ("prev", 1), ("next", 3), ("last", 3))
    ]


def test_a_page_beyond_the_end_is_empty(alice: Caller, apis: list[str]) -> None:
    response = alice.get("/v1/tenants/acme/apis?page=9")

    assert response.status_code == 200
    assert response.json()["items"] == []
    assert response.json()["total"] == 5


@pytest.mark.parametrize("query", ["page=1&limit=2", "page=2&limit=4", "page=1&limit=5", "page=5&limit=1"])
def test_every_page_knows_how_many_there_are(alice: Caller, apis: list[str], query: str) -> None:
    assert alice.get(f"/v1/tenants/acme/apis?{query}").json()["total"] == 5


def test_an_empty_list_has_nothing_to_count(alice: Caller, acme: Tenant) -> None:
    page = alice.get("/v1/tenants/acme/apis").json()

    assert (page["items"], page["total"], page["total_pages"]) == ([], 0, 0)


def test_a_limit_above_a_hundred_is_a_hundred(alice: Caller, apis: list[str]) -> None:
    assert alice.get("/v1/tenants/acme/apis?limit=1000").json()["limit"] == 100


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "limit=0", "limit=١", "page=1e3", "page=", "page=+1"])
def test_junk_is_refused_by_name(alice: Caller, apis: list[str], query: str) -> None:
    response = alice.get(f"/v1/tenants/acme/apis?{query}")

    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == query.split("=", maxsplit=1)[0]


def test_deep_pages_point_to_the_cursor(alice: Caller, apis: list[str]) -> None:
    response = alice.get("/v1/tenants/acme/apis?page=101&limit=100")

    assert response.status_code == 400
    assert "cursor" in response.json()["error"]["details"][0]["message"]


def test_a_cursor_goes_through_everything_once(alice: Caller, apis: list[str]) -> None:
    seen, url = [], "/v1/tenants/acme/apis?limit=2"
    while True:
        page = alice.get(url).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        url = f"/v1/tenants/acme/apis?limit=2&cursor={page['next_cursor']}"

    assert seen == apis


def test_rows_of_one_instant_are_told_apart(alice: Caller, acme: Tenant, apis: list[str]) -> None:
    first = acme.apis.order_by("created_at").first()
    assert first is not None
    acme.apis.update(created_at=first.created_at)
    in_order = sorted(apis, reverse=True)

    page = alice.get("/v1/tenants/acme/apis?limit=2").json()
    following = alice.get(f"/v1/tenants/acme/apis?limit=5&cursor={page['next_cursor']}").json()

    assert [item["id"] for item in page["items"] + following["items"]] == in_order


@pytest.mark.parametrize(
    "cursor", ["x", "", "%00", "W10", "eyJhIjoxfQ", "WyIyMDI2LTAxLTAxIiwxXQ", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwiYSJd"]
)
def test_a_made_up_cursor_is_refused(alice: Caller, apis: list[str], cursor: str) -> None:
    response = alice.get(f"/v1/tenants/acme/apis?cursor={cursor}")

    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["field"] == "cursor"


def test_filters_by_exact_value(alice: Caller, acme: Tenant, apis: list[str]) -> None:
    hidden = ApiFactory(tenant=acme, status="inactive")

    assert ids(alice.get("/v1/tenants/acme/apis?status=inactive")) == [hidden.id]
    assert ids(alice.get("/v1/tenants/acme/apis?status=inactive&name=api-1")) == []


def test_search_looks_into_names(alice: Caller, acme: Tenant, apis: list[str]) -> None:
    found = ApiFactory(tenant=acme, name="Payments")

    assert ids(alice.get("/v1/tenants/acme/apis?q=PAY")) == [found.id]


def test_a_percent_sign_is_searched_literally(alice: Caller, apis: list[str]) -> None:
    assert ids(alice.get("/v1/tenants/acme/apis?q=%25")) == []


def test_sorting_by_named_fields(alice: Caller, apis: list[str]) -> None:
    assert ids(alice.get("/v1/tenants/acme/apis?sort=name")) == apis[::-1]
    assert ids(alice.get("/v1/tenants/acme/apis?sort=-name,created_at")) == apis


@pytest.mark.parametrize("query", ["color=red", "sort=upstream_url", "sort=", "tenant__name=x", "q=%00", "status=%00"])
def test_unknown_parameters_and_bad_values_are_refused(alice: Caller, apis: list[str], query: str) -> None:
    expected = 200 if query == "sort=" else 400

    assert alice.get(f"/v1/tenants/acme/apis?{query}").status_code == expected


def test_a_cursor_goes_with_the_default_order_only(alice: Caller, apis: list[str]) -> None:
    cursor = alice.get("/v1/tenants/acme/apis?limit=2").json()["next_cursor"]

    assert alice.get(f"/v1/tenants/acme/apis?sort=name&cursor={cursor}").status_code == 400
