"""What a caller sees of its token's fate, from the header to the view."""

import pytest
from django.test import Client
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from stoa_cp.domain.actors import Actor
from stoa_cp.ratelimit.limiter import RateLimitStatus
from stoa_cp.rest.api_call import ApiCall, ApiCallAuthentication, attach
from tests.kernel.identity.provider import Provider, rsa_key, sign

pytestmark = pytest.mark.django_db

PATH = "/v1/tenants"


def test_a_good_token_reaches_the_view(client: Client, provider: Provider) -> None:
    response = client.get(PATH, headers={"Authorization": f"Bearer {provider.token()}"})
    assert response.status_code == 200


def test_without_a_token_the_challenge_names_no_error(client: Client, provider: Provider) -> None:
    response = client.get(PATH)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Bearer realm="stoa"')
    assert response.json()["error"]["details"][0]["code"] == "token_missing"


@pytest.mark.parametrize(("changes", "code"), [({"exp": 1}, "token_expired"), ({"aud": "x"}, "token_invalid")])
def test_a_bad_token_is_challenged_by_name(
    client: Client, provider: Provider, changes: dict[str, object], code: str
) -> None:
    response = client.get(PATH, headers={"Authorization": f"Bearer {provider.token(**changes)}"})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="stoa", error="invalid_token"'
    assert response.json()["error"]["code"] == "unauthorized"
    assert response.json()["error"]["details"][0]["code"] == code


def test_a_token_that_nobody_can_judge_is_a_503(client: Client, provider: Provider) -> None:
    provider.mood = "broken"
    token = sign(provider.claims(), rsa_key("second"), kid="second")
    response = client.get(PATH, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert response.json()["error"]["code"] == "internal_error"
    assert response.json()["error"]["details"][0]["code"] == "unavailable"


def test_the_rest_framework_adopts_the_authenticated_call() -> None:
    request = APIRequestFactory().get(PATH)
    assert ApiCallAuthentication().authenticate(Request(request)) is None
    attach(ApiCall(Actor("alice"), RateLimitStatus(10, 9, 0)), request)
    assert ApiCallAuthentication().authenticate(Request(request)) == (Actor("alice"), None)
    assert ApiCallAuthentication().authenticate_header(Request(request)) == 'Bearer realm="stoa"'
