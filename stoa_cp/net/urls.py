"""What holds for every URL that the product stores, wherever it leads."""

# In characters. It is the width of the columns that hold URLs: another value needs a migration in three apps.
MAX_URL_LENGTH = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}
