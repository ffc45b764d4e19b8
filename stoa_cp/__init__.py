"""The Django project and its kernel, in two rings.

- The files of this folder are the project: settings, URLs, start-up, admin, dashboard. They may import every app.
- The packages below are the kernel that every app stands on. They import no app and no file of the project, and of the
  product's nouns they use the tenant's id alone. What they need of an app, a setting names by dotted path.

import-linter holds both (pyproject.toml). Each package's docstring tells its duty and its public functions.
"""

# Celery's convention for Django: the app exists before the first task of an app is defined.
from stoa_cp.celery import app as celery_app

__all__ = ["celery_app"]
