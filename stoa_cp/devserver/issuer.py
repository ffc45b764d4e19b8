"""A token issuer with Keycloak's addresses, for development; it never runs in production."""

import html
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import jwt

from stoa_cp.devserver.answers import Request, Response, json_answer, page, redirect
from stoa_cp.devserver.grants import GRANT_TYPES, Fields, Grants, Refused
from stoa_cp.devserver.realm import CLIENT_ID, PROFILE_CLAIMS

REALM = "/realms/stoa"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

LOGIN_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Development login</title>
<style>
body {{ font: 16px system-ui; max-width: 22rem; margin: 15vh auto }}
input {{ display: block; width: 100%; margin: .3rem 0 1rem; font: inherit }}
</style>
<h1>Development login</h1>
<p role="alert">{problem}</p>
<form method="post">{hidden}
<label>Username <input name="username" value="olga" autocomplete="username"></label>
<label>Password <input name="password" type="password" autofocus autocomplete="current-password"></label>
<button>Sign in</button>
</form></html>"""


@dataclass(slots=True)
class Issuer:
    """The realm as its clients see it: Keycloak's addresses, each with what happens there."""

    grants: Grants

    def answer(self, question: Request) -> Response:
        route = ROUTES.get(question.path)
        if route is None:
            return json_answer({"error": "Not Found"}, HTTPStatus.NOT_FOUND)
        try:
            return route(self, question)
        except Refused as refusal:
            return json_answer({"error": refusal.code, "error_description": str(refusal)}, refusal.status)

    def configuration(self, _question: Request) -> Response:
        """The metadata of OpenID Connect Discovery 1.0."""
        protocol = f"{self.grants.issuer}/protocol/openid-connect"
        return json_answer(
            {
                "issuer": self.grants.issuer,
                "authorization_endpoint": f"{protocol}/auth",
                "token_endpoint": f"{protocol}/token",
                "userinfo_endpoint": f"{protocol}/userinfo",
                "end_session_endpoint": f"{protocol}/logout",
                "jwks_uri": f"{protocol}/certs",
                "grant_types_supported": list(GRANT_TYPES),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            }
        )

    def certificates(self, _question: Request) -> Response:
        return json_answer({"keys": [self.grants.key.published()]})

    def token(self, question: Request) -> Response:
        return json_answer(self.grants.tokens(question.fields, question.authorization))

    def userinfo(self, question: Request) -> Response:
        try:
            claims = self.grants.key.verify(question.authorization.removeprefix("Bearer "))
        except jwt.InvalidTokenError as error:
            raise Refused("invalid_token", str(error), HTTPStatus.UNAUTHORIZED) from error
        return json_answer({name: value for name, value in claims.items() if name in PROFILE_CLAIMS})

    def authorisation(self, question: Request) -> Response:
        """Show the login form; once it is filled in rightly, send the browser back with a code (RFC 6749 §4.1)."""
        fields = question.fields
        target = fields.get("redirect_uri", "")
        if fields.get("client_id") != CLIENT_ID or urlsplit(target).hostname not in LOOPBACK:
            return page("Unknown client, or a redirect_uri that leaves this machine.", HTTPStatus.BAD_REQUEST)
        if question.method == "GET":
            return page(_login_page(fields, ""))
        try:
            code = self.grants.authorise(fields)
        except Refused as refusal:
            return page(_login_page(fields, str(refusal)), HTTPStatus.UNAUTHORIZED)
        return redirect(f"{target}?{urlencode({'code': code, 'state': fields.get('state', '')})}")

    def logout(self, question: Request) -> Response:
        target = question.fields.get("post_logout_redirect_uri", "")
        return redirect(target) if urlsplit(target).hostname in LOOPBACK else page("You are signed out.")


ROUTES: dict[str, Callable[[Issuer, Request], Response]] = {
    f"{REALM}/.well-known/openid-configuration": Issuer.configuration,
    f"{REALM}/protocol/openid-connect/certs": Issuer.certificates,
    f"{REALM}/protocol/openid-connect/token": Issuer.token,
    f"{REALM}/protocol/openid-connect/userinfo": Issuer.userinfo,
    f"{REALM}/protocol/openid-connect/auth": Issuer.authorisation,
    f"{REALM}/protocol/openid-connect/logout": Issuer.logout,
}


def _login_page(fields: Fields, problem: str) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
        if name not in {"username", "password"}
    )
    return LOGIN_PAGE.format(hidden=hidden, problem=html.escape(problem))
