"""The development realm: its key pair, its people, and the claims that Keycloak writes into their tokens."""

import json
import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

# The clients of stoa_cp/keycloak/stoa-realm.json: one for services, one for the operators' login in the browser.
CLIENT_ID = "control-plane-api"
CONSOLE_CLIENT_ID = "stoa-console"
# Keycloak's default is 300. Here people copy a token into a shell and read on; it should last for the session.
LIFETIME_SECONDS = 3600
LOGOUT_SECONDS = 120  # the longest that Back-Channel Logout 1.0 §2.4 recommends for a logout token
# The claims of ``userinfo``, as in Keycloak: who the person is, but no roles.
PROFILE_CLAIMS = frozenset({"sub", "preferred_username", "name", "email", "email_verified"})

Claims = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """A user or service account that can get a token. ``tenant`` is a tenant's name, "" for the platform's roles."""

    username: str
    role: str
    tenant: str = ""

    @property
    def subject(self) -> str:
        """The claim ``sub``. Derived from the name, so that the event log names the same actors after a fresh start."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.username}.stoa"))


SERVICE_ACCOUNT = Person(f"service-account-{CLIENT_ID}", "cpi-admin")
# The people of the development realm, as Keycloak imports them: one of each role, and a second tenant's administrator.
PEOPLE_FILE = Path(__file__).resolve().parent.parent / "keycloak" / "stoa-users-0.json"
PEOPLE = {
    user["username"]: Person(
        user["username"], user["realmRoles"][0], "".join(user.get("attributes", {}).get("tenant_id", []))
    )
    for user in json.loads(PEOPLE_FILE.read_text())["users"]
}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An RSA key pair, and the ``kid`` under which its public key is published."""

    private: rsa.RSAPrivateKey
    kid: str = field(init=False)

    def __post_init__(self) -> None:
        # The kid is derived from the key: a new key never has the kid of an old one, which clients may have cached.
        public = self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(public)
        object.__setattr__(self, "kid", digest.finalize().hex()[:16])

    @classmethod
    def generate(cls) -> "KeyPair":
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=2048))

    @classmethod
    def load_or_create(cls, path: Path) -> "KeyPair":
        """Return the key pair in the PEM file ``path``; makes both at the first call. Tokens so survive a restart."""
        if path.exists():
            loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if isinstance(loaded, rsa.RSAPrivateKey):
                return cls(loaded)
        key = cls.generate()
        pem = key.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # Created with its mode: with a chmod() afterwards, others could read it for a moment.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(pem)
        return key

    def public_jwk(self) -> Claims:
        """Return the public key as a JSON Web Key (RFC 7517)."""
        return RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True) | {
            "kid": self.kid,
            "alg": "RS256",
            "use": "sig",
        }

    def sign(self, claims: Claims) -> str:
        return jwt.encode(claims, self.private, algorithm="RS256", headers={"kid": self.kid})

    def verify(self, token: str) -> Claims:
        """Return the claims of an access token of ours. Raises jwt.InvalidTokenError."""
        return jwt.decode(token, self.private.public_key(), algorithms=["RS256"], audience=CLIENT_ID)


def access_claims(person: Person, issuer: str, client: str = CLIENT_ID) -> Claims:
    """Return the claims of Keycloak's access token, in a realm with an audience mapper for `control-plane-api`."""
    claims = _common_claims(person, issuer, client) | {
        "typ": "Bearer",
        "aud": [CLIENT_ID, "account"],
        "realm_access": {"roles": [person.role, "offline_access"]},
        "resource_access": {"account": {"roles": ["view-profile"]}},
        "scope": "openid email profile",
    }
    if person.tenant:
        claims["tenant_id"] = person.tenant
    if person is SERVICE_ACCOUNT:
        claims |= {"client_id": client, "clientHost": "127.0.0.1", "clientAddress": "127.0.0.1"}
    return claims


def identity_claims(person: Person, issuer: str, nonce: str | None, session_id: str) -> Claims:
    """Return the claims of Keycloak's ID token: who the person is, but no roles."""
    claims = _common_claims(person, issuer, CONSOLE_CLIENT_ID) | {
        "typ": "ID",
        "aud": CONSOLE_CLIENT_ID,
        "sid": session_id,
    }
    return claims | ({"nonce": nonce} if nonce else {})


def logout_claims(username: str, session_id: str, issuer: str) -> Claims:
    """Return the claims of Keycloak's logout token (OpenID Connect Back-Channel Logout 1.0 §2.4)."""
    now = int(time.time())
    return {
        "iss": issuer,
        "sub": Person(username, "").subject,
        "aud": CONSOLE_CLIENT_ID,
        "iat": now,
        "exp": now + LOGOUT_SECONDS,
        "jti": str(uuid.uuid4()),
        "typ": "Logout",
        "sid": session_id,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }


def _common_claims(person: Person, issuer: str, client: str) -> Claims:
    now = int(time.time())
    return {
        "sub": person.subject,
        "preferred_username": person.username,
        "name": person.username.capitalize(),
        "email": f"{person.username}@{person.tenant or 'stoa'}.example",
        "email_verified": True,
        "iss": issuer,
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
        "jti": str(uuid.uuid4()),
        "azp": client,
        "acr": "1",
    }
