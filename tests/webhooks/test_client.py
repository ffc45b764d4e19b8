"""What the outbound client sends, how it classifies answers, and what no receiver can make it do."""

import gzip
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from time import monotonic, sleep

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.webhooks.conftest import StartRawReceiver, StartReceiver
from tests.webhooks.receivers import Receiver, Reply, answering, dripping, read_request
from webhooks.delivery.client import MAX_EXCERPT_BYTES, MAX_READ_BYTES, PostResult, WebhookClient

DEADLINE = 0.6
# What is not cut off never ends, and a loaded machine wakes up late: `make faults` says by how much on a quiet one.
SOON = DEADLINE + 3
BODY = b'{"type":"webhook.test"}'


@pytest.fixture
def client() -> Iterator[WebhookClient]:
    with WebhookClient(DEADLINE) as client:
        yield client


def post(client: WebhookClient, url: str) -> PostResult:
    return client.post(url, {"Content-Type": "application/json", "User-Agent": "STOA-Webhooks/1"}, BODY)


def test_a_2xx_is_a_success_and_its_body_is_kept(client: WebhookClient, start_receiver: StartReceiver) -> None:
    receiver = start_receiver(Reply(202, body="merci ✓".encode()))
    result = post(client, receiver.url)
    assert (result.failure, result.status, result.excerpt) == ("", 202, "merci ✓")


def test_the_request_is_ours_and_nothing_is_added(client: WebhookClient, receiver: Receiver) -> None:
    post(client, receiver.url + "/deeper?x=1")
    request = receiver.received[0]
    assert (request.path, request.body) == ("/hook/deeper?x=1", BODY)
    assert request.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "accept-encoding": "identity",
        "content-length": str(len(BODY)),
        "content-type": "application/json",
        "user-agent": "STOA-Webhooks/1",
    }


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_failure_and_never_followed(
    client: WebhookClient, start_receiver: StartReceiver, receiver: Receiver, status: int
) -> None:
    redirecting = start_receiver(Reply(status, {"Location": receiver.url}))
    result = post(client, redirecting.url)
    assert (result.failure, result.status) == ("http_error", status)
    assert receiver.received == []


@pytest.mark.parametrize("status", [400, 404, 410, 500, 503])
def test_any_other_status_is_a_failure(client: WebhookClient, start_receiver: StartReceiver, status: int) -> None:
    result = post(client, start_receiver(Reply(status, {"Retry-After": "7"}, b"no")).url)
    assert (result.failure, result.status, result.retry_after, result.excerpt) == (
        "http_error",
        status,
        "7",
        "no",
    )


@pytest.mark.deadline
@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["status line", "headers", "body", "body without length", "chunks", "endless 100"],
)
def test_a_dripping_receiver_is_cut_off_at_the_deadline(
    client: WebhookClient, start_raw_receiver: StartRawReceiver, start: bytes, drop: bytes
) -> None:
    started_at = monotonic()
    result = post(client, start_raw_receiver(dripping(start, drop)).url)
    assert result.failure == "timeout"
    assert monotonic() - started_at <= SOON


@pytest.mark.deadline
def test_a_silent_tls_handshake_is_cut_off_at_the_deadline(
    client: WebhookClient, start_raw_receiver: StartRawReceiver
) -> None:
    # A record header that announces 16 KiB, and then a byte now and then.
    receiver = start_raw_receiver(dripping(b"\x16\x03\x03\x40\x00", b"\x02"))
    started_at = monotonic()
    result = post(client, receiver.url.replace("http:", "https:"))
    assert result.failure == "timeout"
    assert monotonic() - started_at <= SOON


@pytest.mark.deadline
def test_a_receiver_that_does_not_read_is_cut_off_at_the_deadline(
    client: WebhookClient, start_raw_receiver: StartRawReceiver
) -> None:
    receiver = start_raw_receiver(lambda _connection: sleep(SOON + 1))
    started_at = monotonic()
    assert client.post(receiver.url, {}, b"x" * 20_000_000).failure == "timeout"
    assert monotonic() - started_at <= SOON


def test_little_is_read_of_an_endless_body(client: WebhookClient, start_raw_receiver: StartRawReceiver) -> None:
    sent = 0

    def send_without_end(connection: socket.socket) -> None:
        nonlocal sent
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            sent += connection.send(b"x" * 65536)

    result = post(client, start_raw_receiver(send_without_end).url)
    assert (result.failure, len(result.excerpt)) == ("", MAX_EXCERPT_BYTES)
    sleep(0.1)
    assert sent < 20_000_000  # what the kernel's buffers took before the connection was closed


def test_a_gzip_bomb_is_not_inflated(client: WebhookClient, start_receiver: StartReceiver) -> None:
    bomb = gzip.compress(bytes(MAX_READ_BYTES * 1000))
    result = post(client, start_receiver(Reply(200, {"Content-Encoding": "gzip"}, bomb)).url)
    assert result.failure == ""
    assert len(result.excerpt) <= MAX_EXCERPT_BYTES


@pytest.mark.parametrize(
    ("content", "failure", "status"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na\x00b\xff\xfe", "", 200),
        (b"HTTP/1.1 200 OK\r\nX-Odd: \x00\xff\r\nContent-Length: 0\r\n\r\n", "", 200),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 1000 + b"\r\n", "http_error", None),
        (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n", "http_error", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nx", "http_error", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", "", 200),
        (b"HTTP/1.1 twohundred OK\r\n\r\n", "http_error", None),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "http_error", None),
        (b"", "connect_failed", None),
    ],
    ids=[
        "NUL and bad UTF-8",
        "odd header",
        "1,000 headers",
        "long header",
        "two lengths",
        "bad chunk",
        "short body",
        "no number",
        "another protocol",
        "hangs up",
    ],
)
def test_an_odd_answer_is_an_attempt_like_any_other(
    client: WebhookClient, start_raw_receiver: StartRawReceiver, content: bytes, failure: str, status: int | None
) -> None:
    result = post(client, start_raw_receiver(answering(content)).url)
    assert (result.failure, result.status) == (failure, status)
    assert "\x00" not in result.excerpt
    result.excerpt.encode()


def test_a_receiver_that_answers_before_it_has_read_is_heard(
    client: WebhookClient, start_raw_receiver: StartRawReceiver
) -> None:
    def answer_early(connection: socket.socket) -> None:
        connection.recv(10)
        connection.sendall(b"HTTP/1.1 413 Too much\r\n\r\n")

    result = client.post(start_raw_receiver(answer_early).url, {}, b"x" * 5_000_000)
    assert result.failure in {"http_error", "connect_failed"}  # whether the response survives the reset is TCP's choice


def test_nobody_there_is_no_connection(client: WebhookClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert post(client, f"http://127.0.0.1:{port}/").failure == "connect_failed"


def test_a_name_without_address_is_no_connection(client: WebhookClient) -> None:
    assert post(client, "http://gone.example/").failure == "connect_failed"


def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_vetted(
    client: WebhookClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that changes its mind between the check and the connection (DNS rebinding) is not asked again."""
    answers = iter([[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]])
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **kw: next(answers) if host == "x.example" else real(host, *args, **kw),
    )
    assert post(client, f"http://x.example:{receiver.port}/").failure == ""
    assert receiver.received[0].headers["host"] == f"x.example:{receiver.port}"


@pytest.mark.deadline
def test_a_slow_resolver_costs_two_seconds(client: WebhookClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoa_cp.net.egress.RESOLVE_SECONDS", 0.1)
    monkeypatch.setattr("stoa_cp.net.egress.socket.getaddrinfo", lambda *_args, **_kwargs: sleep(3) or [])
    started_at = monotonic()
    assert post(client, "http://slow.example/").failure == "connect_failed"
    assert monotonic() - started_at < 2.5


def test_proxies_of_the_environment_are_ignored(
    client: WebhookClient, receiver: Receiver, start_receiver: StartReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = start_receiver(Reply())
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url)
    assert post(client, receiver.url).failure == ""
    assert (len(receiver.received), len(proxy.received)) == (1, 0)


@pytest.mark.parametrize("reply", [Reply(200, body=b"ok"), Reply(204), Reply(500, body=b"no")])
def test_a_burst_shares_a_connection(client: WebhookClient, start_receiver: StartReceiver, reply: Reply) -> None:
    receiver = start_receiver(reply)
    assert [post(client, receiver.url).status for _ in range(5)] == [reply.status] * 5
    assert receiver.connections == 1


def test_a_kept_connection_takes_each_delivery_to_its_own_path(client: WebhookClient, receiver: Receiver) -> None:
    paths = ["/one", "/two", "/one?twice"]
    assert [post(client, receiver.url.replace("/hook", path)).status for path in paths] == [200] * 3
    assert receiver.connections == 1
    assert [request.path for request in receiver.received] == paths


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(
    client: WebhookClient, start_raw_receiver: StartRawReceiver
) -> None:
    def answer_twice(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" + b"HTTP/1.1 200 OK\r\n\r\n")
        sleep(DEADLINE)

    receiver = start_raw_receiver(answer_twice)
    assert 200 not in [post(client, receiver.url).status for _ in range(3)]


def test_a_connection_that_was_closed_meanwhile_is_not_used_again(
    client: WebhookClient, start_raw_receiver: StartRawReceiver
) -> None:
    receiver = start_raw_receiver(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    for _ in range(3):
        assert post(client, receiver.url).failure == ""
        sleep(0.05)
    assert receiver.connections == 3


# --- TLS ---


def test_the_name_of_the_url_is_in_host_and_sni(
    client: WebhookClient, start_receiver: StartReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    context = _certified("hooks.example", tmp_path, monkeypatch)
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    receiver = start_receiver(Reply(), tls=context)
    _resolve_to_loopback(monkeypatch)
    result = post(client, f"https://hooks.example:{receiver.port}/hook")
    assert (result.failure, result.status) == ("", 200)
    assert seen == ["hooks.example"]
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


def test_a_certificate_for_another_name_is_refused(
    client: WebhookClient, start_receiver: StartReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = start_receiver(Reply(), tls=_certified("other.example", tmp_path, monkeypatch))
    _resolve_to_loopback(monkeypatch)
    assert post(client, f"https://hooks.example:{receiver.port}/hook").failure == "tls_error"
    assert receiver.received == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    client: WebhookClient, start_receiver: StartReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = start_receiver(Reply(), tls=_certified("127.0.0.1", tmp_path, monkeypatch))
    monkeypatch.delenv("SSL_CERT_FILE")
    assert post(client, receiver.url).failure == "tls_error"


def _resolve_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    real = socket.getaddrinfo
    monkeypatch.setattr(
        "stoa_cp.net.egress.socket.getaddrinfo",
        lambda host, *args, **kwargs: found if host == "hooks.example" else real(host, *args, **kwargs),
    )


def _certified(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server context with a self-signed certificate for ``name`` that this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    alternative = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "receiver.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
