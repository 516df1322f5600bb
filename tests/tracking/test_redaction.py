import pytest

from kdsearch.tracking.redaction import redact, without_userinfo


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://me:pw@db/x", "postgresql://***@db/x"),
        ("a mysql+pymysql://u:p@ss@h:1/x b", "a mysql+pymysql://***@h:1/x b"),
        ("http://127.0.0.1:5000/#/a", "http://127.0.0.1:5000/#/a"),
        ("sqlite:////home/me@work/x.db", "sqlite:////home/me@work/x.db"),
        ("https://h/p?token=abc&b=1", "https://h/p?token=***&b=1"),
        ("--set storage='postgresql://u:p@h/d'", "--set storage='postgresql://***@h/d'"),
        ("API_KEY=abc run", "API_KEY=*** run"),
        ("temperature 4, alpha 0.5", "temperature 4, alpha 0.5"),
    ],
)
def test_redact(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_without_userinfo() -> None:
    assert without_userinfo("https://u:p@mlflow.example:443") == "https://mlflow.example:443"
