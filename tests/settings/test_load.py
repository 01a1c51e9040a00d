"""Settings come from where they should, in that order, and every problem is one readable line."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from titan.settings import LogFormat, Setting, Settings, all_settings, is_loopback
from titan.settings_load import Loaded, SettingsError, load
from titan.settings_sources import NOT_BUILT_YET
from titan.settings_text import mask


def setting(path: str) -> Setting:
    return next(setting for setting in all_settings() if setting.path == path)


def problems(environ, **options) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(environ, **options)
    return list(caught.value.problems)


def the_problem(environ, **options) -> str:
    found = problems(environ, **options)
    assert len(found) == 1, found
    return found[0]


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "titan.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def origin(loaded: Loaded, path: str) -> str:
    return loaded.origin(setting(path))


# --- where values come from


def test_without_anything_given_all_are_defaults():
    loaded = load({})
    assert loaded.settings == Settings()
    assert not loaded.given
    assert not loaded.warnings


def test_settings_alone_do_not_read_the_environment(monkeypatch):
    monkeypatch.setenv("HTTP", '{"port": 1}')
    monkeypatch.setenv("TITAN_PORT", "1")
    assert Settings().http.port == 8080


def test_arguments_go_before_environment_before_file_before_default(write):
    path = write("[http]\nport = 1\nadmin_port = 2\nmax_connections = 3\n")
    environ = {"TITAN_HTTP__PORT": "11", "TITAN_HTTP__ADMIN_PORT": "12"}
    loaded = load(environ, config=path, arguments={"http.port": 21, "http.host": None})
    http = loaded.settings.http
    assert (http.port, http.admin_port, http.max_connections, http.host) == (21, 12, 3, "127.0.0.1")
    assert origin(loaded, "http.port") == "command line: --port"
    assert origin(loaded, "http.admin_port") == "environment: TITAN_HTTP__ADMIN_PORT"
    assert origin(loaded, "http.max_connections") == f"file {path}: http.max_connections"
    assert origin(loaded, "http.host") == "default"


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("TITAN_HOST", "localhost", "http.host", "localhost"),
        ("TITAN_PORT", "9000", "http.port", 9000),
        ("TITAN_DATA_DIR", "/srv/x", "database.data_dir", Path("/srv/x")),
        ("TITAN_INSTANCE_ID", "titan-1", "process.instance_id", "titan-1"),
        ("TITAN_LOG_FORMAT", "json", "log.format", LogFormat.JSON),
        ("DATABASE_URL", "sqlite:///x.db", "database.url", "sqlite:///x.db"),
    ],
)
def test_short_and_bare_names(variable, text, path, value):
    assert setting(path).of(load({variable: text}).settings) == value


def test_every_setting_can_be_set_by_its_variable_and_by_the_file(write):
    """Set to its default in text, each one arrives with that origin."""
    for each in all_settings():
        value = each.of(Settings())
        if value in (None, "", False, ()):
            continue
        assert load({each.variable: str(value)}).origin(each) == f"environment: {each.variable}"
        text = repr(value) if isinstance(value, int | float) else f'"{value}"'
        path = write(f"[{each.section}]\n{each.name} = {text}\n")
        assert load({}, config=path).origin(each) == f"file {path}: {each.path}"


def test_a_short_form_and_the_long_one_may_agree_but_not_differ():
    assert load({"TITAN_PORT": "9000", "TITAN_HTTP__PORT": "9000"}).settings.http.port == 9000
    line = the_problem({"TITAN_PORT": "9000", "TITAN_HTTP__PORT": "9001"})
    assert "TITAN_PORT" in line
    assert "TITAN_HTTP__PORT" in line
    assert "9000" in line
    assert "9001" in line


def test_an_empty_variable_counts_as_not_set():
    assert load({"TITAN_HTTP__PORT": "", "DATABASE_URL": "", "REDIS_URL": ""}).settings == Settings()


def test_systemd_prepares_the_data_folder_and_everything_else_goes_before_it(write):
    environ = {"STATE_DIRECTORY": "/var/lib/titan:/var/lib/other"}
    loaded = load(environ)
    assert loaded.settings.database.data_dir == Path("/var/lib/titan")
    assert origin(loaded, "database.data_dir") == "systemd: STATE_DIRECTORY"
    assert load(environ | {"TITAN_DATA_DIR": "/x"}).settings.database.data_dir == Path("/x")
    path = write('[database]\ndata_dir = "/y"\n')
    assert load(environ, config=path).settings.database.data_dir == Path("/y")


# --- secrets


def test_a_secret_is_read_from_the_file_that_a_variable_names(write):
    path = write("sqlite:///from-file.db\n", "secret")
    loaded = load({"DATABASE_URL_FILE": str(path)})
    assert loaded.settings.database.url == "sqlite:///from-file.db"
    assert origin(loaded, "database.url") == f"file {path}: DATABASE_URL_FILE"


def test_a_secret_given_twice_must_be_the_same(write):
    path = write("sqlite:///a.db", "secret")
    line = the_problem({"DATABASE_URL_FILE": str(path), "DATABASE_URL": "sqlite:///b.db"})
    assert "DATABASE_URL and DATABASE_URL_FILE" in line


@pytest.mark.parametrize("name", ["DATABASE_URL", "database_url"])
def test_a_secret_is_read_from_systemd_credentials(tmp_path, name):
    (tmp_path / name).write_text("sqlite:///from-credential.db\n")
    (tmp_path / "other").write_text("not ours")
    loaded = load({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert loaded.settings.database.url == "sqlite:///from-credential.db"
    assert origin(loaded, "database.url") == f"systemd credential: {name}"
    assert load({"CREDENTIALS_DIRECTORY": str(tmp_path), "DATABASE_URL": "sqlite:///e.db"}).settings.database.url == (
        "sqlite:///e.db"
    )


def test_a_secret_file_that_cannot_be_read_is_named(tmp_path):
    line = the_problem({"DATABASE_URL_FILE": str(tmp_path / "none")})
    assert line == f"DATABASE_URL_FILE: {tmp_path / 'none'} cannot be read: No such file or directory"


def test_a_password_never_appears_in_a_problem(tmp_path):
    line = the_problem({"DATABASE_URL": "postgresql+asyncpg://titan:hunter2@pg:5432/titan?password=hunter3"})
    assert "hunter" not in line
    assert "postgresql+asyncpg://titan:***@pg:5432/titan?password=***" in line
    assert "hunter" not in the_problem({"DATABASE_URL": "hunter2"})


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:pw@a:1,b:2/0?x=1", "redis://:***@a:1,b:2/0?x=1"),
        ("redis://user@a/0", "redis://user@a/0"),
        ("postgresql://u:p@ss@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:p/s?s#s@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u@h/db?sslpassword=a@b", "postgresql://u@h/db?sslpassword=***"),
        ("sqlite:////var/lib/a@b:c.db", "sqlite:////var/lib/a@b:c.db"),
        ("s3://b?secret_access_key=abc&region=x", "s3://b?secret_access_key=***&region=x"),
        ("plain", "***"),
    ],
)
def test_masking(text, masked):
    assert mask(text) == masked


# --- what is refused


@pytest.mark.parametrize(("name", "feature"), NOT_BUILT_YET.items())
def test_a_setting_whose_feature_is_not_built_is_refused_by_name(name, feature):
    line = the_problem({name: "x"})
    assert line.startswith(f"{name} (environment)")
    assert f"{feature} is not built yet" in line


@pytest.mark.parametrize("text", ["[blobs]\nurl = 'x'"])
def test_the_file_may_not_set_what_is_not_built_either(write, text):
    assert "not built yet" in the_problem({}, config=write(text))


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "postgres"])
def test_a_postgresql_url_chooses_the_shared_database(scheme):
    url = load({"DATABASE_URL": f"{scheme}://titan:secret@pg-primary:5432/titan"}).settings.database.postgres_url
    assert url is not None
    assert str(url) == "postgresql://titan@pg-primary:5432/titan"


def test_a_postgresql_url_that_cannot_be_used_is_refused_without_its_password():
    problem = the_problem({"DATABASE_URL": "postgresql://titan:secret@pg-primary"})
    assert "names no database" in problem
    assert "secret" not in problem


PRIMARY = "postgresql://titan:secret@pg-primary/titan"
READ = "postgresql+asyncpg://titan:secret@pg-replica-1,pg-replica-2:6432/titan"


def test_a_read_replica_beside_its_primary():
    database = load({"DATABASE_URL": PRIMARY, "DATABASE_READ_URL": READ}).settings.database
    assert str(database.replica_url) == "postgresql://titan@pg-replica-1:5432,pg-replica-2:6432/titan"
    assert database.replica_url is not None
    assert database.replica_url.target == "standby"
    assert database.replica_max_lag_s == 5
    assert load({"DATABASE_URL": PRIMARY}).settings.database.replica_url is None


@pytest.mark.parametrize(("url", "shown"), [("", "unset"), ("sqlite:///titan.db", "sqlite:///titan.db")])
def test_a_read_replica_without_a_postgresql_primary_is_refused_naming_both(url, shown):
    problem = the_problem({"DATABASE_URL": url, "DATABASE_READ_URL": READ})
    assert "database.read_url = postgresql+asyncpg://titan:***@pg-replica-1" in problem
    assert f"database.url = {shown}" in problem
    assert "DATABASE_READ_URL" in problem
    assert "secret" not in problem


@pytest.mark.parametrize("target", ["read-write", "any", "primary", "prefer-standby"])
def test_a_read_replica_is_a_standby_and_nothing_else(target):
    problem = the_problem(
        {"DATABASE_URL": PRIMARY, "DATABASE_READ_URL": f"postgresql://h/d?target_session_attrs={target}"}
    )
    assert f"target_session_attrs={target} is none of standby" in problem


def test_the_url_of_a_read_replica_is_a_secret_like_that_of_the_primary(write):
    path = write(READ, "secret")
    loaded = load({"DATABASE_URL": PRIMARY, "DATABASE_READ_URL_FILE": str(path)})
    assert loaded.settings.database.read_url == READ
    assert "secret" not in the_problem({"DATABASE_URL": PRIMARY, "DATABASE_READ_URL": "postgresql://u:secret@h"})


def test_the_server_must_give_up_before_the_request_does():
    problem = the_problem({"TITAN_DATABASE__STATEMENT_TIMEOUT_S": "2"})
    assert "database.statement_timeout_s = 2" in problem
    assert "database.request_budget_s = 1.8" in problem


def test_an_unknown_variable_is_refused_with_the_nearest_name():
    assert the_problem({"TITAN_HTTP__POTR": "1"}) == (
        "TITAN_HTTP__POTR (environment): no such setting; did you mean TITAN_HTTP__PORT?"
    )


def test_a_slip_of_the_pen_is_not_taken_for_a_variable_of_kubernetes():
    assert the_problem({"TITAN_HTTP_PORT": "9000"}) == (
        "TITAN_HTTP_PORT (environment): no such setting; did you mean TITAN_HTTP__PORT?"
    )


@pytest.mark.parametrize("name", ["TITAN_TOKEN", "TITAN_PYTHON", "TITANIUM", "HTTP", "PORT"])
def test_variables_that_are_no_settings_are_left_alone(name):
    load({name: "x"})


KUBERNETES = {
    "TITAN_PORT": "tcp://10.0.0.1:8080",
    "TITAN_SERVICE_HOST": "10.0.0.1",
    "TITAN_SERVICE_PORT": "8080",
    "TITAN_SERVICE_PORT_HTTP": "8080",
    "TITAN_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    "TITAN_PORT_8080_TCP_PROTO": "tcp",
    "TITAN_PORT_8080_TCP_ADDR": "10.0.0.1",
    "TITAN_AAS_PORT": "tcp://10.0.0.1:8080",
    "TITAN_AAS_SERVICE_HOST": "10.0.0.1",
    "TITAN_AAS_POOLER_2_PORT_5432_TCP_PORT": "5432",
}


def test_what_kubernetes_adds_beside_a_service_called_titan_does_not_matter():
    assert load(KUBERNETES).settings == Settings()
    assert load(KUBERNETES | {"TITAN_HTTP__PORT": "9000"}).settings.http.port == 9000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[http]\npotr = 1", "http.potr (file {path}): no such setting; did you mean http.port?"),
        ("[htpp]\nport = 1", "[htpp] (file {path}): no such setting; did you mean http?"),
        ("http = 1", "http (file {path}): is a section, written [http]"),
        ("[http]\nport = [1]", "http.port (file {path}): must be one value"),
        ("[http]\nport = true", "http.port = true (file {path}): must be a whole number from 0 to 65535"),
        ("[security]\nallow_anonymous = 1", "security.allow_anonymous = 1 (file {path}): must be true or false"),
        ("[http]\nport = 70000", "http.port = 70000 (file {path}): must be a whole number from 0 to 65535"),
        ("[http]\nbody_timeout_s = inf", "http.body_timeout_s = inf (file {path}): must be a number above 0"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(write, text, words):
    path = write(text)
    assert the_problem({}, config=path) == words.format(path=path)


def test_a_file_that_is_no_toml_or_not_there_is_named(write, tmp_path):
    assert "is not valid TOML" in the_problem({}, config=write("port: 1"))
    (tmp_path / "latin").write_bytes(b"x = '\xe9'")
    assert "is not valid TOML" in the_problem({}, config=tmp_path / "latin")
    assert (
        the_problem({}, config=tmp_path / "none")
        == f"file {tmp_path / 'none'}: cannot be read: No such file or directory"
    )


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("TITAN_PORT", "65536", "a whole number from 0 to 65535"),
        ("TITAN_PORT", "80.5", "a whole number from 0 to 65535"),
        ("TITAN_HTTP__HEAD_TIMEOUT_S", "nan", "a number above 0"),
        ("TITAN_HTTP__DRAIN_DELAY_S", "-1", "a number not below 0"),
        ("TITAN_DATABASE__REQUEST_BUDGET_S", "61", "a number above 0 and up to 60"),
        ("TITAN_LOG__FORMAT", "xml", "one of json, console"),
        ("TITAN_SECURITY__ALLOW_ANONYMOUS", "perhaps", "true or false"),
        ("TITAN_HTTP__BASE_PATH", "twins/", "text matching ^(/[A-Za-z0-9._~-]+)*$"),
        ("TITAN_INSTANCE_ID", "a b", "text matching ^[A-Za-z0-9._:-]{0,128}$"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(variable, text, allowed):
    assert the_problem({variable: text}) == f"{variable} = {text} (environment): must be {allowed}"


def test_origins_are_as_browsers_send_them():
    loaded = load({"TITAN_EVENTS__ALLOWED_ORIGINS": "https://a.example, http://b.example:8080"})
    assert loaded.settings.events.origins == {"https://a.example", "http://b.example:8080"}
    for text in (
        "a.example",
        "https://a.example/",
        "https://A.example",
        "null",
        "*",
        "https://",
        "https://u@a.example",
        "https://a.example:443",
        "http://a.example:80",
        "https://*.a.example",
    ):
        assert "is no origin such as https://" in the_problem({"TITAN_EVENTS__ALLOWED_ORIGINS": text}), text


def test_trusted_proxies_are_addresses_and_networks():
    http = load({"TITAN_HTTP__TRUSTED_PROXIES": "10.0.0.0/8, ::1"}).settings.http
    assert [str(network) for network in http.trusted_networks] == ["10.0.0.0/8", "::1/128"]
    assert load({}).settings.http.trusted_networks == ()
    for wrong in ("proxy.example", "10.0.0.1/8", "10.0.0.0/33"):
        problem = the_problem({"TITAN_HTTP__TRUSTED_PROXIES": wrong})
        assert problem.startswith(f"TITAN_HTTP__TRUSTED_PROXIES = {wrong} (environment): ")


@pytest.mark.parametrize("url", ["sqlite://x", "sqlite:///", "mysql://x", "sqlite:///:memory:", "sqlite:///a?mode=ro"])
def test_database_urls_that_name_no_file_are_refused(url):
    assert "sqlite:///FILE" in the_problem({"DATABASE_URL": url})


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({}, "titan-data/titan.db"),
        ({"TITAN_DATA_DIR": "/srv"}, "/srv/titan.db"),
        ({"DATABASE_URL": "sqlite:///rel/x.db"}, "rel/x.db"),
        ({"DATABASE_URL": "sqlite:////abs/x.db"}, "/abs/x.db"),
    ],
)
def test_where_the_embedded_store_is(environ, path):
    assert load(environ).settings.database.sqlite_path == Path(path)


POSTGRES = {"DATABASE_URL": "postgresql://titan@pg/titan"}


def test_redis_is_for_instances_that_share_a_database():
    assert str(load(POSTGRES | {"REDIS_URL": "redis://u:secret@h"}).settings.redis.parsed_url) == "redis://u@h:6379/0"
    problem = the_problem({"REDIS_URL": "redis://u:secret@h"})
    assert problem.startswith("redis.url = redis://u@h:6379/0 and database.url = unset: ")


def test_a_redis_url_that_cannot_be_used_is_refused_without_its_password():
    problem = the_problem(POSTGRES | {"REDIS_URL": "redis://u:secret@h,i"})
    assert "names several hosts" in problem
    assert "secret" not in problem


def test_redis_url_may_be_in_a_file(tmp_path):
    (tmp_path / "url").write_text("redis://h:1/2\n")
    url = load(POSTGRES | {"REDIS_URL_FILE": str(tmp_path / "url")}).settings.redis.parsed_url
    assert str(url) == "redis://h:1/2"


def test_files_of_redis_tls_are_of_use_and_complete(tmp_path):
    file = tmp_path / "pem"
    file.touch()
    tls = POSTGRES | {"REDIS_URL": "rediss://h"}
    assert load(tls | {"TITAN_REDIS__TLS_CA": str(file)}).settings.redis.tls_ca == file
    assert "needs its key" in the_problem(tls | {"TITAN_REDIS__TLS_CERT": str(file)})
    assert "no such file" in the_problem(tls | {"TITAN_REDIS__TLS_CA": str(tmp_path / "none")})
    assert "rediss://" in the_problem(POSTGRES | {"REDIS_URL": "redis://h", "TITAN_REDIS__TLS_CA": str(file)})


def test_all_problems_are_reported_together(write):
    found = problems(
        {"TITAN_PORT": "x", "OIDC_ISSUER": "https://h", "TITAN_NO": "1"}, config=write("[log]\nlevel = 'loud'")
    )
    assert len(found) == 4


def test_settings_cannot_be_changed():
    settings = load({}).settings
    with pytest.raises(ValidationError):
        settings.http.port = 1
    with pytest.raises(ValidationError):
        settings.http = settings.http


# --- settings that disagree


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        (
            {"TITAN_HTTP__DRAIN_DELAY_S": "30"},
            ["http.drain_delay_s = 30", "process.hard_deadline_s = 20", "41.5 s", "TITAN_PROCESS__HARD_DEADLINE_S"],
        ),
        (
            {"TITAN_HTTP__HEAD_TIMEOUT_S": "61"},
            ["http.head_timeout_s = 61", "http.body_timeout_s = 60", "TITAN_HTTP__HEAD_TIMEOUT_S"],
        ),
        ({"TITAN_HTTP__TLS_CERT": "/a"}, ["http.tls_cert = /a", "http.tls_key = unset", "TITAN_HTTP__TLS_KEY"]),
        ({"TITAN_HTTP__TLS_KEY": "/a"}, ["http.tls_cert = unset", "http.tls_key = /a", "TITAN_HTTP__TLS_CERT"]),
        ({"TITAN_HTTP__ADMIN_PORT": "8080"}, ["http.admin_port = 8080", "http.port = 8080", "TITAN_HTTP__ADMIN_PORT"]),
        (
            {"TITAN_API__PAGE_SIZE": "1001"},
            ["api.page_size = 1001", "api.max_page_size = 1000", "TITAN_API__MAX_PAGE_SIZE"],
        ),
        (
            {"TITAN_LEADERSHIP__TTL_S": "12"},
            ["leadership.ttl_s = 12", "leadership.renew_s = 10", "TITAN_LEADERSHIP__RENEW_S"],
        ),
        (
            {"TITAN_HOST": "0.0.0.0"},
            ["http.host = 0.0.0.0", "security.allow_anonymous = false", "TITAN_SECURITY__ALLOW_ANONYMOUS"],
        ),
    ],
)
def test_settings_that_disagree_are_named_with_both_values_and_what_to_change(environ, named):
    line = the_problem(environ)
    assert [part for part in named if part not in line] == []


def test_the_drain_must_be_shorter_than_the_hard_deadline_not_equal():
    load({"TITAN_HTTP__DRAIN_DELAY_S": "8.4"}, longest_shutdown_s=10)
    problems({"TITAN_HTTP__DRAIN_DELAY_S": "8.5"}, longest_shutdown_s=10)
    load({"TITAN_HTTP__DRAIN_DELAY_S": "8.5"}, longest_shutdown_s=9)


def test_listening_for_everybody_without_authentication_warns_loudly():
    (warning,) = load({"TITAN_HOST": "0.0.0.0", "TITAN_SECURITY__ALLOW_ANONYMOUS": "true"}).warnings
    assert "ANYONE" in warning
    assert "0.0.0.0" in warning


def test_a_keep_alive_below_the_balancers_warns():
    (warning,) = load({"TITAN_HTTP__KEEP_ALIVE_S": "60"}).warnings
    assert "http.keep_alive_s = 60" in warning


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "titan.example", "localhost.example", "::ffff:10.0.0.1"])
def test_not_loopback(host):
    assert not is_loopback(host)


def test_a_rate_limit_that_all_clients_of_a_local_proxy_would_share_is_warned_of():
    limit = {"TITAN_SECURITY__REQUESTS_PER_MINUTE": "600"}
    (warning,) = load(limit).warnings
    assert "TITAN_HTTP__TRUSTED_PROXIES" in warning
    assert "600" in warning
    assert not load({**limit, "TITAN_HTTP__TRUSTED_PROXIES": "127.0.0.1"}).warnings


def test_what_happens_without_redis_is_one_of_two_words():
    assert "one of open, local" in the_problem({"TITAN_SECURITY__ON_REDIS_LOSS": "closed"})
