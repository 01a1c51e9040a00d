"""DATABASE_URL: every form that operators write, and what is said of the others."""

import pytest

from titan.store.postgres.url import BadUrl, Host, Pooler, PostgresUrl, Target, parse

GUIDE = "postgresql+asyncpg://titan:pass@pg-primary:5432/titan"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "root.crt"
    path.write_text("")
    return path


@pytest.mark.parametrize("scheme", ["postgresql+asyncpg", "postgresql", "postgres"])
def test_the_guides_url_with_and_without_driver(scheme):
    url = parse(GUIDE.replace("postgresql+asyncpg", scheme))
    assert url.hosts == (Host("pg-primary", 5432),)
    assert (url.user, url.password, url.database) == ("titan", "pass", "titan")
    assert (url.target, url.pooler) == (Target.READ_WRITE, Pooler.AUTO)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("a", (Host("a"),)),
        ("a:1,b,c:3", (Host("a", 1), Host("b"), Host("c", 3))),
        ("[::1]:7,[fe80::2]", (Host("::1", 7), Host("fe80::2"))),
        ("%2Frun%2Fpostgresql", (Host("/run/postgresql"),)),
        ("%2Frun%2Fa:b:5433,c", (Host("/run/a:b", 5433), Host("c"))),
        ("", (Host("/run/postgresql"),)),
    ],
)
def test_hosts(text, hosts):
    assert parse(f"postgresql://u@{text}/d?host=/run/postgresql").hosts == hosts


def test_user_password_and_database_are_percent_decoded():
    url = parse("postgresql://u%40x:p%2Fq%3A%25@h/d%20e")
    assert (url.user, url.password, url.database) == ("u@x", "p/q:%", "d e")


def test_an_at_sign_in_the_password_needs_no_escape():
    assert parse("postgresql://u:p@q@h/d").password == "p@q"


def test_options(file):
    url = parse(
        f"postgresql://u@h/d?sslmode=verify-full&sslrootcert={file}&target_session_attrs=primary"
        "&pgbouncer=true&application_name=edge"
    )
    assert (url.target, url.pooler, url.application_name) == (Target.PRIMARY, Pooler.YES, "edge")
    assert dict(url.driver_options) == {"sslmode": "verify-full", "sslrootcert": str(file)}


def test_the_name_that_sqlalchemy_has_for_sslmode():
    assert dict(parse("postgresql://u@h/d?ssl=require").driver_options) == {"sslmode": "require"}


def test_without_sslmode_tls_is_used_where_the_server_offers_it():
    assert dict(parse("postgresql://u@h/d").driver_options) == {"sslmode": "prefer"}


def test_it_is_shown_without_secrets():
    url = parse("postgresql://titan:secret@a,b:7/titan?sslpassword=secret2")
    assert str(url) == "postgresql://titan@a:5432,b:7/titan"
    assert "secret" not in repr(url)
    assert isinstance(url, PostgresUrl)


def test_for_postgresqls_own_tools_it_has_what_they_need_and_no_secret():
    url = parse("postgresql+asyncpg://titan:secret@a,b/x%20y?ssl=require&sslpassword=secret&pgbouncer=true")
    assert url.for_tools == "postgresql://titan@a:5432,b:5432/x%20y?sslmode=require&target_session_attrs=read-write"
    assert parse("postgresql://titan:secret@a/d").for_tools == "postgresql://titan@a:5432/d"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("mysql://h/d", "postgresql://"),
        ("h/d", "postgresql://"),
        ("postgresql://u@h", "no database"),
        ("postgresql://u@h/", "no database"),
        ("postgresql:///d", "no HOST"),
        ("postgresql://u@h:0/d", "1 to 65535"),
        ("postgresql://u@h:65536/d", "1 to 65535"),
        ("postgresql://u@h:x/d", "'h:x'"),
        ("postgresql://u@a,,b/d", "''"),
        ("postgresql://u@::1/d", "brackets"),
        ("postgresql://u@h/d?sslmod=require", "unknown option sslmod"),
        ("postgresql://u@h/d?sslmode=on", "sslmode=on"),
        ("postgresql://u@h/d?sslmode=require&sslmode=require", "twice"),
        ("postgresql://u@h/d?sslmode=require&ssl=require", "one and the same"),
        ("postgresql://u@h/d?sslmode=verify-full", "sslrootcert"),
        ("postgresql://u@h/d?sslrootcert=/no/such", "/no/such"),
        ("postgresql://u@h/d?target_session_attrs=standby", "read-write, primary, any"),
        ("postgresql://u@h/d?pgbouncer=maybe", "auto, true, false"),
        ("postgresql://u@h/d?pgbouncer", "OPTION=VALUE"),
        ("postgresql://u:p/q@h/d", "%2F for /"),
        ("postgresql://u:1?q@h/d", "%3F for ?"),
        ("postgresql://u@h/d?application_name=a@b", "%40 for @"),
    ],
)
def test_what_is_wrong_is_named(text, named):
    with pytest.raises(BadUrl) as caught:
        parse(text)
    assert named in str(caught.value)


def test_a_key_without_its_certificate_is_refused(file):
    with pytest.raises(BadUrl, match="sslcert"):
        parse(f"postgresql://u@h/d?sslkey={file}")


@pytest.mark.parametrize("text", [GUIDE.replace("5432", "54320000"), GUIDE + "?x=1", GUIDE[:-6], GUIDE[:-5]])
def test_no_message_holds_the_password(text):
    with pytest.raises(BadUrl) as caught:
        parse(text.replace(":pass", ":hunter2"))
    assert "hunter2" not in str(caught.value)
