"""A verifier written from node/proof/README.md alone. Nothing of it imports the product, nor the library of Solana that
the product uses; `test_independence.py` holds it to that. The tests beside it compare the two."""
