"""Decides which hosts and web origins may call the embedded Prefect server.

Any page that an operator opens can send requests to a server on loopback. The browser names the page in `Origin`
(RFC 6454) and in `Sec-Fetch-Site` (W3C Fetch Metadata), and a page cannot change either. `Host` exposes DNS
rebinding, where the name of a foreign page resolves to 127.0.0.1: for the browser, such a page has the same origin.
Programs other than browsers send no Origin and are not affected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from models.environment.authority import Authority, parse_authority

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Allowed with any port, because the local end of an SSH tunnel has another port than the server."""
ANY_ORIGIN = "*"
MAX_SHOWN_LENGTH = 100

_HOST_REMEDY = "add the host to AVATARS_ALLOWED_HOSTS to allow it"
_ORIGIN_REMEDY = (
    "add its host to AVATARS_ALLOWED_HOSTS if a proxy serves this server there, or the origin to "
    "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"
)


@dataclass(frozen=True)
class Refusal:
    """The response to a request that is not allowed."""

    status: HTTPStatus
    text: str


@dataclass(frozen=True)
class BrowserRequest:
    """The parts of a request that the decision needs; header values occur as often as their header."""

    method: str
    path: str
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    fetch_sites: tuple[str, ...]
    fetch_modes: tuple[str, ...]
    fetch_destinations: tuple[str, ...]


def origin_of(url: str) -> str:
    """Return the origin of an http or https URL as a browser sends it.

    Raises:
        ValueError: The URL has another scheme or no valid authority.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("must be an http or https URL")
    parse_authority(parts.netloc)
    return f"{parts.scheme}://{parts.netloc.lower()}"


@dataclass(frozen=True)
class AccessPolicy:
    """What the server answers to.

    Args:
        hosts: Hosts beside those of loopback. One without a port is allowed with every port as a Host, and with
            the default port as an origin.
        origins: Origins of pages that may call the server; ANY_ORIGIN allows all of them.
        api_path: Path of the API. Everything else is the UI, to which other sites may link.
    """

    hosts: frozenset[Authority]
    origins: frozenset[str]
    api_path: str

    @classmethod
    def create(
        cls, *, hosts: Iterable[str], origins: Iterable[str], ui_api_url: str | None, api_path: str
    ) -> AccessPolicy:
        """Return the policy of a server on loopback.

        Args:
            hosts: Values of AVATARS_ALLOWED_HOSTS.
            origins: The server's own origins and those of Prefect's CORS settings.
            ui_api_url: The address at which browsers find the API, PREFECT_UI_API_URL; its host and origin are
                allowed.
            api_path: Path of the API.
        """
        allowed_hosts = {parse_authority(host) for host in hosts}
        allowed_origins = set(origins)
        if ui_api_url:
            try:
                origin = origin_of(ui_api_url)
            except ValueError:  # for example a path alone: the UI is then served by the same host
                pass
            else:
                allowed_origins.add(origin)
                authority = parse_authority(origin.partition("://")[2])
                allowed_hosts |= set() if authority.host in LOOPBACK_HOSTS else {authority}
        return cls(frozenset(allowed_hosts), frozenset(allowed_origins), api_path.rstrip("/"))

    def refusal(self, request: BrowserRequest) -> Refusal | None:
        """Return why the request is not allowed, or None if it is."""
        if not request.path.startswith("/"):
            return Refusal(HTTPStatus.BAD_REQUEST, "the request target must be a path, not a URL or an authority")
        if len(request.hosts) != 1:
            count = len(request.hosts)
            return Refusal(HTTPStatus.BAD_REQUEST, f"the request must have one Host header, not {count}")
        try:
            host = parse_authority(request.hosts[0])
        except ValueError as error:
            return Refusal(HTTPStatus.BAD_REQUEST, f"Host {_shown(request.hosts[0])} {error}")
        if not self._allows_host(host):
            return Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"Host {_shown(request.hosts[0])} is not a host of this server; {_HOST_REMEDY}",
            )
        if request.origins:
            return self._origin_refusal(request.origins, host)
        return self._fetch_metadata_refusal(request)

    def _allows_host(self, host: Authority) -> bool:
        return (
            host.host in LOOPBACK_HOSTS
            or host in self.hosts
            or Authority(host.host, None) in self.hosts
            or (host.port is None and any(Authority(host.host, port) in self.hosts for port in (80, 443)))
        )

    def _origin_refusal(self, origins: tuple[str, ...], host: Authority) -> Refusal | None:
        if len(origins) > 1:
            return Refusal(HTTPStatus.FORBIDDEN, f"the request has {len(origins)} Origin headers instead of one")
        [origin] = origins
        if ANY_ORIGIN in self.origins or origin in self.origins or self._is_own_origin(origin, host):
            return None
        return Refusal(HTTPStatus.FORBIDDEN, f"Origin {_shown(origin)} may not call this server; {_ORIGIN_REMEDY}")

    def _is_own_origin(self, origin: str, host: Authority) -> bool:
        """Whether the page was served by this server, through a tunnel or a proxy."""
        scheme, _, rest = origin.partition("://")
        try:
            authority = parse_authority(rest)
        except ValueError:
            return False
        if scheme not in {"http", "https"}:
            return False
        # The server speaks plain HTTP on loopback, so a page by HTTPS there is served by another program.
        same_server = authority == host and (scheme == "http" or host.host not in LOOPBACK_HOSTS)
        return same_server or authority in self.hosts

    def _fetch_metadata_refusal(self, request: BrowserRequest) -> Refusal | None:
        """Refuse what another site loads without an Origin: images, scripts, frames and links to the API.

        A link to a page of the UI is allowed, because it changes nothing and shows nothing to the other site.
        """
        if ANY_ORIGIN in self.origins or set(request.fetch_sites) <= {"same-origin", "none"}:
            return None
        is_link_to_page = (
            request.method == "GET"
            and request.fetch_modes == ("navigate",)
            and request.fetch_destinations == ("document",)
            and request.path != self.api_path
            and not request.path.startswith(f"{self.api_path}/")
        )
        if is_link_to_page:
            return None
        return Refusal(
            HTTPStatus.FORBIDDEN,
            f"Sec-Fetch-Site {_shown(', '.join(request.fetch_sites))} may not load this address: "
            "only pages of this server may, and other sites may link to its UI",
        )


def own_origins(port: int) -> tuple[str, ...]:
    """Return the origins of a server's own pages; the server listens on 127.0.0.1, not on [::1]."""
    return tuple(f"http://{host}:{port}" for host in ("127.0.0.1", "localhost"))


def _shown(value: str) -> str:
    return ascii(value[:MAX_SHOWN_LENGTH])
