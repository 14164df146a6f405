// The rounds of a work proof on a GPU. A round is: A from its key, C = A * B, the leaves of C's tree, the tree layer by
// layer, and then the next state and key, so that the host need not look at a round before the next begins.
// What is hashed and how is said in node/gpu/work/hashes.py and stream.py; digests lie in memory as their bytes.
#include "tile.cuh"

__device__ __forceinline__ u32 swapped(u32 word) {
    return (word >> 24) | ((word >> 8) & 0xff00u) | ((word << 8) & 0xff0000u) | (word << 24);
}

__device__ __forceinline__ u32 turned_left(u32 word, u32 by) { return (word << by) | (word >> (32 - by)); }

__device__ __forceinline__ u32 turned_right(u32 word, u32 by) { return (word >> by) | (word << (32 - by)); }

// --- the matrices: ChaCha20, RFC 8439, nonce of zeros, blocks from 0 on ------------------------------------------------

#define QUARTER(a, b, c, d)                                                                                            \
    a += b, d = turned_left(d ^ a, 16), c += d, b = turned_left(b ^ c, 12);                                            \
    a += b, d = turned_left(d ^ a, 8), c += d, b = turned_left(b ^ c, 7)

// One thread a block of 64 bytes.
extern "C" __global__ void keystream(u32 *out, const u32 *key, u32 blocks) {
    const u32 block = blockIdx.x * blockDim.x + threadIdx.x;
    if (block >= blocks) return;
    u32 first[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
#pragma unroll
    for (int i = 0; i < 8; i++) first[4 + i] = key[i];
    first[12] = block;
    first[13] = first[14] = first[15] = 0;
    u32 x[16];
#pragma unroll
    for (int i = 0; i < 16; i++) x[i] = first[i];
    for (int i = 0; i < 10; i++) {
        QUARTER(x[0], x[4], x[8], x[12]);
        QUARTER(x[1], x[5], x[9], x[13]);
        QUARTER(x[2], x[6], x[10], x[14]);
        QUARTER(x[3], x[7], x[11], x[15]);
        QUARTER(x[0], x[5], x[10], x[15]);
        QUARTER(x[1], x[6], x[11], x[12]);
        QUARTER(x[2], x[7], x[8], x[13]);
        QUARTER(x[3], x[4], x[9], x[14]);
    }
    u32 *place = out + (u64)block * 16;
#pragma unroll
    for (int i = 0; i < 16; i++) place[i] = x[i] + first[i];
}

// --- SHA-256 ------------------------------------------------------------------------------------------------------------

__constant__ u32 ROUND_CONSTANTS[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

__device__ __forceinline__ void begin_hash(u32 (&h)[8]) {
    h[0] = 0x6a09e667, h[1] = 0xbb67ae85, h[2] = 0x3c6ef372, h[3] = 0xa54ff53a;
    h[4] = 0x510e527f, h[5] = 0x9b05688c, h[6] = 0x1f83d9ab, h[7] = 0x5be0cd19;
}

// Takes one block of 16 words (as numbers), and overwrites it.
__device__ __forceinline__ void hash_block(u32 (&h)[8], u32 (&w)[16]) {
    u32 a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], last = h[7];
#pragma unroll
    for (int i = 0; i < 64; i++) {
        if (i >= 16) {
            const u32 early = w[(i + 1) & 15], late = w[(i + 14) & 15];
            w[i & 15] += w[(i + 9) & 15] + (turned_right(early, 7) ^ turned_right(early, 18) ^ (early >> 3)) +
                         (turned_right(late, 17) ^ turned_right(late, 19) ^ (late >> 10));
        }
        const u32 one = last + (turned_right(e, 6) ^ turned_right(e, 11) ^ turned_right(e, 25)) + ((e & f) ^ (~e & g)) +
                        ROUND_CONSTANTS[i] + w[i & 15];
        const u32 two = (turned_right(a, 2) ^ turned_right(a, 13) ^ turned_right(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        last = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += last;
}

__device__ __forceinline__ void write_hash(u32 *place, const u32 (&h)[8]) {
#pragma unroll
    for (int i = 0; i < 8; i++) place[i] = swapped(h[i]);
}

#define LEAF_KIND 0x67774c31u  /* gwL1 */
#define NODE_KIND 0x67774e31u  /* gwN1 */
#define STATE_KIND 0x67774331u /* gwC1 */
#define KEY_KIND 0x67774131u   /* gwA1 */
#define STRETCH 256

// One thread a stretch: 16 bytes of head and 1024 of entries, 17 blocks.
extern "C" __global__ void leaves(const u32 *c, u32 *out, u32 round, u32 size, u32 count) {
    const u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const u32 across = size / STRETCH;
    const u32 *entries = c + (u64)index * STRETCH;
    u32 h[8], w[16];
    begin_hash(h);
    w[0] = LEAF_KIND, w[1] = round, w[2] = index / across, w[3] = index % across;
#pragma unroll
    for (int i = 0; i < 12; i++) w[4 + i] = swapped(entries[i]);
    hash_block(h, w);
    for (int block = 0; block < 15; block++) {
#pragma unroll
        for (int i = 0; i < 16; i++) w[i] = swapped(entries[12 + block * 16 + i]);
        hash_block(h, w);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) w[i] = swapped(entries[252 + i]);
    w[4] = 0x80000000u;
#pragma unroll
    for (int i = 5; i < 15; i++) w[i] = 0;
    w[15] = 8 * (16 + 4 * STRETCH);
    hash_block(h, w);
    write_hash(out + (u64)index * 8, h);
}

// One thread a node: the digests of two children, 68 bytes with the kind.
extern "C" __global__ void nodes(const u32 *children, u32 *out, u32 count) {
    const u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const u32 *pair = children + (u64)index * 16;
    u32 h[8], w[16];
    begin_hash(h);
    w[0] = NODE_KIND;
#pragma unroll
    for (int i = 0; i < 15; i++) w[1 + i] = swapped(pair[i]);
    hash_block(h, w);
    w[0] = swapped(pair[15]), w[1] = 0x80000000u;
#pragma unroll
    for (int i = 2; i < 15; i++) w[i] = 0;
    w[15] = 8 * 68;
    hash_block(h, w);
    write_hash(out + (u64)index * 8, h);
}

// One thread in all: the key of the round that comes, from the state before it.
extern "C" __global__ void next_key(const u32 *state, u32 *key, u32 round) {
    u32 h[8], w[16];
    begin_hash(h);
    w[0] = KEY_KIND;
    for (int i = 0; i < 8; i++) w[1 + i] = swapped(state[i]);
    w[9] = round, w[10] = 0x80000000u;
    for (int i = 11; i < 15; i++) w[i] = 0;
    w[15] = 8 * 40;
    hash_block(h, w);
    write_hash(key, h);
}

// One thread in all: the state after a round with this root; the root is kept.
extern "C" __global__ void next_state(u32 *state, const u32 *root, u32 *kept_root, u32 round) {
    u32 h[8], w[16];
    begin_hash(h);
    w[0] = STATE_KIND;
    for (int i = 0; i < 8; i++) w[1 + i] = swapped(state[i]);
    w[9] = round;
    for (int i = 0; i < 6; i++) w[10 + i] = swapped(root[i]);
    hash_block(h, w);
    w[0] = swapped(root[6]), w[1] = swapped(root[7]), w[2] = 0x80000000u;
    for (int i = 3; i < 15; i++) w[i] = 0;
    w[15] = 8 * 72;
    hash_block(h, w);
    write_hash(state, h);
    for (int i = 0; i < 8; i++) kept_root[i] = root[i];
}

#if !defined(GPUNODE_EMULATED) && __CUDA_ARCH__ >= 610
#define HAS_WORDS
#elif defined(GPUNODE_EMULATED)
#define HAS_WORDS
#endif
#ifdef HAS_WORDS
// The same product without tensor cores, by the instruction that multiplies four bytes at once: 64 x 64 of C a block of
// 256 threads, 4 x 4 a thread. Grid: columns / 64 by rows / 64.
extern "C" __global__ void __launch_bounds__(256)
    product_by_words(const int *a, const int *b, int *c, u32 columns, u32 depth_words) {
    __shared__ int tile_a[64][17], tile_b[64][17];
    const u32 thread = threadIdx.x, across = thread & 15, down = thread >> 4;
    const u64 first_row = (u64)blockIdx.y * 64, first_column = (u64)blockIdx.x * 64;
    int sum[4][4] = {};
    for (u32 at = 0; at < depth_words; at += 16) {
        for (u32 index = thread; index < 64 * 16; index += 256) {
            tile_a[index >> 4][index & 15] = a[(first_row + (index >> 4)) * depth_words + at + (index & 15)];
            tile_b[index >> 4][index & 15] = b[(first_column + (index >> 4)) * depth_words + at + (index & 15)];
        }
        __syncthreads();
        for (u32 k = 0; k < 16; k++)
            for (u32 i = 0; i < 4; i++)
                for (u32 j = 0; j < 4; j++)
                    sum[i][j] = __dp4a(tile_a[down + 16 * i][k], tile_b[across + 16 * j][k], sum[i][j]);
        __syncthreads();
    }
    for (u32 i = 0; i < 4; i++)
        for (u32 j = 0; j < 4; j++) c[(first_row + down + 16 * i) * columns + first_column + across + 16 * j] = sum[i][j];
}
#endif
