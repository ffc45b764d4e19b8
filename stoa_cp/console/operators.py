"""The console's pages for people: accounts of operators, and sessions, which can be ended."""

from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from stoa_cp.console.actions import ActionResult, Dialog, DialogForm, service_action
from stoa_cp.console.pages import ReadOnlyAdmin, column, row_header
from stoa_cp.domain.actors import Actor
from stoa_cp.operators import accounts, sessions
from stoa_cp.operators.models import OperatorSession
from stoa_cp.operators.single_sign_on import operator_of


class NewOperatorForm(UserCreationForm):  # type: ignore[misc]  # the package publishes no types
    """Unfold's form for a new user, for names of our own only."""

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        accounts.check_username(username)
        return username


class OperatorAdmin(UserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]  # the package publishes no types
    """Django's pages for users, in Unfold's style. The only forms of the console that write rows."""

    form = UserChangeForm
    add_form = NewOperatorForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("person", "email", "is_active", "is_superuser", "last_login", "date_joined")
    list_filter = ("is_active", "is_superuser")
    filter_horizontal = ()
    list_fullwidth = True
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email")}),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        # The event log and the sessions name a person by it.
        return self.readonly_fields if obj is None else (*self.readonly_fields, "username")

    def save_model(self, request: HttpRequest, obj: User, form: "ModelForm[User]", change: bool) -> None:  # noqa: FBT001 - Django's
        accounts.save_account(obj, by=operator_of(request))

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        accounts.delete_account(obj, by=operator_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            accounts.delete_account(user, by=operator_of(request))

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 - Django's name
        user = self.get_object(request, id)
        if user is not None and accounts.is_of_provider(user):
            raise PermissionDenied  # a password would be a way in that the provider cannot close
        before = user.password if user else None
        with transaction.atomic():
            response: HttpResponse = super().user_change_password(request, id, form_url)
            changed = User.objects.filter(pk=user.pk).exclude(password=before).first() if user else None
            if changed is not None:
                key = request.session.session_key
                accounts.settle_password_change(changed, by=operator_of(request), kept_session=key)
        return response

    @column(_("User"), ordering="username", header=True)
    def person(self, user: User) -> list[str]:
        return row_header(_name_of(user), user.username)


class OperatorSessionAdmin(ReadOnlyAdmin):
    """Sessions that are open: one's own, or, for superusers, everybody's. Each can be ended at once."""

    list_display = ("person", "signed_in_at", "last_seen_at", "address", "browser", "way_in")
    list_select_related = ("user",)
    search_fields = ("user__username__exact", "address__exact")
    search_help_text = _("A user’s name or an address, in full.")
    ordering = ("-last_seen_at",)
    actions_row = actions_detail = ("end",)
    fields = (("user", "address"), ("signed_in_at", "last_seen_at"), "expire_date", "user_agent", "way_in")

    def get_queryset(self, request: HttpRequest) -> QuerySet[OperatorSession]:
        rows: QuerySet[OperatorSession] = super().get_queryset(request)
        rows = rows.filter(expire_date__gt=timezone.now(), user__isnull=False)
        return rows if request.user.is_superuser else rows.filter(user__username=request.user.get_username())

    # All operators may look at their own sessions and end them, whatever rights they have else: see get_queryset.
    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_module_permission(request)

    def has_operate_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self.has_module_permission(request)

    @column(_("User"), ordering="user__username", header=True)
    def person(self, session: OperatorSession) -> list[str]:
        user = session.user
        return row_header(_name_of(user), user.username) if user else row_header("-", "")

    @column(_("Browser"))
    def browser(self, session: OperatorSession) -> str:
        # What differs: all browsers begin with "Mozilla/5.0 (", the system and ")". The session's page has all of it.
        return session.user_agent.rpartition(") ")[2][:60]

    @column(_("Sign-in"), colours={True: "success", False: ""})
    def way_in(self, session: OperatorSession) -> tuple[bool, str]:
        is_single = bool(session.provider_session)
        return is_single, str(_("Single sign-on") if is_single else _("Password"))

    @service_action(
        Dialog(
            label=_("End"),
            title=_("End the session"),
            icon="logout",
            description=_("Its browser is signed out at once."),
            variant=ActionVariant.DANGER,
        )
    )
    def end(self, session: OperatorSession, _form: DialogForm, by: Actor) -> ActionResult:
        sessions.end_session(session, by=by)
        return ActionResult(_("The session is ended."))


def _name_of(user: User) -> str:
    """Return what a person is known by: the username of one who signs in at the provider is a subject."""
    return user.get_full_name() or user.email or user.username
