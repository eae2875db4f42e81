"""Posts to untrusted URLs: only to public addresses, only to the checked one, and with a deadline."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tandem import safe_http
from tandem.broker.errors import ExpectedError, PermanentError
from tandem.config.destinations import Destinations, is_allowed

NAME = "receiver.test"
ANYWHERE = Destinations(private=True, own=True)
real_getaddrinfo = socket.getaddrinfo


class Receiver(HTTPServer):
    """Answers with the status that the path says, and a place to go to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, str, bytes]] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Host"], body))
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("Location", f"http://127.0.0.1:{self.server.port}/stolen/200")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Make names resolve to one list of addresses after the other; return the names that were looked up."""
    asked: list[str] = []

    def install(*answers: list[str]) -> list[str]:
        left = list(answers)

        def getaddrinfo(host: str, port: int, *args: Any, **more: Any) -> Any:
            if host != NAME:
                return real_getaddrinfo(host, port, *args, **more)
            asked.append(host)
            return [found for address in left.pop(0) for found in real_getaddrinfo(address, port, *args, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return install


PUBLIC = ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"]
PRIVATE = ["10.0.0.1", "172.17.0.2", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1"]
PRIVATE += ["2002:a00:1::1", "198.18.0.1", "192.0.2.1"]
NOBODYS = ["0.0.0.0", "::", "::ffff:0.0.0.0", "169.254.169.254", "fe80::1", "64:ff9b::a9fe:a9fe"]  # noqa: S104
NOBODYS += ["224.0.0.1", "ff02::1", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]
NOBODYS += ["fd00:ec2::23", "::7f00:1", "64:ff9b:1::a00:1", "2001::1", "fec0::1", "192.88.99.1", "240.0.0.1"]
NOBODYS += ["255.255.255.255", "::ffff:192.88.99.1", "2002:c058:6301::1"]
NOT_UNICAST = ["2001:db8::1"]
OWN = ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address: str) -> None:
    assert is_allowed(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE + NOBODYS + NOT_UNICAST + OWN)
def test_no_other_address_may_be_called(address: str) -> None:
    assert not is_allowed(ip_address(address))


def test_private_addresses_may_be_called_where_that_is_allowed_and_clouds_secrets_never() -> None:
    assert all(is_allowed(ip_address(address), private=True) for address in PRIVATE + PUBLIC)
    assert not any(is_allowed(ip_address(address), private=True) for address in NOBODYS + OWN)
    assert not any(is_allowed(ip_address(address), private=True, own=True) for address in NOBODYS)
    assert all(is_allowed(ip_address(address), own=True) for address in OWN)


def test_an_address_of_this_host_is_its_own_wherever_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    address = ip_address("10.20.30.40")
    assert is_allowed(address, private=True)
    # What the system says when an interface has this address.
    monkeypatch.setattr(socket.socket, "bind", lambda *_: None)
    assert not is_allowed(address, private=True)
    assert is_allowed(address, private=True, own=True)


def no_connection(*_: Any, **__: Any) -> None:
    pytest.fail("a connection was made")


@pytest.mark.parametrize("service", [(NAME, 8080), ("10.9.8.7", 8080)])
def test_a_service_of_this_server_is_not_called_under_any_name(
    resolve: Callable[..., list[str]], service: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", no_connection)
    resolve(*[["10.9.8.7"]] * 6)
    allowed = Destinations(private=True, services=(service, ("nowhere.invalid", 80)))
    for url in (f"http://{NAME}:8080/api/delete", "http://10.9.8.7:8080/", "http://[::ffff:10.9.8.7]:8080/"):
        with pytest.raises(safe_http.BadUrl, match="a service that this server itself uses"):
            safe_http.post(url, b"{}", {}, allowed)
    assert allowed.reason_against(ip_address("10.9.8.7"), 8081) == ""


@pytest.mark.parametrize(("port", "allowed"), [(22, False), (25, False), (6379, False), (443, True), (8000, True)])
def test_only_some_ports_are_called(port: int, allowed: bool) -> None:
    ports = Destinations(ports=(range(443, 444), range(8000, 9001)))
    if allowed:
        safe_http.check(f"https://{NAME}:{port}/", ports)
    else:
        with pytest.raises(safe_http.BadUrl, match=f"its port {port} is not allowed"):
            safe_http.check(f"https://{NAME}:{port}/", ports)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "visible ASCII"),
        ("http://receiver/" + "x" * 2048, "1 to 2,048 visible ASCII characters"),
        ("http://receiver/a b", "visible ASCII"),
        ("http://receiver/\r\nX-Evil: 1", "visible ASCII"),
        ("http://réceiver/", "visible ASCII"),
        ("receiver/hook", "expected http://HOST or https://HOST"),
        ("ftp://receiver/", "expected http://HOST"),
        ("file:///etc/passwd", "expected http://HOST"),
        ("http:///hook", "expected http://HOST"),
        ("http://me:hunter2@receiver/", "a user or a password"),
        ("http://receiver:port/", "is malformed"),
        ("http://receiver:0/", "is malformed"),
        ("http://receiver:65536/", "is malformed"),
        ("http://rece\\iver/", "is malformed"),
        ("http://[::1/", "is malformed"),
        (f"http://{'x' * 64}/", "is malformed"),
        ("http://127.0.0.1/", "127.0.0.1, which is not a public address"),
        ("http://2130706433/", "127.0.0.1, which is not a public address"),
        ("http://0x7f.1/", "127.0.0.1, which is not a public address"),
        ("http://[::1]:6379/", "::1, which is not a public address"),
        ("http://[::ffff:169.254.169.254]/", "which is not a public address"),
    ],
)
def test_what_can_be_seen_in_a_url_is_refused_without_asking_anybody(
    url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", None)

    with pytest.raises(safe_http.BadUrl, match="not a valid URL of a receiver") as error:
        safe_http.check(url)
    assert reason in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("url", ["http://receiver", "https://hooks.example.org:8443/a?b=c#d", "http://8.8.8.8/"])
def test_a_name_and_a_public_address_pass_without_a_lookup(url: str) -> None:
    safe_http.check(url)


def test_the_connection_goes_to_the_address_that_was_looked_at(
    receiver: Receiver, resolve: Callable[..., list[str]]
) -> None:
    asked = resolve(["127.0.0.1"], ["127.0.0.2"])

    safe_http.post(f"http://{NAME}:{receiver.port}/hook?to=/200", b"{}", {}, ANYWHERE)

    assert asked == [NAME]
    assert receiver.got == [("/hook?to=/200", f"{NAME}:{receiver.port}", b"{}")]


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::1", "93.184.216.34"]])
def test_a_name_with_one_private_address_is_not_called(
    receiver: Receiver, resolve: Callable[..., list[str]], answer: list[str]
) -> None:
    resolve(answer)

    with pytest.raises(PermanentError, match="which is not a public address"):
        safe_http.post(f"http://{NAME}:{receiver.port}/200", b"{}", {})
    assert receiver.got == []


def test_an_address_that_takes_no_connection_is_passed_over(
    receiver: Receiver, resolve: Callable[..., list[str]]
) -> None:
    resolve(["127.0.0.2", "127.0.0.1"])  # nothing listens on the first one
    safe_http.post(f"http://{NAME}:{receiver.port}/200", b"{}", {}, ANYWHERE)
    assert len(receiver.got) == 1


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with pytest.raises(PermanentError, match="refused the request with 302"):
        safe_http.post(f"http://127.0.0.1:{receiver.port}/302", b"{}", {}, ANYWHERE)
    assert len(receiver.got) == 1


def test_the_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    safe_http.post(f"http://127.0.0.1:{receiver.port}/200", b"{}", {}, ANYWHERE)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for NAME and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    openssl = shutil.which("openssl")
    assert openssl
    make = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-days", "2"]
    subprocess.run([*make, "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return both


def test_the_certificate_has_to_be_that_of_the_name(
    receiver: Receiver, resolve: Callable[..., list[str]], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
    monkeypatch.setattr("certifi.where", lambda: str(certificate.with_name("cert.pem")))
    resolve(["127.0.0.1"])

    safe_http.post(f"https://{NAME}:{receiver.port}/200", b"{}", {}, ANYWHERE)
    with pytest.raises(ExpectedError, match="does not answer"):
        safe_http.post(f"https://localhost:{receiver.port}/200", b"{}", {}, ANYWHERE)

    assert receiver.got == [("/200", f"{NAME}:{receiver.port}", b"{}")]


@pytest.fixture
def endless() -> Iterator[int]:
    """A receiver that sends one byte of a header after the other, and never all."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def trickle() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not over.wait(0.02):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        threading.Thread(target=trickle, daemon=True).start()
        yield server.getsockname()[1]
        over.set()


def test_a_receiver_that_trickles_is_given_up_in_time(endless: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_http, "SECONDS", 0.3)
    began = time.monotonic()

    with pytest.raises(ExpectedError, match="does not answer") as error:
        safe_http.post(f"http://127.0.0.1:{endless}/", b"{}", {}, ANYWHERE)

    assert not isinstance(error.value, PermanentError)
    assert time.monotonic() - began < 3


def test_what_speaks_no_http_is_tried_again_and_not_repeated_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-secret\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ExpectedError) as error:
            safe_http.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {}, ANYWHERE)
    assert "secret" not in str(error.value)
