"""The development realm: its key, its people, and tokens that look like Keycloak's."""

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

CLIENT_ID = "control-plane-api"
LIFETIME_SECONDS = 3600  # Keycloak gives 300; a README is read more slowly
# What userinfo tells, as in Keycloak: who it is, and no role.
PROFILE_CLAIMS = frozenset({"sub", "preferred_username", "name", "email", "email_verified"})

Claims = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can get a token: a role of the realm, and the name of a tenant unless the role is the platform's."""

    username: str
    role: str
    tenant: str = ""

    @property
    def subject(self) -> str:
        """The same in every realm that this module makes, so that an event log stays readable after a fresh start."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.username}.stoa"))


SERVICE_ACCOUNT = Person(f"service-account-{CLIENT_ID}", "cpi-admin")
PEOPLE = {
    person.username: person
    for person in (
        Person("olga", "cpi-admin"),
        Person("alice", "tenant-admin", "acme"),
        Person("dave", "devops", "acme"),
        Person("victor", "viewer", "acme"),
        Person("bob", "tenant-admin", "globex"),
    )
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An RSA key and the identifier under which its public half is published."""

    private: rsa.RSAPrivateKey
    kid: str = field(init=False)

    def __post_init__(self) -> None:
        public = self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(public)
        object.__setattr__(self, "kid", digest.finalize().hex()[:16])

    @classmethod
    def generate(cls) -> "SigningKey":
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=2048))

    @classmethod
    def kept_in(cls, path: Path) -> "SigningKey":
        """Return the key in the PEM file ``path``; makes both at the first call, so that tokens survive a restart."""
        if path.exists():
            loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if isinstance(loaded, rsa.RSAPrivateKey):
                return cls(loaded)
        key = cls.generate()
        pem = key.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(pem)
        return key

    def published(self) -> Claims:
        """The public half as a JSON Web Key (RFC 7517)."""
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


def access_claims(person: Person, issuer: str) -> Claims:
    """The claims of Keycloak's access token, with the audience mapper that `control-plane-api` needs."""
    claims = _common_claims(person, issuer) | {
        "typ": "Bearer",
        "aud": [CLIENT_ID, "account"],
        "realm_access": {"roles": [person.role, "offline_access"]},
        "resource_access": {"account": {"roles": ["view-profile"]}},
        "scope": "openid email profile",
    }
    if person.tenant:
        claims["tenant_id"] = person.tenant
    return claims


def identity_claims(person: Person, issuer: str, nonce: str | None) -> Claims:
    """The claims of Keycloak's ID token: who it is, and no role."""
    claims = _common_claims(person, issuer) | {"typ": "ID", "aud": CLIENT_ID}
    return claims | ({"nonce": nonce} if nonce else {})


def _common_claims(person: Person, issuer: str) -> Claims:
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
        "azp": CLIENT_ID,
        "acr": "1",
    }
