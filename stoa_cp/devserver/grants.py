"""The grant types of the development issuer (RFC 6749): what a client must present, and which tokens it gets."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from stoa_cp.devserver.realm import (
    CLIENT_ID,
    CONSOLE_CLIENT_ID,
    LIFETIME_SECONDS,
    PEOPLE,
    SERVICE_ACCOUNT,
    Claims,
    KeyPair,
    Person,
    access_claims,
    identity_claims,
)

CODE_SECONDS = 60.0  # RFC 6749 §4.1.2 allows ten minutes; Keycloak gives one

Fields = Mapping[str, str]


class OAuthError(Exception):
    """A refused request (RFC 6749 §5.2): an error code, a sentence, and an HTTP status."""

    def __init__(self, code: str, sentence: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(sentence)
        self.code, self.status = code, status


@dataclass(frozen=True, slots=True)
class Authorisation:
    """What was granted with a code: valid once, until ``expires_at`` (monotonic seconds)."""

    person: Person
    session_id: str
    redirect_uri: str
    nonce: str | None
    challenge: str | None
    expires_at: float


@dataclass(slots=True)
class Grants:
    """The realm's secrets and the codes that are not redeemed yet. ``issuer`` is the claim ``iss`` of every token."""

    issuer: str
    key: KeyPair
    client_secret: str
    password: str
    _codes: dict[str, Authorisation] = field(default_factory=dict)

    def tokens(self, fields: Fields, authorization: str) -> Claims:
        """Return the body of the answer to a token request (RFC 6749 §5.1). Raises OAuthError."""
        client = self._authenticate_client(fields, authorization)
        grant_type = fields.get("grant_type", "")
        if grant_type not in GRANT_TYPES:
            raise OAuthError("unsupported_grant_type", f"grant_type is one of {', '.join(GRANT_TYPES)}.")
        if grant_type not in CLIENTS[client]:
            raise OAuthError("unauthorized_client", f"The client {client} may not use this grant_type.")
        return GRANT_TYPES[grant_type](self, fields)

    def authorise(self, fields: Fields, person: Person, session_id: str) -> str:
        """Return a code for a person who is signed in."""
        code = secrets.token_urlsafe(24)
        self._codes[code] = Authorisation(
            person=person,
            session_id=session_id,
            redirect_uri=fields["redirect_uri"],
            nonce=fields.get("nonce"),
            challenge=fields.get("code_challenge"),
            expires_at=time.monotonic() + CODE_SECONDS,
        )
        return code

    def _for_client(self, _fields: Fields) -> Claims:
        return self._tokens_of(SERVICE_ACCOUNT)

    def _for_password(self, fields: Fields) -> Claims:
        return self._tokens_of(self.authenticate_person(fields))

    def _for_code(self, fields: Fields) -> Claims:
        granted = self._codes.pop(fields.get("code", ""), None)  # valid once (RFC 6749 §4.1.2)
        if granted is None or granted.expires_at < time.monotonic():
            raise OAuthError("invalid_grant", "The code is unknown, used or expired.")
        if granted.redirect_uri != fields.get("redirect_uri"):
            raise OAuthError("invalid_grant", "The redirect_uri is not the one that the code was sent to.")
        if granted.challenge and granted.challenge != _challenge_of(fields.get("code_verifier", "")):
            raise OAuthError("invalid_grant", "The code_verifier does not fit.")
        identity = self.key.sign(identity_claims(granted.person, self.issuer, granted.nonce, granted.session_id))
        return self._tokens_of(granted.person, CONSOLE_CLIENT_ID) | {"id_token": identity}

    def _tokens_of(self, person: Person, client: str = CLIENT_ID) -> Claims:
        return {
            "access_token": self.key.sign(access_claims(person, self.issuer, client)),
            "expires_in": LIFETIME_SECONDS,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "scope": "openid email profile",
        }

    def _authenticate_client(self, fields: Fields, authorization: str) -> str:
        client, secret = fields.get("client_id", ""), fields.get("client_secret", "")
        if authorization.startswith("Basic "):
            client, secret = _basic_credentials(authorization)
        if client not in CLIENTS or not _are_equal(secret, self.client_secret):
            raise OAuthError("unauthorized_client", "Invalid client or client secret.", HTTPStatus.UNAUTHORIZED)
        return client

    def authenticate_person(self, fields: Fields) -> Person:
        """Return the person whose name and password are in the form. Raises OAuthError."""
        person = PEOPLE.get(fields.get("username", ""))
        if person is None or not _are_equal(fields.get("password", ""), self.password):
            raise OAuthError("invalid_grant", "Invalid username or password.", HTTPStatus.UNAUTHORIZED)
        return person


GRANT_TYPES: dict[str, Callable[[Grants, Fields], Claims]] = {
    "client_credentials": Grants._for_client,  # noqa: SLF001 - the class's own table
    "password": Grants._for_password,  # noqa: SLF001 - the same
    "authorization_code": Grants._for_code,  # noqa: SLF001 - the same
}


# Keycloak refuses the grant type "password" in our realm. Here it gives scripts and tests the token of a person.
CLIENTS = {CLIENT_ID: {"client_credentials", "password"}, CONSOLE_CLIENT_ID: {"authorization_code"}}


def _are_equal(given: str, expected: str) -> bool:
    # In constant time. Encoded, as compare_digest takes only ASCII in strings.
    return hmac.compare_digest(given.encode(), expected.encode())


def _challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _basic_credentials(authorization: str) -> tuple[str, str]:
    try:
        decoded = base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode()
    except ValueError:
        return "", ""
    client, _colon, secret = decoded.partition(":")
    return client, secret
