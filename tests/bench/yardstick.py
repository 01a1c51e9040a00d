"""The yardstick Q: hypercorn with quart-trio, one trio worker, no middleware, a constant answer of a given size.

Run as `python -m tests.bench.yardstick PORT BYTES`; answers GET and POST on every path with BYTES bytes of JSON after
reading the request's body.
"""

import sys

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request
from quart_trio import QuartTrio


def make_app(size: int) -> QuartTrio:
    """Return the application with its constant answer."""
    app = QuartTrio("yardstick")
    body = b'{"x":"' + b"x" * (size - 8) + b'"}'

    @app.route("/", defaults={"_path": ""})
    @app.route("/<path:_path>", methods=["GET", "POST", "PUT"])
    async def answer(_path: str) -> Response:
        if request.method == "GET":
            return Response(body, 200, content_type="application/json")
        await request.get_data()
        return Response(body, 201, content_type="application/json")

    return app


def main() -> None:
    """Serve until killed."""
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.errorlog = None
    trio.run(serve, make_app(int(sys.argv[2])), config)


if __name__ == "__main__":
    main()
