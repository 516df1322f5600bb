"""What to install where SQLAlchemy lacks a database's driver."""

import sqlalchemy

_PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "pymysql",
}


def missing_driver(url: str) -> str | None:
    """What is missing to open a database and how to install it; None if nothing is.

    Raises:
        sqlalchemy.exc.ArgumentError, ValueError: The URL is none, or of no known database.
    """
    try:
        sqlalchemy.make_url(url).get_dialect().import_dbapi()
    except ImportError as error:
        module = error.name or str(error)
        package = _PACKAGES.get(module, module)
        # MySQLdb, which SQLAlchemy takes by default, needs a compiler; pymysql is asked for.
        also = " and begin the URL with mysql+pymysql://" if module == "MySQLdb" else ""
        return f"its driver {module} is not installed; `pip install '{package}'`{also}"
    return None
