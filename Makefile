# Needs Python 3.11 or newer, make and the package index; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
# One worker per core, each with a database of its own. `make test PYTEST="tests/tenants -x"` narrows it down.
PYTEST ?= --numprocesses auto

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate
# The settings of a production machine, for `check --deploy`. No value of them is a real secret.
PRODUCTION := env STOA_ENV=production STOA_SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	STOA_KEY_PEPPERS=only-for-the-check-of-the-production-settings \
	STOA_ENCRYPTION_KEYS=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE= \
	STOA_AUDIT_KEYS=MTA5ODc2NTQzMjEwOTg3NjU0MzIxMDk4NzY1NDMyMTA= \
	STOA_ALLOWED_HOSTS=api.example.com STOA_OIDC_ISSUER=https://auth.example.com/realms/stoa \
	DATABASE_URL=postgres://stoa:secret@127.0.0.1:5432/stoa

# The version that test-keycloak runs. Needs Java 17 or newer.
KEYCLOAK_VERSION := 26.4.7
KEYCLOAK := .data/keycloak-$(KEYCLOAK_VERSION)

# The list of what the product ships, read from its lock file.
SBOM := sbom.cdx.json

.PHONY: install run test test-keycloak bench faults production soak check format lock messages openapi sbom

install: .venv/.run-installed

# Start everything in the foreground; Ctrl-C stops it.
run: install
	@$(BIN)/python manage.py up

# Run the suite on a real PostgreSQL: DATABASE_URL, or a scratch server of its own.
test: .venv/.dev-installed
	$(BIN)/python -m pytest $(PYTEST)

# Measure the product beside a naive implementation, and write tests/benchmarks/RESULTS.md. Needs redis-server for the
# deliveries. `make bench BENCH="storage queries"` measures some subjects; the other rows stay.
bench: .venv/.dev-installed
	$(BIN)/python -m tests.benchmarks $(BENCH)

# Get tokens from a real Keycloak, with the realm in stoa_cp/keycloak. Needs Java 17 or newer and Maven.
test-keycloak: .venv/.dev-installed $(KEYCLOAK)
	STOA_KEYCLOAK_HOME=$(abspath $(KEYCLOAK)) $(BIN)/python -m pytest tests/keycloak

$(KEYCLOAK):
	mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
		-Dartifact=org.keycloak:keycloak-quarkus-dist:$(KEYCLOAK_VERSION):zip -DoutputDirectory=.data
	$(BIN)/python -m zipfile --extract .data/keycloak-quarkus-dist-$(KEYCLOAK_VERSION).zip .data
	rm .data/keycloak-quarkus-dist-$(KEYCLOAK_VERSION).zip

# Kill, freeze and disconnect real processes, and write tests/faults/RESULTS.md. Takes about 16 minutes.
# `make faults FAULTS="W1 B2"` runs some faults; the other rows stay.
faults: .venv/.dev-installed
	$(BIN)/python -m tests.faults $(FAULTS)

# Start what the Dockerfile, compose.yaml and the guide's pages "install", "backup" and "runbooks" say. Needs root on Debian 12,
# with PostgreSQL 15, Redis and nginx. `make production PRODUCTION_RUNS="compose"` runs one of the two; STOA_KEYCLOAK_HOME
# is the folder of a Keycloak that the first one starts as well.
production: .venv/.dev-installed
	$(BIN)/python -m tests.production $(PRODUCTION_RUNS)

# Mixed traffic for 10 minutes (`make soak MINUTES=1`): memory and descriptors stay flat, and queues become empty.
soak: .venv/.dev-installed
	$(BIN)/python -m tests.production.soak $(MINUTES)

# Everything that needs no test: lint, types, layers, house rules, migrations, production settings, the OpenAPI document.
check: .venv/.dev-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.house
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py openapi --check

format: .venv/.dev-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Write the OpenAPI document from the views. Review the difference: it is the public API.
openapi: .venv/.dev-installed
	$(BIN)/python manage.py openapi

# Collect the texts to be translated, and compile the translations. Needs the gettext tools.
messages: .venv/.dev-installed
	$(BIN)/python manage.py makemessages --locale fr --ignore .venv --ignore tests --no-obsolete --no-wrap --add-location file
	$(BIN)/python manage.py compilemessages --ignore .venv

# Write the lock files from pyproject.toml. `make lock UPGRADE=--upgrade` takes newer versions.
lock: .venv/.dev-installed
	$(COMPILE) $(UPGRADE) pyproject.toml --output-file requirements.lock
	$(COMPILE) $(UPGRADE) --group dev --constraint requirements.lock --output-file requirements-dev.lock

# Write the software bill of materials (CycloneDX 1.6), which the tool validates. The same lock file gives the same bytes.
sbom: .venv/.dev-installed
	$(BIN)/python -W ignore::UserWarning -m cyclonedx_py requirements --pyproject pyproject.toml \
		--sv 1.6 --output-reproducible --output-file $(SBOM) requirements.lock

.venv/.run-installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@echo "Installing into .venv ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) --requirement requirements.lock
	@touch $@

.venv/.dev-installed: .venv/.run-installed requirements-dev.lock
	@$(PIP) --requirement requirements-dev.lock
	@touch $@
