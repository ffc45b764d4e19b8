"""A token issuer with Keycloak's paths, for development; it never runs in production.

`make run` and the tests need an issuer on machines without Java, which Keycloak needs. `make test-keycloak` gets the
same tokens from a real Keycloak.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import jwt

from stoa_cp.devserver.grants import GRANT_TYPES, Fields, Grants, OAuthError
from stoa_cp.devserver.http import Request, Response, html_response, json_response, redirect
from stoa_cp.devserver.realm import CONSOLE_CLIENT_ID, PEOPLE, PROFILE_CLAIMS
from stoa_cp.devserver.sign_ins import COOKIE, SignIns, origin_of

REALM = "/realms/stoa"
# Codes and browsers are redirected to this machine only. Any other target could be an attacker's page.
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
    """The realm's endpoints: one method for each path in ``ROUTES``."""

    grants: Grants
    sign_ins: SignIns = field(default_factory=SignIns)

    def respond(self, request: Request) -> Response:
        route = ROUTES.get(request.path)
        if route is None:
            return json_response({"error": "Not Found"}, HTTPStatus.NOT_FOUND)
        try:
            return route(self, request)
        except OAuthError as refusal:
            return json_response({"error": refusal.code, "error_description": str(refusal)}, refusal.status)

    def configuration(self, _request: Request) -> Response:
        """Return the metadata of OpenID Connect Discovery 1.0 §3."""
        protocol = f"{self.grants.issuer}/protocol/openid-connect"
        return json_response(
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
                "prompt_values_supported": ["none"],
                "backchannel_logout_supported": True,
                "backchannel_logout_session_supported": True,
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            }
        )

    def certificates(self, _request: Request) -> Response:
        return json_response({"keys": [self.grants.key.public_jwk()]})

    def token(self, request: Request) -> Response:
        return json_response(self.grants.tokens(request.fields, request.authorization))

    def userinfo(self, request: Request) -> Response:
        try:
            claims = self.grants.key.verify(request.authorization.removeprefix("Bearer "))
        except jwt.InvalidTokenError as error:
            raise OAuthError("invalid_token", str(error), HTTPStatus.UNAUTHORIZED) from error
        return json_response({name: value for name, value in claims.items() if name in PROFILE_CLAIMS})

    def authorisation(self, request: Request) -> Response:
        """Show the login form; with the right password, redirect to the client with a code (RFC 6749 §4.1)."""
        fields = request.fields
        target = fields.get("redirect_uri", "")
        if fields.get("client_id") != CONSOLE_CLIENT_ID or urlsplit(target).hostname not in LOOPBACK:
            return html_response("Unknown client, or a redirect_uri that leaves this machine.", HTTPStatus.BAD_REQUEST)
        state = fields.get("state", "")
        cookie, sign_in = request.cookies.get(COOKIE, ""), None
        if request.method == "GET":
            sign_in = self.sign_ins.find(cookie)
            if sign_in is None and fields.get("prompt") == "none":  # OpenID Connect Core 1.0 §3.1.2.6
                return redirect(f"{target}?{urlencode({'error': 'login_required', 'state': state})}")
            if sign_in is None:
                return html_response(_login_page(fields, ""))
        else:
            try:
                cookie, sign_in = self.sign_ins.begin(self.grants.authenticate_person(fields))
            except OAuthError as refusal:
                return html_response(_login_page(fields, str(refusal)), HTTPStatus.UNAUTHORIZED)
        sign_in.consoles.add(origin_of(target))
        code = self.grants.authorise(fields, PEOPLE[sign_in.username], sign_in.id)
        return redirect(f"{target}?{urlencode({'code': code, 'state': state})}", cookie=f"{COOKIE}={cookie}")

    def logout(self, request: Request) -> Response:
        """End the session of the browser (OpenID Connect RP-Initiated Logout 1.0), and tell its consoles."""
        self.sign_ins.end(request.cookies.get(COOKIE, ""), key=self.grants.key, issuer=self.grants.issuer)
        target = request.fields.get("post_logout_redirect_uri", "")
        return redirect(target) if urlsplit(target).hostname in LOOPBACK else html_response("You are signed out.")


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
