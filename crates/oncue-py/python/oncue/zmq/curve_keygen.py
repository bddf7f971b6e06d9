"""Makes a pair of CURVE keys: ``python3 -m oncue.zmq.curve_keygen``."""

from __future__ import annotations

import argparse
import json

from .backend.curve import curve_keypair, curve_public


def main() -> None:
    """Prints a new pair, or the public key of a secret key."""
    parser = argparse.ArgumentParser(
        # As pyzmq's tool is called; under our own name Python shows the module's.
        prog=f"python3 -m {'zmq' if __package__ == 'zmq' else 'oncue.zmq'}.curve_keygen",
        description="Makes a pair of CURVE keys in Z85.",
    )
    parser.add_argument("--json", action="store_true", help="print the keys as JSON")
    parser.add_argument("--secret", help="the secret key of which the public key is wanted")
    args = parser.parse_args()
    if args.secret:
        secret = args.secret.encode()
        public = curve_public(secret)
    else:
        public, secret = curve_keypair()
    if args.json:
        print(json.dumps({"public": public.decode(), "secret": secret.decode()}, indent=1))
        return
    print(f"== CURVE PUBLIC KEY ==\n{public.decode()}\n\n== CURVE SECRET KEY ==\n{secret.decode()}")


if __name__ == "__main__":
    main()
