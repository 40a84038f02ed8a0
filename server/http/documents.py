"""Parsed, measured and validated documents, kept by their text up to a number of bytes."""

import re
from collections import OrderedDict

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from schema.gate import Gate, Limits, TooComplex

RULES = (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)
BYTES_PER_CHARACTER = 160  # measured: 117 for the syntax tree with locations, the rest for the gate and the key
MAX_ERRORS = 20
_TOO_MUCH = re.compile("Document (?:contains more than|is nested too deeply)")


class Prepared:
    """A document that parsed and is within the static limits; `valid` once the spec's rules passed it."""

    __slots__ = ("document", "gate", "text", "valid")

    def __init__(self, text: str, document: DocumentNode, gate: Gate) -> None:
        self.text = text
        self.document = document
        self.gate = gate
        self.valid = False


class Documents:
    """The cache. Only valid documents enter it, so that broken ones cannot push out those in use."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, max_bytes: int) -> None:
        self._schema = schema
        self._limits = limits
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, Prepared] = OrderedDict()

    def find(self, text: str) -> Prepared | None:
        """Return a document that was found valid before, or None."""
        return self._kept.get(text)

    def load(self, text: str) -> Prepared:
        """Return the document, parsed and measured; raise GraphQLSyntaxError, TooComplex or BadInput."""
        found = self._kept.get(text)
        if found is not None:
            self._kept.move_to_end(text)
            return found
        document = self._parse(text)
        return Prepared(text, document, Gate(document, self._schema, self._limits))

    def validate(self, prepared: Prepared, *, hide_suggestions: bool) -> list[GraphQLError]:
        """Run the spec's rules the first time a document is seen, and keep it when it passes."""
        if prepared.valid:
            return []
        errors = validate(
            self._schema, prepared.document, RULES, max_errors=MAX_ERRORS, hide_suggestions=hide_suggestions
        )
        if not errors:
            prepared.valid = True
            self._keep(prepared)
        return errors

    def _parse(self, text: str) -> DocumentNode:
        try:
            return parse(text, max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as error:
            # The parser has no class of its own for these; a test holds the sentences.
            if _TOO_MUCH.search(error.message):
                message = f"The query is too complex: over {self._limits.tokens} tokens, or nested too deeply."
                raise TooComplex(message) from None
            raise

    def _keep(self, prepared: Prepared) -> None:
        size = _size(prepared)
        if size > self._max_bytes or prepared.text in self._kept:
            return
        self._kept[prepared.text] = prepared
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= _size(dropped)

    def __len__(self) -> int:
        return len(self._kept)


def _size(prepared: Prepared) -> int:
    return len(prepared.text) * BYTES_PER_CHARACTER + 2_000
