import pytest

from kdsearch.redaction import redact, redact_command, redact_url, without_userinfo


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://me:pw@db/x", "postgresql://***@db/x"),
        ("a mysql+pymysql://u:p@ss@h:1/x b", "a mysql+pymysql://***@h:1/x b"),
        ("http://127.0.0.1:5000/#/a", "http://127.0.0.1:5000/#/a"),
        ("sqlite:////home/me@work/x.db", "sqlite:////home/me@work/x.db"),
        ("https://h/p?token=abc&b=1", "https://h/p?token=***&b=1"),
        ("--set storage='postgresql://u:p@h/d'", "--set storage='postgresql://***@h/d'"),
        ("postgresql://me:p/w@db/x", "postgresql://***@db/x"),
        ("API_KEY=abc run", "API_KEY=*** run"),
        ("temperature 4, alpha 0.5", "temperature 4, alpha 0.5"),
    ],
)
def test_redact(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_without_userinfo() -> None:
    assert without_userinfo("https://u:p@mlflow.example:443") == "https://mlflow.example:443"


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("postgresql://me:p/w@db/x", "postgresql://me:***@db/x"),
        (
            "mysql+pymysql://u:p@h:3306/x?password=pw",
            "mysql+pymysql://u:***@h:3306/x?password=***",
        ),
        ("sqlite:////home/me@work/x.db", "sqlite:////home/me@work/x.db"),
        ("sqlite:///kdsearch.db", "sqlite:///kdsearch.db"),
        ("http://u:pw@h:port/x", "http://***@h:port/x"),
    ],
)
def test_redact_url(url: str, clean: str) -> None:
    assert redact_url(url) == clean


def test_redact_command() -> None:
    command = ["kdsearch", "--set", "storage=postgresql://me:it's a/b@db/x", "--set", "seed=3"]
    assert redact_command(command) == (
        "kdsearch --set 'storage=postgresql://me:***@db/x' --set seed=3"
    )
