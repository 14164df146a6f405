// Wallets for the flows of @solana/kit: made here, given SOL and NOS by the chain's poster.
import {
  address,
  appendTransactionMessageInstructions,
  createKeyPairSignerFromBytes,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  createTransactionMessage,
  generateKeyPairSigner,
  pipe,
  sendAndConfirmTransactionFactory,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit';
import { getTransferSolInstruction } from '@solana-program/system';
import {
  findAssociatedTokenPda,
  getCreateAssociatedTokenIdempotentInstructionAsync,
  getTransferInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';

export const SOL = 1_000_000_000n;
export const NOS = 1_000_000n;

export async function town(chain) {
  const rpc = createSolanaRpc(chain.rpc);
  const confirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions: createSolanaRpcSubscriptions(chain.ws) });
  const mint = address(chain.programs.nosTokenAddress);
  const signer = (name) => createKeyPairSignerFromBytes(Uint8Array.from(chain.keys[name]));
  const poster = await signer('poster');

  async function ata(owner, token = mint) {
    const [found] = await findAssociatedTokenPda({ mint: token, owner, tokenProgram: TOKEN_PROGRAM_ADDRESS });
    return found;
  }

  async function send(payer, instructions) {
    const { value: blockhash } = await rpc.getLatestBlockhash().send();
    const message = pipe(
      createTransactionMessage({ version: 0 }),
      (empty) => setTransactionMessageFeePayerSigner(payer, empty),
      (unsigned) => setTransactionMessageLifetimeUsingBlockhash(blockhash, unsigned),
      (unsigned) => appendTransactionMessageInstructions(instructions, unsigned),
    );
    const signed = await signTransactionMessageWithSigners(message);
    await confirm(signed, { commitment: 'confirmed' });
  }

  // Give wallets SOL and NOS in one transaction; no token account is made for 0 NOS.
  async function endow(gifts) {
    const instructions = [];
    for (const { to, sol = 1n, nos = 0n } of gifts) {
      instructions.push(getTransferSolInstruction({ source: poster, destination: to, amount: sol * SOL }));
      if (nos === 0n) continue;
      const account = await ata(to);
      instructions.push(
        await getCreateAssociatedTokenIdempotentInstructionAsync({ payer: poster, mint, owner: to, ata: account }),
        getTransferInstruction({ source: await ata(poster.address), destination: account, authority: poster, amount: nos * NOS }),
      );
    }
    await send(poster, instructions);
  }

  return { rpc, mint, signer, poster, ata, send, endow, person: generateKeyPairSigner };
}
