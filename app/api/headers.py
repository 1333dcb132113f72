"""What every answer tells the browser not to do, whoever asked for it."""

from collections.abc import Sequence

from flask import Flask, Response, request


def secure_answers(server: Flask, script_hashes: Sequence[str]) -> None:
    """Add the security headers to every answer, errors and assets included.

    `script_hashes` are those of dash's own inline scripts; no other one runs.
    """
    policy = "; ".join(
        [
            "default-src 'self'",
            " ".join(["script-src 'self'", *script_hashes]),
            # plotly, the grid and the documentation write styles into their elements.
            "style-src 'self' 'unsafe-inline'",
            # What charts are saved as, and icons within style sheets.
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        # The layout's request tells its view by the referrer; others learn nothing of a link.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }

    def secure(response: Response) -> Response:
        response.headers.extend(headers)
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response

    server.after_request(secure)
