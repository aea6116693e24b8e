"""The process of `tests/openid.py`: Canaille with its people, on a port of this machine. Settings: JSON on stdin."""

from __future__ import annotations

import json
import sys
from typing import Any

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from werkzeug.serving import make_server


def serve(port: int, setup: dict[str, Any]) -> None:
    """Run it until the process is killed. setup: `tests.openid.Setup`."""
    config = {
        "SECRET_KEY": "of a provider for tests",
        "SERVER_NAME": f"{setup['host']}:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "SESSION_COOKIE_SECURE": False,
        # Not in memory: there it takes one code for another when two are open.
        "CANAILLE_SQL": {"DATABASE_URI": f"sqlite:///{setup['database']}"},
        "CANAILLE": {"DATABASE": "sql", "PASSWORD_COMPROMISSION_CHECK": False},
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [json.loads(key) for key in setup["keys"]]},
    }
    app = create_app(config, init_backend=True)
    with app.app_context():
        for name, address in setup["people"].items():
            user = models.User(user_name=name, family_name=name, formatted_name=name, emails=[address])
            user.password = setup["password"]
            Backend.instance.save(user)
        client = models.Client(
            client_id=setup["client"],
            client_secret=setup["secret"],
            client_name="Keten",
            client_uri="http://localhost",  # trusted: nobody is asked for consent
            redirect_uris=[setup["redirect_uri"]],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "profile", "email"],
            token_endpoint_auth_method="private_key_jwt" if setup["jwks"] else "client_secret_basic",
            jwks=setup["jwks"] or None,
            id_token_signed_response_alg="PS256",
        )
        Backend.instance.save(client)
        client.audience = [client]
        Backend.instance.save(client)
    server = make_server("127.0.0.1", port, app, threaded=True)
    print(json.dumps({"ready": True}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), json.loads(sys.stdin.readline()))
