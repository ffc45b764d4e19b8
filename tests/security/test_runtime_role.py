"""The service under a role that owns nothing: web, worker and beat run, and the role cannot touch the event log."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import IO
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from stoa_cp.devserver import programs
from stoa_cp.devserver.grants import Grants
from stoa_cp.devserver.realm import PEOPLE, access_claims
from tests.faults import processes
from tests.faults.load import Caller
from tests.security.installation import Installation, installed, manage, provision
from tests.waiting import wait_until

START_SECONDS = 120
OLD_PARTITIONS = (
    "SELECT count(*) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
    " WHERE inhparent = 'metrics_minutetraffic'::regclass AND relname < to_char(now() - interval '30 days',"
    " '\"metrics_minutetraffic_\"YYYYMMDD')"
)


@pytest.fixture(scope="module")
def installation(realm: Grants) -> Iterator[Installation]:
    with installed(realm) as installation:
        yield installation


@pytest.fixture
def log() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        yield file


def printed(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode()


def send_task(installation: Installation, name: str) -> None:
    """Send a task as beat does, under the role."""
    code = f"import django; django.setup(); from stoa_cp.celery import app; app.send_task({name!r})"
    subprocess.run([sys.executable, "-c", code], cwd=processes.ROOT, env=installation.service, check=True, timeout=60)


def test_web_worker_and_beat_do_their_work_under_the_role(
    installation: Installation, realm: Grants, log: IO[bytes]
) -> None:
    token = realm.key.sign(access_claims(PEOPLE["olga"], realm.issuer))
    with (
        processes.web(installation.service, log) as server,
        processes.celery(installation.service, log),
        closing(Caller(server.port, token)) as api,
    ):
        wait_until(lambda: programs.is_answering("127.0.0.1", server.port, "/readyz"))
        subscription, api_id = provision(api)
        wait_until(lambda: api.send("GET", "/tenants/acme").json["status"] == "active", seconds=START_SECONDS)
        wait_until(lambda: installation.count("SELECT count(*) FROM stoa_cp_eventdispatch") == 0)
        report_traffic(api, installation, subscription_id=subscription["id"], api_id=api_id)
        maintain(installation)
        api.close()  # the server has ended this connection meanwhile
        assert api.send("GET", "/tenants/acme/events/verify").json["intact"]
        assert api.send("GET", "/tenants/acme/metrics?granularity=hour").json["totals"]["requests"] == 1
        assert api.send("DELETE", "/tenants/acme").status == 204
    assert "permission denied" not in printed(log)
    assert "Traceback" not in printed(log)


def report_traffic(api: Caller, installation: Installation, **ids: str) -> None:
    """Report a call of this hour, for which no partition exists yet: the fold makes the missing one."""
    assert installation.count("SELECT count(*) FROM pg_inherits WHERE inhparent = 'metrics_hourtraffic'::regclass") == 0
    record = {"timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "status": 200, "latency_ms": 5}
    assert api.post("/gateway/traffic", {"batch_id": "b-1", "records": [record | ids]}).status == 200
    wait_until(lambda: installation.count("SELECT count(*) FROM metrics_hourtraffic") > 0)
    assert installation.count("SELECT count(*) FROM metrics_trafficdelta") == 0


def maintain(installation: Installation) -> None:
    """Let the worker do what beat sends once an hour."""
    with installation.as_owner() as owner:
        owner.execute("SELECT metrics_create_partition('metrics_minutetraffic', now() - interval '60 days')")
    for task in ("metrics.keep_house", "stoa_cp.sign_heads", "stoa_cp.forget", "webhooks.forget"):
        send_task(installation, task)
    wait_until(lambda: installation.count(OLD_PARTITIONS) == 0)
    chains = installation.count("SELECT count(*) FROM stoa_cp_eventchain")
    wait_until(lambda: installation.count("SELECT count(*) FROM stoa_cp_eventcheckpoint") == chains)


def test_an_operator_signs_in_and_out_under_the_role(installation: Installation) -> None:
    code = (
        "import django; django.setup(); from django.contrib.auth.models import User; from django.test import Client;"
        "User.objects.create_superuser('olga', password='x'); client = Client(headers={'host': 'localhost'});"
        "page = client.post('/admin/login/?next=/admin/', {'username': 'olga', 'password': 'x'}, follow=True);"
        "print(page.status_code, client.post('/admin/logout/').status_code)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=processes.ROOT, env=installation.service, check=False, capture_output=True, text=True, timeout=60
    )

    assert done.stdout.split()[-2:] == ["200", "302"], done.stderr


EVENT = (
    "INSERT INTO stoa_cp_event"
    " VALUES ('evt-0000000000000001', 'ten-x', 1, 't', now(), 'a', '', NULL, '{}', '{}', '', '')"
)
FORBIDDEN = [
    "UPDATE stoa_cp_event SET actor = 'mallory'",
    "DELETE FROM stoa_cp_event",
    "TRUNCATE stoa_cp_event CASCADE",
    "SELECT FROM stoa_cp_event FOR UPDATE",
    "BEGIN; LOCK stoa_cp_event IN SHARE MODE",
    "ALTER TABLE stoa_cp_event DISABLE TRIGGER event_is_immutable",
    "DROP TRIGGER event_is_immutable ON stoa_cp_event",
    "CREATE TRIGGER mine BEFORE INSERT ON stoa_cp_event FOR EACH ROW EXECUTE FUNCTION stoa_cp_refuse_change()",
    "CREATE RULE mine AS ON INSERT TO stoa_cp_event DO INSTEAD NOTHING",
    "CREATE OR REPLACE FUNCTION stoa_cp_refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
    "DROP FUNCTION stoa_cp_refuse_change CASCADE",
    "SET session_replication_role = replica",
    "DELETE FROM stoa_cp_eventchain",
    "DELETE FROM stoa_cp_eventcheckpoint",
    "TRUNCATE stoa_cp_eventchain",
    "TRUNCATE tenants_tenant CASCADE",
    "CREATE TABLE mine ()",
    "CREATE TEMPORARY TABLE stoa_cp_event ()",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TABLE pgmq.mine ()",
    "SELECT pgmq.create('mine')",
    "SELECT pgmq.drop_queue('celery')",
    "SELECT pgmq.purge_queue('celery')",
    "CREATE ROLE mine",
    "ALTER ROLE current_user SUPERUSER",
    "SET ROLE pg_database_owner",
    "INSERT INTO django_migrations (app, name, applied) VALUES ('stoa_cp', '0099_x', now())",
    "DELETE FROM auth_permission",
    "SELECT setval('stoa_cp_epoch', 1)",
    "COPY stoa_cp_event TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')",
    "DROP TABLE metrics_daytraffic",
    "ALTER TABLE metrics_daytraffic DETACH PARTITION metrics_daytraffic_2020",
    "CREATE TABLE metrics_daytraffic_x PARTITION OF metrics_daytraffic DEFAULT",
    "ALTER FUNCTION metrics_drop_partition OWNER TO CURRENT_USER",
    "ALTER FUNCTION metrics_drop_partition SET search_path = public",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_role_must_not(installation: Installation, statement: str) -> None:
    with (
        installation.as_role() as session,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)),
    ):
        session.execute(statement)


def test_the_role_cannot_hand_its_rights_on(installation: Installation) -> None:
    with installation.as_role() as session:
        session.execute("GRANT ALL ON stoa_cp_event TO PUBLIC")  # a warning, and nothing happens
    assert not installation.count("SELECT has_table_privilege('pg_monitor', 'stoa_cp_event', 'SELECT')::int")


def test_the_role_may_add_an_event(installation: Installation) -> None:
    with installation.as_role() as session, session.transaction(force_rollback=True):
        session.execute(EVENT)


@pytest.mark.parametrize(
    ("function", "table", "moment"),
    [
        ("create", "stoa_cp_event", "2024-01-01"),
        ("create", "metrics_minutetraffic; DROP TABLE stoa_cp_event", "2024-01-01"),
        ("create", 'metrics_minutetraffic"', "2024-01-01"),
        ("create", "pg_temp.metrics_minutetraffic", "2024-01-01"),
        ("create", "", "2024-01-01"),
        ("create", None, "2024-01-01"),
        ("create", "metrics_minutetraffic", None),
        ("create", "metrics_minutetraffic", "infinity"),
        ("create", "metrics_minutetraffic", "-infinity"),
        ("create", "metrics_minutetraffic", "1969-12-31"),
        ("create", "metrics_minutetraffic", "2100-01-01"),
        ("drop", "stoa_cp_event", "2024-01-01"),
        ("drop", "metrics_minutetraffic", "2024-01-01"),  # there is none
        ("drop", "metrics_minutetraffic", None),
        ("drop", "metrics_minutetraffic", "now"),
        ("drop", "metrics_minutetraffic", "yesterday"),
        ("drop", "metrics_daytraffic", "now"),
    ],
)
def test_the_functions_take_three_tables_and_bounded_moments(
    installation: Installation, function: str, table: str | None, moment: str | None
) -> None:
    name = sql.Identifier(f"metrics_{function}_partition")
    with installation.as_role() as session:
        session.execute("SELECT metrics_create_partition('metrics_minutetraffic', now() - interval '1 day')")
        session.execute("SELECT metrics_create_partition('metrics_daytraffic', now())")
        with pytest.raises((psycopg.errors.InvalidParameterValue, psycopg.errors.CaseNotFound)):
            session.execute(sql.SQL("SELECT {}(%s, %s::timestamptz)").format(name), [table, moment])


def test_a_caller_cannot_change_what_the_functions_mean_by_a_name_or_a_date(installation: Installation) -> None:
    with installation.as_role() as session:
        session.execute("SET search_path = pg_temp; SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'SQL, DMY'")
        session.execute("SELECT public.metrics_create_partition('metrics_minutetraffic', '2024-03-02T23:30:00Z')")
    with installation.as_owner() as session:
        session.execute("SET TimeZone = 'UTC'")
        bounds = session.execute(
            "SELECT pg_get_expr(relpartbound, oid), relowner::regrole::text = current_user FROM pg_class"
            " WHERE relname = 'metrics_minutetraffic_20240302'"
        ).fetchone()
    assert bounds == ("FOR VALUES FROM ('2024-03-02 00:00:00+00') TO ('2024-03-03 00:00:00+00')", True)


def test_a_detached_partition_is_kept(installation: Installation) -> None:
    with installation.as_owner() as owner:
        owner.execute("SELECT metrics_create_partition('metrics_hourtraffic', '2023-03-02')")
        owner.execute("ALTER TABLE metrics_hourtraffic DETACH PARTITION metrics_hourtraffic_202303")
    with installation.as_role() as session, pytest.raises(psycopg.errors.InvalidParameterValue):
        session.execute("SELECT metrics_drop_partition('metrics_hourtraffic', '2023-03-02')")
    with installation.as_owner() as owner:
        owner.execute("DROP TABLE metrics_hourtraffic_202303")


def test_preparing_again_changes_nothing_and_takes_back_what_was_added(installation: Installation) -> None:
    rights = (
        "SELECT relname, relacl::text FROM pg_class"
        " WHERE relnamespace IN ('public'::regnamespace, 'pgmq'::regnamespace) ORDER BY relname"
    )
    with installation.as_owner() as owner:
        before = owner.execute(rights).fetchall()
        owner.execute(sql.SQL("GRANT UPDATE ON stoa_cp_event TO {}").format(sql.Identifier(installation.role)))
        assert manage(installation.owner, "prepare", "--runtime-role", installation.role).returncode == 0
        assert owner.execute(rights).fetchall() == before
    installation.as_role().close()  # without a password in the environment, the old one stays


def test_tables_of_a_later_release_can_be_used(installation: Installation) -> None:
    with installation.as_owner() as owner:
        owner.execute("CREATE TABLE later (id bigint GENERATED BY DEFAULT AS IDENTITY, note text)")
        with installation.as_role() as session:
            session.execute("INSERT INTO later (note) VALUES ('x')")
            session.execute("DELETE FROM later")
        owner.execute("DROP TABLE later")


def test_others_may_not_call_the_functions(installation: Installation) -> None:
    with installation.as_owner() as owner:
        for function in ("create_partition", "drop_partition", "partition_at"):
            signature = f"metrics_{function}(text, timestamptz)"
            query = "SELECT has_function_privilege('pg_monitor', %s, 'EXECUTE')"
            assert owner.execute(query, [signature]).fetchone() == (False,)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER ROLE {role} CREATEROLE", "may create roles"),
        ("GRANT pg_write_all_data TO {role}", "a member of another role"),
        ("CREATE SCHEMA mine AUTHORIZATION {role}", "owns a database, a schema"),
        ("GRANT SET ON PARAMETER session_replication_role TO PUBLIC", "could still switch triggers off"),
        ("GRANT UPDATE (actor) ON stoa_cp_event TO PUBLIC", "could still change the event log"),
    ],
)
def test_a_role_that_could_do_more_is_refused(installation: Installation, statement: str, reason: str) -> None:
    undo = {
        "ALTER": "ALTER ROLE {role} NOCREATEROLE",
        "CREATE": "DROP SCHEMA mine",
    }.get(statement.split(maxsplit=1)[0], statement.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
    role = sql.Identifier(installation.role)
    with installation.as_superuser() as superuser:
        superuser.execute(sql.SQL(statement).format(role=role))
        try:
            done = manage(installation.owner, "prepare", "--runtime-role", installation.role)
        finally:
            superuser.execute(sql.SQL(undo).format(role=role))

    assert done.returncode == 1
    assert reason in done.stderr


def test_the_owner_is_no_runtime_role(installation: Installation) -> None:
    owner = urlsplit(installation.owner["DATABASE_URL"]).username or ""
    done = manage(installation.owner, "prepare", "--runtime-role", owner)

    assert f"The runtime role is not ready: {owner} is a superuser, or may create roles" in done.stderr


def test_the_password_is_sent_as_a_verifier(installation: Installation) -> None:
    with installation.as_superuser() as superuser:
        [(stored,)] = superuser.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = %s", [installation.role]
        ).fetchall()

    assert stored.startswith("SCRAM-SHA-256$")
