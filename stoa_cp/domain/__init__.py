"""What every layer speaks of: who acts (``actors``), and refusals with their codes (``errors``). Knows no HTTP."""
