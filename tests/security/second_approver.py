"""The persons and doors with which the rule of the second approver is tried."""

from django.contrib.auth.models import User
from django.test import Client

from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from stoa_cp.domain.actors import Actor
from stoa_cp.operators.accounts import username_of
from stoa_cp.operators.single_sign_on import SUBJECT_IN_SESSION
from tests.conftest import Caller, signed_in

REQUIRED = (403, "forbidden", "", "second_approver_required")


def administrator(realm: Grants, subject: str) -> Caller:
    """Return another administrator of acme than alice."""
    return Caller(realm.key.sign(access_claims(PEOPLE["alice"], realm.issuer) | {"sub": subject}))


def console_of(subject: str) -> Client:
    """Return the console of the person whom the identity provider has proved: what its callback leaves behind."""
    client = signed_in(User.objects.create_superuser(username_of(Actor(subject))))
    session = client.session
    session[SUBJECT_IN_SESSION] = subject
    session.save()
    return client
