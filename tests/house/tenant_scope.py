"""Holds the doors to the rows of one tenant: what a client names, it finds in its own tenant or not at all.

A view that reads ``Api.objects.get(id=api_id)`` works in every test with one tenant, and shows a competitor's API to
the first client who has its id. The permission does not help: it was checked for the tenant of the path, not for the
row. So wherever a view or a serializer reads a model whose rows belong to a tenant, the same expression says
``tenant=self.tenant``: the tenant that TenantScopedViewSet found, and that the caller may see. ``tenant_id`` of the
path does not count: it is what the client wrote. ``Q(tenant=…)`` does not count: an ``|`` may stand beside it.
Reads that need more than that belong in ``queries.py``.

The admin is left out: operators see all tenants. Gateways do too; their doors go through ``apikeys.decisions``.
"""

import ast
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

from tests.house.source import Finding, SourceFile, python_files

DOORS = frozenset({"views.py", "serializers.py"})
MANAGERS = frozenset({"objects", "_default_manager", "_base_manager"})
NARROWING = frozenset({"filter", "get"})
SHORTCUTS = frozenset({"get_object_or_404", "get_list_or_404"})
RELATIONS = frozenset({"ForeignKey", "OneToOneField"})
SCOPES = frozenset({"self.tenant", "self.tenant.id", "self.tenant.pk"})


def broken_rules(root: Path) -> Iterator[Finding]:
    files = list(python_files(root))
    owned = tenant_owned_models(file for file in files if file.name == "models.py")
    for file in files:
        if file.name in DOORS:
            yield from unscoped_reads(file, owned)


def tenant_owned_models(files: Iterator[SourceFile]) -> set[str]:
    """Return the models that have a tenant, lead to one through foreign keys, or inherit from one that does."""
    classes = {node.name: node for file in files for node in file.tree().body if isinstance(node, ast.ClassDef)}
    owned = {"Tenant"}
    while grown := {name for name, node in classes.items() if _leads_to(node, owned)} - owned:
        owned |= grown
    return owned


def _leads_to(model: ast.ClassDef, owned: AbstractSet[str]) -> bool:
    if any(isinstance(base, ast.Name) and base.id in owned for base in model.bases):
        return True
    for field in model.body:
        if not isinstance(field, ast.Assign) or not isinstance(field.value, ast.Call):
            continue
        if ast.unparse(field.targets[0]) == "tenant_id":  # the kernel knows a tenant's id, and no foreign key
            return True
        related = field.value.args[0] if field.value.args else None
        if _called(field.value) in RELATIONS and related is not None:
            name = str(related.value) if isinstance(related, ast.Constant) else ast.unparse(related)
            if name.rpartition(".")[2] in owned:
                return True
    return False


def unscoped_reads(file: SourceFile, owned: AbstractSet[str]) -> Iterator[Finding]:
    """Yield the places where a door reads rows of the ``owned`` models and does not say of which tenant."""
    tree = file.tree()
    parents = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in owned and _reads(node, parents) and not _is_scoped(node, parents):
            sentence = f"{node.id}: say tenant=self.tenant in the same expression, or read it in queries.py."
            yield Finding(file.path, node.lineno, sentence)


def _reads(model: ast.Name, parents: dict[ast.AST, ast.AST]) -> bool:
    """Tell whether this mention of a model begins a query, rather than name the class."""
    parent = parents[model]
    if isinstance(parent, ast.Attribute):
        return parent.attr in MANAGERS
    return isinstance(parent, ast.Call) and _called(parent) in SHORTCUTS and parent.args[:1] == [model]


def _is_scoped(model: ast.Name, parents: dict[ast.AST, ast.AST]) -> bool:
    """Follow the chain of calls that begins with the model, up to one that names the tenant."""
    node: ast.AST = model
    while True:
        parent = parents[node]
        if isinstance(parent, ast.Call):
            is_link = parent.func is node and _called(parent) in NARROWING
            is_shortcut = parent.args[:1] == [node] and _called(parent) in SHORTCUTS
            if (is_link or is_shortcut) and any(_names_tenant(keyword) for keyword in parent.keywords):
                return True
            if parent.func is not node:
                return False
        elif not isinstance(parent, ast.Attribute):
            return False
        node = parent


def _names_tenant(keyword: ast.keyword) -> bool:
    field = (keyword.arg or "").rpartition("__")[2]
    return field in ("tenant", "tenant_id") and ast.unparse(keyword.value) in SCOPES


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]
