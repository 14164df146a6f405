// What the precision ladder needs beside the products of tile.cuh: fp32 without tensor cores, and what stands between the
// layers of a quantised model.
#include "tile.cuh"

// C (rows x columns) = A * B in fp32, A row after row, B column after column; 128 x 128 of C a block of 256 threads, 8 x 8
// a thread. Grid: columns / 128 by rows / 128; depth (in numbers) must be a multiple of 8.
extern "C" __global__ void __launch_bounds__(256)
    product_fp32(const float *a, const float *b, float *c, u32 columns, u32 depth) {
    __shared__ float tile_a[8][132], tile_b[8][132];
    const u32 thread = threadIdx.x, across = thread & 15, down = thread >> 4;
    const u32 line = thread >> 1, part = (thread & 1) * 4;
    const float *from_a = a + ((u64)blockIdx.y * 128 + line) * depth + part;
    const float *from_b = b + ((u64)blockIdx.x * 128 + line) * depth + part;
    float sum[8][8] = {};
    for (u32 at = 0; at < depth; at += 8) {
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            tile_a[part + i][line] = from_a[at + i];
            tile_b[part + i][line] = from_b[at + i];
        }
        __syncthreads();
#pragma unroll
        for (u32 k = 0; k < 8; k++) {
            float left[8], right[8];
#pragma unroll
            for (u32 i = 0; i < 8; i++) {
                left[i] = tile_a[k][down + 16 * i];
                right[i] = tile_b[k][across + 16 * i];
            }
#pragma unroll
            for (u32 i = 0; i < 8; i++)
#pragma unroll
                for (u32 j = 0; j < 8; j++) sum[i][j] += left[i] * right[j];
        }
        __syncthreads();
    }
#pragma unroll
    for (u32 i = 0; i < 8; i++)
#pragma unroll
        for (u32 j = 0; j < 8; j++)
            c[((u64)blockIdx.y * 128 + down + 16 * i) * columns + blockIdx.x * 128 + across + 16 * j] = sum[i][j];
}

// One block of 256 threads a row: what one step of it is worth, and the row in such steps.
extern "C" __global__ void quantise(const float *rows, signed char *out, float *steps, u32 columns) {
    __shared__ float largest[256];
    const float *row = rows + (u64)blockIdx.x * columns;
    float mine = 0;
    for (u32 i = threadIdx.x; i < columns; i += 256) mine = fmaxf(mine, fabsf(row[i]));
    largest[threadIdx.x] = mine;
    __syncthreads();
    for (u32 half = 128; half > 0; half >>= 1) {
        if (threadIdx.x < half) largest[threadIdx.x] = fmaxf(largest[threadIdx.x], largest[threadIdx.x + half]);
        __syncthreads();
    }
    const float step = fmaxf(largest[0] / 127.0f, 1e-30f);
    if (threadIdx.x == 0) steps[blockIdx.x] = step;
    for (u32 i = threadIdx.x; i < columns; i += 256) out[(u64)blockIdx.x * columns + i] = (signed char)rintf(row[i] / step);
}

// One thread an entry: sums of whole numbers back to what they are worth.
extern "C" __global__ void worth(const int *sums, const float *steps, const float *scales, float *out, u32 columns,
                                 u32 count, u32 rectified) {
    const u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const float value = (float)sums[index] * steps[index / columns] * scales[index % columns];
    out[index] = rectified ? fmaxf(value, 0.0f) : value;
}

extern "C" __global__ void rectify(float *values, u32 count) {
    const u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index < count) values[index] = fmaxf(values[index], 0.0f);
}
