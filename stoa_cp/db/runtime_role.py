"""Makes a database role that can run the service and owns nothing: no DDL, and no change of the event log.

The web processes, workers and beat connect as this role, ``manage.py prepare`` as the owner. Whatever takes the service
over can then neither switch the log's triggers off nor rewrite or truncate the log.
"""

from collections.abc import Iterator, Mapping

from django.db import ProgrammingError, connection, transaction
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from stoa_cp.db.time_outs import TIME_OUTS

# Tables with fewer rights than the others, which get all four. Nothing is updated or deleted in the event log, nothing
# deleted from the heads of its chains; migrations alone write the last three.
TABLE_RIGHTS: Mapping[str, str] = {
    "stoa_cp_event": "SELECT, INSERT",
    "stoa_cp_eventchain": "SELECT, INSERT, UPDATE",
    "stoa_cp_eventcheckpoint": "SELECT, INSERT, UPDATE",
    "django_migrations": "SELECT",
    "django_content_type": "SELECT",
    "auth_permission": "SELECT",
}
EVERY_ROW = "SELECT, INSERT, UPDATE, DELETE"
ATTRIBUTES = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
OWNED = """
SELECT EXISTS (SELECT FROM pg_class WHERE relowner = %(role)s::regrole)
    OR EXISTS (SELECT FROM pg_proc WHERE proowner = %(role)s::regrole)
    OR EXISTS (SELECT FROM pg_namespace WHERE nspowner = %(role)s::regrole)
    OR EXISTS (SELECT FROM pg_database WHERE datdba = %(role)s::regrole)
"""
# What the role may do in spite of the grants: by PUBLIC, which another owner may have granted.
EXCESS: Mapping[str, str] = {
    "change the event log": """
        has_table_privilege(%(role)s, 'stoa_cp_event', 'UPDATE, DELETE, TRUNCATE, TRIGGER')
        OR has_any_column_privilege(%(role)s, 'stoa_cp_event', 'UPDATE')""",
    "create tables": "has_schema_privilege(%(role)s, current_schema(), 'CREATE')",
    "create schemas": "has_database_privilege(%(role)s, current_database(), 'CREATE')",
    "create temporary tables": "has_database_privilege(%(role)s, current_database(), 'TEMPORARY')",
    "switch triggers off": "has_parameter_privilege(%(role)s, 'session_replication_role', 'SET')",
}


class UnsafeRole(Exception):
    """The role is more than a runtime role may be; the message says what."""


@transaction.atomic
def prepare_runtime_role(name: str, password: str = "") -> None:
    """Create the role unless it exists, and give it exactly what the service needs. Safe to repeat.

    A ``password`` replaces the role's. Raises UnsafeRole for a role that owns something, has attributes or is a member
    of another role, and if rights of PUBLIC remain that only another owner can revoke.
    """
    _create_or_check(name)
    if password:
        _set_password(name, password)
    for statement in _statements(name):
        _run(statement, name)
    _set_time_outs(name)
    excess = [deed for deed, condition in EXCESS.items() if _is_true(f"SELECT {condition}", name)]
    if excess:
        raise UnsafeRole(
            f"{name} could still {', '.join(excess)}: the owner of the database must revoke it from PUBLIC."
        )


def _create_or_check(name: str) -> None:
    if not _is_true("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s)", name):
        _run("CREATE ROLE {role} LOGIN", name)
    if _is_true(f"SELECT {ATTRIBUTES} FROM pg_roles WHERE rolname = %(role)s", name):  # noqa: S608 - a constant
        raise UnsafeRole(f"{name} is a superuser, or may create roles or databases, replicate or bypass row security.")
    if _is_true("SELECT EXISTS (SELECT FROM pg_auth_members WHERE member = %(role)s::regrole)", name):
        raise UnsafeRole(f"{name} is a member of another role, whose rights it would have as well.")
    if _is_true(OWNED, name):
        raise UnsafeRole(f"{name} owns a database, a schema, a table or a function. A runtime role owns nothing.")


def _set_password(name: str, password: str) -> None:
    # As a verifier: the server writes statements into its log.
    raw = connection.connection
    verifier = raw.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    _run(sql.SQL("ALTER ROLE {{role}} PASSWORD {}").format(sql.Literal(verifier)).as_string(raw), name)


def _statements(name: str) -> Iterator[str]:
    """Yield the statements that take all rights away and give the right ones; others see both as one change."""
    yield "REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC, {role}"
    yield "REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {role}"
    yield "GRANT CONNECT ON DATABASE {database} TO {role}"
    yield from _schema_statements("{schema}")
    for table, rights in TABLE_RIGHTS.items():
        yield f"REVOKE ALL ON {{schema}}.{table} FROM {{role}}"
        yield f"GRANT {rights} ON {{schema}}.{table} TO {{role}}"
    # Of later releases, whose `prepare` may be run without the option.
    yield "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT " + EVERY_ROW + " ON TABLES TO {role}"
    yield "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {role}"
    for function in _functions_of_the_owner():
        yield f"GRANT EXECUTE ON FUNCTION {function} TO {{role}}"
    if _is_true("SELECT to_regnamespace('pgmq') IS NOT NULL", name):
        yield from _schema_statements("pgmq")


def _schema_statements(schema: str) -> Iterator[str]:
    yield f"GRANT USAGE ON SCHEMA {schema} TO {{role}}"
    for kind, rights in (("TABLES", EVERY_ROW), ("SEQUENCES", "USAGE, SELECT")):
        yield f"REVOKE ALL ON ALL {kind} IN SCHEMA {schema} FROM {{role}}"
        yield f"GRANT {rights} ON ALL {kind} IN SCHEMA {schema} TO {{role}}"


def _set_time_outs(name: str) -> None:
    """Give the role's sessions in this database the time-outs: behind a transaction pooler a client cannot.

    Needs the right to alter the role. Without it they stay as they are, and ``/readyz`` says if they are missed.
    """
    try:
        with transaction.atomic():
            for setting, value in TIME_OUTS.items():
                _run(f"ALTER ROLE {{role}} IN DATABASE {{database}} SET {setting} = '{value}'", name)
    except ProgrammingError as error:
        if not isinstance(error.__cause__, InsufficientPrivilege):
            raise


def _functions_of_the_owner() -> list[str]:
    """Return the functions that do with the owner's rights what the role cannot do itself."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid::regprocedure::text FROM pg_proc"
            " WHERE prosecdef AND pronamespace = current_schema()::regnamespace AND proowner = current_user::regrole"
        )
        return [name for (name,) in cursor.fetchall()]


def _is_true(query: str, name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(query, {"role": name})
        (answer,) = cursor.fetchone()
    return bool(answer)


def _run(statement: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), current_schema()")
        database, schema = cursor.fetchone()
        names = {"role": name, "database": database, "schema": schema}
        cursor.execute(sql.SQL(statement).format(**{key: sql.Identifier(value) for key, value in names.items()}))
