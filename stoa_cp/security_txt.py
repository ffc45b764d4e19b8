"""The page that tells finders of a vulnerability whom to write to (RFC 9116)."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

PATH = ".well-known/security.txt"
# "Less than a year" (RFC 9116 §2.5.5). It is counted from each answer: the contact is as new as the configuration.
VALID_DAYS = 180


def security_txt(request: HttpRequest) -> HttpResponse:
    """Answer with STOA_SECURITY_CONTACT in the form of RFC 9116 §2.5; 404 if it is not set."""
    if not settings.STOA_SECURITY_CONTACT:
        raise Http404
    # Midnight: all processes give the same answer for a day.
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [
        f"Contact: {settings.STOA_SECURITY_CONTACT}",
        f"Expires: {today + timedelta(days=VALID_DAYS):%Y-%m-%dT%H:%M:%SZ}",
        f"Preferred-Languages: {', '.join(code for code, _name in settings.LANGUAGES)}",
    ]
    # A canonical address has HTTPS (§2.5.2); a development server has none.
    if settings.STOA_URL.startswith("https://"):
        lines.append(f"Canonical: {settings.STOA_URL.rstrip('/')}/{PATH}")
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
