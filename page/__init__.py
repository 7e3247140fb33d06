"""The page: one module per tab, and what tabs share. app.py puts it together."""
