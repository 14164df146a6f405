// Runs the CUDA kernels on ordinary threads: one for each of a block, blocks one after another. What only a GPU has is
// written out after NVIDIA's description of the PTX instructions: which lane holds which bytes of a fragment.
#include <barrier>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#define GPUNODE_EMULATED
#define __device__
#define __global__
#define __constant__ static const
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define SHARED_TILES unsigned char *tiles = shared_tiles.data();

struct Place {
    unsigned x, y;
};
static thread_local Place threadIdx, blockIdx;
static Place blockDim;
static std::vector<unsigned char> shared_tiles;

struct Warp {
    std::barrier<> together{32};
    const unsigned char *rows[32];
    unsigned a[32][4], b[32][2];
};
static std::unique_ptr<std::barrier<>> block_together;
static std::vector<std::unique_ptr<Warp>> warps;

static void __syncthreads() { block_together->arrive_and_wait(); }

static int __dp4a(int a, int b, int sum) {
    for (int i = 0; i < 4; i++) sum += (int)(int8_t)(a >> 8 * i) * (int)(int8_t)(b >> 8 * i);
    return sum;
}

static void copy_piece(void *to, const void *from) { std::memcpy(to, from, 16); }
static void end_of_copies() {}
static void wait_for_copies() {}

static void load_matrices(unsigned (&out)[4], const void *row) {
    const unsigned lane = threadIdx.x & 31;
    Warp &warp = *warps[threadIdx.x >> 5];
    warp.rows[lane] = (const unsigned char *)row;
    warp.together.arrive_and_wait();
    for (unsigned i = 0; i < 4; i++) std::memcpy(&out[i], warp.rows[i * 8 + lane / 4] + 4 * (lane % 4), 4);
    warp.together.arrive_and_wait();
}

// mma.m16n8k32 for signed bytes.
static void multiply_add(int (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    const unsigned lane = threadIdx.x & 31;
    Warp &warp = *warps[threadIdx.x >> 5];
    std::memcpy(warp.a[lane], a, 16);
    warp.b[lane][0] = b0, warp.b[lane][1] = b1;
    warp.together.arrive_and_wait();
    for (unsigned i = 0; i < 4; i++) {
        const unsigned row = lane / 4 + (i >= 2 ? 8 : 0), column = lane % 4 * 2 + (i & 1);
        for (unsigned k = 0; k < 32; k++) {
            const unsigned holder = k % 16 / 4, piece = k >= 16, shift = 8 * (k % 4);
            const int left = (int8_t)(warp.a[row % 8 * 4 + holder][piece * 2 + (row >= 8)] >> shift);
            const int right = (int8_t)(warp.b[column * 4 + holder][piece] >> shift);
            sum[i] += left * right;
        }
    }
    warp.together.arrive_and_wait();
}

#include "work.cu"

template <typename Kernel> static void run(Kernel kernel, unsigned across, unsigned down, unsigned threads, bool meet) {
    blockDim = {threads, 1};
    for (unsigned y = 0; y < down; y++)
        for (unsigned x = 0; x < across; x++) {
            if (!meet) {
                for (unsigned t = 0; t < threads; t++) {
                    blockIdx = {x, y}, threadIdx = {t, 0};
                    kernel();
                }
                continue;
            }
            block_together = std::make_unique<std::barrier<>>(threads);
            warps.clear();
            for (unsigned w = 0; w < threads / 32; w++) warps.push_back(std::make_unique<Warp>());
            std::vector<std::thread> all;
            for (unsigned t = 0; t < threads; t++)
                all.emplace_back([=] {
                    blockIdx = {x, y}, threadIdx = {t, 0};
                    kernel();
                });
            for (auto &each : all) each.join();
        }
}

#define ARGUMENT(type, index) (*(type *)arguments[index])

extern "C" int launch(const char *name, unsigned across, unsigned down, unsigned threads, void **arguments,
                      unsigned shared) {
    const std::string which = name;
    shared_tiles.assign(shared, 0xee);
    if (which == "keystream")
        run([=] { keystream(ARGUMENT(u32 *, 0), ARGUMENT(u32 *, 1), ARGUMENT(u32, 2)); }, across, down, threads, false);
    else if (which == "leaves")
        run([=] { leaves(ARGUMENT(u32 *, 0), ARGUMENT(u32 *, 1), ARGUMENT(u32, 2), ARGUMENT(u32, 3), ARGUMENT(u32, 4)); },
            across, down, threads, false);
    else if (which == "nodes")
        run([=] { nodes(ARGUMENT(u32 *, 0), ARGUMENT(u32 *, 1), ARGUMENT(u32, 2)); }, across, down, threads, false);
    else if (which == "next_key")
        run([=] { next_key(ARGUMENT(u32 *, 0), ARGUMENT(u32 *, 1), ARGUMENT(u32, 2)); }, across, down, threads, false);
    else if (which == "next_state")
        run([=] { next_state(ARGUMENT(u32 *, 0), ARGUMENT(u32 *, 1), ARGUMENT(u32 *, 2), ARGUMENT(u32, 3)); }, across,
            down, threads, false);
    else if (which == "product")
        run([=] { product(ARGUMENT(u8 *, 0), ARGUMENT(u8 *, 1), ARGUMENT(int *, 2), ARGUMENT(u32, 3), ARGUMENT(u32, 4),
                          ARGUMENT(u64, 5)); },
            across, down, threads, true);
    else if (which == "product_by_words")
        run([=] { product_by_words(ARGUMENT(int *, 0), ARGUMENT(int *, 1), ARGUMENT(int *, 2), ARGUMENT(u32, 3),
                                   ARGUMENT(u32, 4)); },
            across, down, threads, true);
    else
        return 1;
    return 0;
}
