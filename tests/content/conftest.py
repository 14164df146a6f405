from tests.content.fixtures import kubo, kubo_binary

__all__ = ["kubo", "kubo_binary"]
