"""Roles, tenants and subjects, as realms of several ages write them."""

from typing import Any

import pytest

from stoa_cp.identity.claims import is_addressed_to, name_of, roles_of, subject_of, tenants_of

OURS = "control-plane-api"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("viewer", "viewer"),
        ("devops", "devops"),
        ("tenant-admin", "tenant-admin"),
        ("cpi-admin", "cpi-admin"),
        ("stoa-gateway", "stoa-gateway"),
        ("stoa.admin", "cpi-admin"),
        ("stoa.product_owner", "tenant-admin"),
        ("stoa.developer", "devops"),
        ("stoa.consumer", "viewer"),
    ],
)
def test_a_role_of_any_realm_has_one_name(written: str, canonical: str) -> None:
    assert roles_of({"realm_access": {"roles": [written]}}, OURS) == {canonical}
    assert roles_of({"resource_access": {OURS: {"roles": [written]}}}, OURS) == {canonical}


def test_roles_of_the_realm_and_of_the_client_add_up() -> None:
    claims = {
        "realm_access": {"roles": ["viewer"]},
        "resource_access": {OURS: {"roles": ["devops"]}, "account": {"roles": ["cpi-admin"]}},
    }
    assert roles_of(claims, OURS) == {"viewer", "devops"}


@pytest.mark.parametrize("role", ["admin", "CPI-ADMIN", "cpi-admin ", "stoa.Admin", "offline_access", "", None, 7, {}])
def test_an_unknown_role_is_dropped(role: object) -> None:
    assert roles_of({"realm_access": {"roles": [role, "viewer"]}}, OURS) == {"viewer"}


@pytest.mark.parametrize("odd", [None, [], "cpi-admin", {"roles": None}, {"roles": {"cpi-admin": 1}}, 7])
def test_odd_role_claims_give_nothing(odd: object) -> None:
    assert roles_of({"realm_access": odd, "resource_access": odd}, OURS) == frozenset()
    assert roles_of({"resource_access": {OURS: odd}}, OURS) == frozenset()


@pytest.mark.parametrize(
    ("claims", "tenants"),
    [
        ({"tenant_id": "ten-0123456789abcdef"}, ("ten-0123456789abcdef",)),
        ({"tenant": "acme"}, ("acme",)),
        ({"tenant_id": "acme", "tenant": "globex"}, ("acme",)),
        ({"tenant_id": [], "tenant": "globex"}, ("globex",)),
        ({"tenant_id": ["globex", "acme", "globex"]}, ("globex", "acme")),
        ({"tenant_id": ["acme", 7, None, {}, ""]}, ("acme",)),
        ({"tenant_id": "ac\x00me"}, ()),
        ({"tenant_id": "a" * 64}, ()),
        ({"tenant_id": {"acme": 1}}, ()),
        ({}, ()),
    ],
)
def test_tenants_are_read_in_the_tokens_order(claims: dict[str, Any], tenants: tuple[str, ...]) -> None:
    assert tenants_of(claims) == tenants


def test_the_subject_comes_before_the_client() -> None:
    assert subject_of({"sub": "alice", "azp": "console"}) == "alice"
    assert subject_of({"azp": "ci-robot"}) == "ci-robot"


@pytest.mark.parametrize("subject", ["", "a\nb", "a\x00", "x" * 256, 7, None, "system", "operator:olga"])
def test_a_subject_that_the_audit_trail_cannot_name_is_nobody(subject: object) -> None:
    assert subject_of({"sub": subject, "azp": "console"}) is None


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"name": "Alice Adams", "preferred_username": "alice"}, "Alice Adams"),
        ({"preferred_username": "alice"}, "alice"),
        ({"name": "", "preferred_username": "alice"}, "alice"),
        ({"name": "x" * 151}, "x" * 150),
        ({"name": "Ali\x00ce"}, ""),
        ({"name": "\ud800"}, ""),
        ({"name": "alice\u202e"}, ""),
        ({"name": 7}, ""),
        ({}, ""),
    ],
)
def test_a_name_is_text_that_can_be_shown(claims: dict[str, Any], name: str) -> None:
    assert name_of(claims) == name


@pytest.mark.parametrize(
    ("audience", "is_ours"),
    [
        (OURS, True),
        (["account", OURS], True),
        ("account", False),
        ([], False),
        (None, False),
        ([[OURS]], False),
    ],
)
def test_an_audience_is_a_name_or_a_list(audience: object, is_ours: bool) -> None:  # noqa: FBT001 - a column
    assert is_addressed_to({"aud": audience}, OURS) is is_ours
