"""Secrets that are rotated under load: W15."""

from time import monotonic, sleep

from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from tests.faults.load import Caller
from tests.faults.matrix import Fault, Measured, injects
from tests.faults.world import World
from tests.waiting import wait_until
from tests.webhooks.factories import SECRET, an_event
from tests.webhooks.receivers import Received, Receiver, Reply
from webhooks.models import Webhook

ROTATIONS, EVERY_SECONDS = 8, 2.0
EVENTS_PER_ROTATION = 20
OVERLAP_SECONDS = 60
ADOPTIONS_SECONDS = (0.5, 1.5)  # after a rotation: a quick receiver and a slow one
PATIENCE_SECONDS = 40


class Holder:
    """A receiver's configuration: it holds one secret at a time, and takes a new one over after a while."""

    def __init__(self, adopts_after_seconds: float) -> None:
        self._adopts_after_seconds = adopts_after_seconds
        self._secrets = [(0.0, SECRET)]
        self.failures = 0

    def learn(self, secret: str) -> None:
        self._secrets.append((monotonic() + self._adopts_after_seconds, secret))

    def verify(self, request: Received) -> Reply:
        held = next(secret for since, secret in reversed(self._secrets) if since <= request.arrived_at)
        try:
            Verifier(held).verify(request.body, dict(request.headers))
        except WebhookVerificationError:
            self.failures += 1
        return Reply()


@injects(
    Fault(
        "W15",
        f"secret rotated every {EVERY_SECONDS:.0f} s under load",
        f"{ROTATIONS} rotations over REST; receivers that take the new one over after "
        f"{' and '.join(f'{seconds} s' for seconds in ADOPTIONS_SECONDS)}",
        "signature failures 0",
        "tests/webhooks/test_deliver.py",
    )
)
def rotate(world: World) -> Measured:
    tenant = world.tenant()
    quick, slow = (Holder(seconds) for seconds in ADOPTIONS_SECONDS)
    with (
        Receiver(quick.verify).running() as one,
        Receiver(slow.verify).running() as other,
        world.web() as port,
        world.warm_worker(),
    ):
        caller = Caller(port, world.token)
        pairs = [(world.webhooks(tenant, each.url)[0], holder) for each, holder in ((one, quick), (other, slow))]
        for _rotation in range(ROTATIONS):
            for webhook, holder in pairs:
                holder.learn(_rotate(caller, webhook))
            for _event in range(EVENTS_PER_ROTATION):
                an_event(tenant)
                sleep(EVERY_SECONDS / EVENTS_PER_ROTATION)
        sent = 2 * ROTATIONS * EVENTS_PER_ROTATION
        wait_until(lambda: len(one.received) + len(other.received) >= sent, "all arrive", seconds=PATIENCE_SECONDS)
    heard = len(one.received) + len(other.received)
    failures = quick.failures + slow.failures
    return Measured(f"signature failures {failures} of {heard}", held=failures == 0)


def _rotate(caller: Caller, webhook: Webhook) -> str:
    path = f"/tenants/{webhook.tenant_id}/webhooks/{webhook.id}/rotate-secret"
    call = caller.post(path, {"overlap_seconds": OVERLAP_SECONDS})
    secret: str = call.json["secret"]
    return secret
