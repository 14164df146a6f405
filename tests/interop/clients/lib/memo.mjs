// A note on the chain, so that two transactions with the same effect are not the same transaction.
import { address } from '@solana/kit';

export const getAddMemoInstruction = (text) => ({
  programAddress: address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr'),
  accounts: [],
  data: new TextEncoder().encode(text),
});
