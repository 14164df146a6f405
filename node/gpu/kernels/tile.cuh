// A product of two matrices on tensor cores: C (rows x columns) = A (rows x depth) * B (depth x columns), with A stored
// row after row and B column after column, so that both are read along `depth`. Depth is counted in bytes here: a
// fragment is 16 rows (A) or 8 columns (B) of 32 bytes for every kind of number, and so the same code moves them all.
//
// A block makes 128 x 256 of C with eight warps of 64 x 64 each. Tiles of 64 bytes of depth go through `STAGES` slots of
// shared memory. A row of a tile has four pieces of 16 bytes; piece p of row r lies at p ^ ((r >> 1) & 3), so that the
// eight rows that one ldmatrix reads lie in eight different banks' groups.
//
// GPUNODE_KIND: 0 int8, 1 fp8 (e4m3), 2 fp16, 3 bf16, 4 tf32. Rows must be a multiple of 128, columns of 256, depth of 64.
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef GPUNODE_KIND
#define GPUNODE_KIND 0
#endif
#if GPUNODE_KIND == 0
typedef int number;
#else
typedef float number;
#endif

#define BLOCK_ROWS 128
#define BLOCK_COLUMNS 256
#define DEPTH 64
#define THREADS 256
#define SLOT_BYTES ((BLOCK_ROWS + BLOCK_COLUMNS) * DEPTH)
#ifndef STAGES
#define STAGES 3
#endif

#ifndef GPUNODE_EMULATED
#define SHARED_TILES extern __shared__ __align__(128) u8 tiles[];

__device__ __forceinline__ u32 shared_address(const void *place) { return (u32)__cvta_generic_to_shared(place); }

// Copies 16 bytes into shared memory; they are there after wait_for_copies.
__device__ __forceinline__ void copy_piece(void *to, const void *from) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
#else
    *(uint4 *)to = *(const uint4 *)from;
#endif
}

__device__ __forceinline__ void end_of_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until all but the newest STAGES - 2 groups of copies are there.
__device__ __forceinline__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(STAGES - 2) : "memory");
#endif
}

// Four 8 x 16 byte matrices; lane l gives the address of row l % 8 of matrix l / 8 and gets four bytes of each.
__device__ __forceinline__ void load_matrices(u32 (&out)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// sum (16 x 8) += a (16 x 32 bytes) * b (32 bytes x 8)
__device__ __forceinline__ void multiply_add(number (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#define FLOAT_MMA(shape, kind)                                                                                         \
    asm volatile("mma.sync.aligned." shape ".row.col.f32." kind "." kind ".f32 "                                       \
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                     \
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])                                              \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
#if GPUNODE_KIND == 0 && __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#elif GPUNODE_KIND == 0 && __CUDA_ARCH__ >= 750
    // Turing's instruction takes 8 rows and 16 bytes: four of them are one of the above, with the same registers.
#define SMALL_MMA(first, second, piece, b)                                                                             \
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"                      \
                 : "+r"(sum[first]), "+r"(sum[second])                                                                 \
                 : "r"(a[piece]), "r"(b))
    SMALL_MMA(0, 1, 0, b0);
    SMALL_MMA(0, 1, 2, b1);
    SMALL_MMA(2, 3, 1, b0);
    SMALL_MMA(2, 3, 3, b1);
#elif GPUNODE_KIND == 1
    FLOAT_MMA("m16n8k32", "e4m3");
#elif GPUNODE_KIND == 2 && __CUDA_ARCH__ < 800
#define SMALL_MMA(first, second, b)                                                                                    \
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};" \
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])                                              \
                 : "r"(a[first]), "r"(a[second]), "r"(b))
    SMALL_MMA(0, 1, b0);
    SMALL_MMA(2, 3, b1);
#elif GPUNODE_KIND == 2
    FLOAT_MMA("m16n8k16", "f16");
#elif GPUNODE_KIND == 3
    FLOAT_MMA("m16n8k16", "bf16");
#elif GPUNODE_KIND == 4
    FLOAT_MMA("m16n8k8", "tf32");
#endif
}
#endif

#if defined(GPUNODE_EMULATED) || __CUDA_ARCH__ >= 750
__device__ __forceinline__ u32 place_in_tile(u32 row, u32 piece) {
    return row * DEPTH + ((piece ^ ((row >> 1) & 3)) << 4);
}

// Brings one tile of A (128 rows) and of B (256 columns) into a slot.
__device__ __forceinline__ void bring(u8 *slot, const u8 *a, const u8 *b, u64 depth, u32 thread) {
#pragma unroll
    for (u32 index = thread; index < BLOCK_ROWS * 4; index += THREADS)
        copy_piece(slot + place_in_tile(index >> 2, index & 3), a + (u64)(index >> 2) * depth + ((index & 3) << 4));
    u8 *second = slot + BLOCK_ROWS * DEPTH;
#pragma unroll
    for (u32 index = thread; index < BLOCK_COLUMNS * 4; index += THREADS)
        copy_piece(second + place_in_tile(index >> 2, index & 3), b + (u64)(index >> 2) * depth + ((index & 3) << 4));
}

// Which block of C this is: blocks that run at the same time stand close together, eight rows of blocks deep, so that
// they share what they read.
__device__ __forceinline__ void block_place(u32 across, u32 down, u32 &block_row, u32 &block_column) {
    const u32 strip = 8 * across, number_of = blockIdx.x / strip, within = blockIdx.x % strip;
    const u32 first = number_of * 8, height = down - first < 8 ? down - first : 8;
    block_row = first + within % height;
    block_column = within / height;
}

// Grid: (rows / 128) * (columns / 256) blocks of 256 threads, with STAGES * SLOT_BYTES of dynamic shared memory.
extern "C" __global__ void __launch_bounds__(THREADS)
    product(const u8 *a, const u8 *b, number *c, u32 rows, u32 columns, u64 depth) {
    SHARED_TILES
    u32 block_row, block_column;
    block_place(columns / BLOCK_COLUMNS, rows / BLOCK_ROWS, block_row, block_column);
    const u32 thread = threadIdx.x, lane = thread & 31, warp = thread >> 5;
    const u32 warp_row = (warp & 1) * 64, warp_column = (warp >> 1) * 64;
    const u8 *from_a = a + (u64)block_row * BLOCK_ROWS * depth;
    const u8 *from_b = b + (u64)block_column * BLOCK_COLUMNS * depth;
    const u32 steps = (u32)(depth / DEPTH);

    number sum[4][8][4];
#pragma unroll
    for (u32 i = 0; i < 4; i++)
#pragma unroll
        for (u32 j = 0; j < 8; j++)
#pragma unroll
            for (u32 k = 0; k < 4; k++) sum[i][j][k] = 0;

    for (u32 step = 0; step < STAGES - 1; step++) {
        if (step < steps) bring(tiles + step * SLOT_BYTES, from_a + step * DEPTH, from_b + step * DEPTH, depth, thread);
        end_of_copies();
    }
    for (u32 step = 0; step < steps; step++) {
        wait_for_copies();
        // After this everyone sees the tile of this step, and nobody reads that of the step before any more.
        __syncthreads();
        const u32 ahead = step + STAGES - 1;
        if (ahead < steps)
            bring(tiles + (ahead % STAGES) * SLOT_BYTES, from_a + (u64)ahead * DEPTH, from_b + (u64)ahead * DEPTH, depth,
                  thread);
        end_of_copies();

        const u8 *tile_a = tiles + (step % STAGES) * SLOT_BYTES, *tile_b = tile_a + BLOCK_ROWS * DEPTH;
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            u32 of_a[4][4], of_b[4][4];
            // Matrices 0 to 3 of a fragment of A: rows 0-7 and 8-15 of the first 16 bytes, then of the second.
#pragma unroll
            for (u32 i = 0; i < 4; i++)
                load_matrices(of_a[i], tile_a + place_in_tile(warp_row + i * 16 + (lane & 15), half * 2 + (lane >> 4)));
            // Of B: columns 0-7, first and second 16 bytes, then columns 8-15: two fragments at once.
#pragma unroll
            for (u32 j = 0; j < 4; j++)
                load_matrices(of_b[j], tile_b + place_in_tile(warp_column + j * 16 + (lane & 7) + ((lane >> 4) << 3),
                                                              half * 2 + ((lane >> 3) & 1)));
#pragma unroll
            for (u32 i = 0; i < 4; i++)
#pragma unroll
                for (u32 j = 0; j < 8; j++)
                    multiply_add(sum[i][j], of_a[i], of_b[j >> 1][(j & 1) * 2], of_b[j >> 1][(j & 1) * 2 + 1]);
        }
    }

    const u64 first_row = (u64)block_row * BLOCK_ROWS + warp_row + (lane >> 2);
    const u32 first_column = block_column * BLOCK_COLUMNS + warp_column + (lane & 3) * 2;
#pragma unroll
    for (u32 i = 0; i < 4; i++)
#pragma unroll
        for (u32 j = 0; j < 8; j++) {
            number *place = c + (first_row + i * 16) * columns + first_column + j * 8;
            place[0] = sum[i][j][0];
            place[1] = sum[i][j][1];
            place[8 * (u64)columns] = sum[i][j][2];
            place[8 * (u64)columns + 1] = sum[i][j][3];
        }
}
#endif
