"""Personal data and secrets out of a text: addresses, provider keys and tokens, passwords.

    redact(text)             one document
    redact_batch(content)    an Arrow array of them, with what was replaced where

A value becomes <KIND_n>. KIND is one of StarPII's (Li et al. 2023, StarCoder, section 4: EMAIL, IP_ADDRESS, KEY,
PASSWORD; not NAME and USERNAME, which take a model); n counts the different values of that kind within the document,
where StarCoder writes <EMAIL> for all: so two uses of one address are still seen to be the same. IP addresses get a
placeholder too, where bigcode puts in one of five private ones, which read like real data. The form holds no quote,
backslash or newline, so a string or comment that held the value still ends where it did.

    rules       what a rule is, and all of them in the order of their claim
    providers   tokens that tell their issuer by a prefix, each with its source
    assignments values whose name says that they are secret
    addresses   e-mail and IP addresses
    judgement   placeholders, randomness: what a pattern cannot say
    engine      the pass over the text

It does not find names, phone numbers, or secrets with neither a known form nor a telling name. Nothing in here
logs, raises or returns a value that it found.
"""

from worker.data.redaction.engine import Redacted, redact, redact_batch

__all__ = ["Redacted", "redact", "redact_batch"]
