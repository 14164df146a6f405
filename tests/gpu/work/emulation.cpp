// Runs the CUDA kernels on this machine: each thread of a block has a stack of its own, and they take turns; one that
// waits for the others lets them run. Blocks come one after another. What only a GPU has is written out after NVIDIA's
// description of the PTX instructions: which lane holds which bytes of a fragment.
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <ucontext.h>
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
static Place threadIdx, blockIdx, blockDim;
static std::vector<unsigned char> shared_tiles;

struct Fiber {
    ucontext_t context;
    jmp_buf place;
    std::vector<char> stack;
    bool begun = false, done = false;
};
static jmp_buf scheduler;
static std::vector<std::unique_ptr<Fiber>> fibers;

static void let_others_run() {
    // Contexts only begin a fiber: to change them asks the kernel each time, a jump does not.
    if (!_setjmp(fibers[threadIdx.x]->place)) _longjmp(scheduler, 1);
}

struct Meeting {
    unsigned size, here = 0, times = 0;
    void arrive_and_wait() {
        const unsigned before = times;
        if (++here == size) {
            here = 0, times++;
            return;
        }
        while (times == before) let_others_run();
    }
};

struct Warp {
    Meeting together{32};
    const unsigned char *rows[32];
    unsigned a[32][4], b[32][2];
};
static std::unique_ptr<Meeting> block_together;
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

#ifndef GPUNODE_KIND
#define GPUNODE_KIND 0
#endif
#if GPUNODE_KIND == 0
typedef int Sum;
#define ELEMENT 1
static int worth_of(unsigned bits) { return (int8_t)bits; }
#elif GPUNODE_KIND == 1
typedef float Sum;
#define ELEMENT 1
static float worth_of(unsigned bits) {
    const int exponent = bits >> 3 & 15, fraction = bits & 7;
    const float size = exponent ? std::ldexp(8.0f + fraction, exponent - 10) : std::ldexp((float)fraction, -9);
    return bits & 128 ? -size : size;
}
#elif GPUNODE_KIND == 2
typedef float Sum;
#define ELEMENT 2
static float worth_of(unsigned bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float size = exponent ? std::ldexp(1024.0f + fraction, exponent - 25) : std::ldexp((float)fraction, -24);
    return bits & 32768 ? -size : size;
}
#elif GPUNODE_KIND == 3
typedef float Sum;
#define ELEMENT 2
static float worth_of(unsigned bits) {
    const unsigned whole = bits << 16;
    float value;
    std::memcpy(&value, &whole, 4);
    return value;
}
#else
typedef float Sum;
#define ELEMENT 4
static float worth_of(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
#endif
static const unsigned ELEMENT_MASK = ELEMENT == 4 ? ~0u : (unsigned)((1ull << 8 * ELEMENT) - 1);

// mma.m16n8k32 for bytes, k16 for numbers of two bytes, k8 for those of four: the same bytes for the same lanes.
static void multiply_add(Sum (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    const unsigned lane = threadIdx.x & 31;
    Warp &warp = *warps[threadIdx.x >> 5];
    std::memcpy(warp.a[lane], a, 16);
    warp.b[lane][0] = b0, warp.b[lane][1] = b1;
    warp.together.arrive_and_wait();
    for (unsigned i = 0; i < 4; i++) {
        const unsigned row = lane / 4 + (i >= 2 ? 8 : 0), column = lane % 4 * 2 + (i & 1);
        for (unsigned k = 0; k < 32; k += ELEMENT) {
            const unsigned holder = k % 16 / 4, piece = k >= 16, shift = 8 * (k % 4);
            const unsigned left = warp.a[row % 8 * 4 + holder][piece * 2 + (row >= 8)] >> shift;
            const unsigned right = warp.b[column * 4 + holder][piece] >> shift;
            sum[i] += worth_of(left & ELEMENT_MASK) * worth_of(right & ELEMENT_MASK);
        }
    }
    warp.together.arrive_and_wait();
}

#if GPUNODE_KIND == 0
#include "work.cu"
#endif
#include "ladder.cu"

static void (*entry)();

static void fiber_main() {
    const unsigned mine = threadIdx.x;
    entry();
    fibers[mine]->done = true;
    _longjmp(scheduler, 1);
}

// Runs all threads of a block until each has ended.
static void take_turns(unsigned threads) {
    fibers.clear();
    for (unsigned t = 0; t < threads; t++) {
        auto fiber = std::make_unique<Fiber>();
        fiber->stack.resize(32 << 10);
        getcontext(&fiber->context);
        fiber->context.uc_stack.ss_sp = fiber->stack.data();
        fiber->context.uc_stack.ss_size = fiber->stack.size();
        fiber->context.uc_link = nullptr;
        makecontext(&fiber->context, fiber_main, 0);
        fibers.push_back(std::move(fiber));
    }
    static unsigned left, t;
    for (left = threads, t = 0; left; t = (t + 1) % threads) {
        Fiber &fiber = *fibers[t];
        if (fiber.done) continue;
        threadIdx = {t, 0};
        if (!_setjmp(scheduler)) {
            if (fiber.begun) _longjmp(fiber.place, 1);
            fiber.begun = true;
            setcontext(&fiber.context);
        }
        left -= fibers[t]->done;
    }
}

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
            block_together = std::make_unique<Meeting>(Meeting{threads});
            warps.clear();
            for (unsigned w = 0; w < threads / 32; w++) warps.push_back(std::make_unique<Warp>());
            blockIdx = {x, y};
            static Kernel *now;
            now = &kernel;
            entry = [] { (*now)(); };
            take_turns(threads);
        }
}

#define ARGUMENT(type, index) (*(type *)arguments[index])

extern "C" int launch(const char *name, unsigned across, unsigned down, unsigned threads, void **arguments,
                      unsigned shared) {
    const std::string which = name;
    shared_tiles.assign(shared, 0xee);
    if (which == "product") {
        run([=] { product(ARGUMENT(u8 *, 0), ARGUMENT(u8 *, 1), ARGUMENT(Sum *, 2), ARGUMENT(u32, 3), ARGUMENT(u32, 4),
                          ARGUMENT(u64, 5)); },
            across, down, threads, true);
        return 0;
    }
    if (which == "product_fp32") {
        run([=] { product_fp32(ARGUMENT(float *, 0), ARGUMENT(float *, 1), ARGUMENT(float *, 2), ARGUMENT(u32, 3),
                               ARGUMENT(u32, 4)); },
            across, down, threads, true);
        return 0;
    }
    if (which == "quantise") {
        run([=] { quantise(ARGUMENT(float *, 0), ARGUMENT(signed char *, 1), ARGUMENT(float *, 2), ARGUMENT(u32, 3)); },
            across, down, threads, true);
        return 0;
    }
    if (which == "worth") {
        run([=] { worth(ARGUMENT(int *, 0), ARGUMENT(float *, 1), ARGUMENT(float *, 2), ARGUMENT(float *, 3),
                        ARGUMENT(u32, 4), ARGUMENT(u32, 5), ARGUMENT(u32, 6)); },
            across, down, threads, false);
        return 0;
    }
    if (which == "rectify") {
        run([=] { rectify(ARGUMENT(float *, 0), ARGUMENT(u32, 1)); }, across, down, threads, false);
        return 0;
    }
#if GPUNODE_KIND == 0
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
    else if (which == "product_by_words")
        run([=] { product_by_words(ARGUMENT(int *, 0), ARGUMENT(int *, 1), ARGUMENT(int *, 2), ARGUMENT(u32, 3),
                                   ARGUMENT(u32, 4)); },
            across, down, threads, true);
    else
        return 1;
    return 0;
#else
    return 1;
#endif
}
