"""The private names of other libraries that this package needs, one module per library; tests/compat says what broke."""
