"""The use cases of API keys, a module per noun: ``keys``, ``access`` and ``expiry``. The one place that writes them."""
