"""How answers are shown: figures, tables, the page, results.json."""
