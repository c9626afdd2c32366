"""Webhook signatures, by Svix' own library.

It reads the system's clock for a tolerance of its own, the same as ours. On
hostile input it raises four kinds of exception, only one of them its own; here
each of them means that the delivery does not verify.
"""

from svix.webhooks import Webhook

from wicketgate.core.webhook import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    UnverifiedHeaders,
    complaint_about_secret,
)


class SvixVerifier:
    """Knows one signing secret."""

    def __init__(self, secret: str) -> None:
        """Keep the secret's key.

        Raises:
            ValueError: the secret cannot be one. The message never contains it.
        """
        complaint = complaint_about_secret(secret)
        if complaint is not None:
            msg = f"the signing secret {complaint}"
            raise ValueError(msg)
        self._webhook = Webhook(secret)

    def accepts(self, headers: UnverifiedHeaders, body: bytes) -> bool:
        """Tell whether one of the signatures was made with the secret. Raises nothing."""
        try:
            self._webhook.verify(
                body,
                {
                    ID_HEADER: headers.message_id,
                    TIMESTAMP_HEADER: headers.timestamp,
                    SIGNATURE_HEADER: headers.signatures,
                },
            )
        except Exception:  # noqa: BLE001 - whatever the library raises, it did not verify
            return False
        return True
