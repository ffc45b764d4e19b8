"""APIs, and a gateway."""

from catalog.models import Api
from tests.factories import GatewayFactory
from tests.scale.copying import copy
from tests.scale.sizes import Sizes
from tests.scale.tenants import tenant_id
from tests.scale.values import credential_of, id_of, moment_of

GATEWAY = "scale-edge"
GATEWAY_TOKEN = credential_of(0, "stoa_gtw_")


def api_id(number: int) -> str:
    return id_of("api", number)


def load(sizes: Sizes) -> None:
    columns = ("id", "tenant_id", "name", "path", "upstream_url", "created_at", "updated_at")
    rows = (
        (
            api_id(number),
            tenant_id(sizes.owner(number)),
            f"api-{number}",
            f"/api-{number}",
            "https://upstream.example.com",
            moment := moment_of(number, sizes.apis),
            moment,
        )
        for number in range(sizes.apis)
    )
    copy(Api, columns, rows, sizes.apis)
    GatewayFactory(name=GATEWAY, token=GATEWAY_TOKEN)
