// A library in the driver's place, as far as we call it: NVIDIA's bindings load it, and kernels run emulated. What it
// shows is that we hand the bindings what the driver's interface asks for.
#include "emulation.cpp"

#include <chrono>
#include <cstdlib>
#include <dlfcn.h>

typedef unsigned long long Pointer;
static const int INVALID = 1, NOT_FOUND = 500;
static bool is_ready = false, has_context = false;

#define CALL extern "C" __attribute__((visibility("default"))) int

CALL fake_cuInit(unsigned) {
    if (!std::getenv("CUDA_VISIBLE_DEVICES")) return INVALID;
    is_ready = true;
    return 0;
}
CALL fake_cuDeviceGet(int *device, int number) {
    *device = 7;
    return is_ready && number == 0 ? 0 : INVALID;
}
CALL fake_cuDevicePrimaryCtxSetFlags(int device, unsigned flags) { return device == 7 && flags == 4 ? 0 : INVALID; }
CALL fake_cuDevicePrimaryCtxRetain(void **context, int device) {
    *context = (void *)0x1234;
    return device == 7 ? 0 : INVALID;
}
CALL fake_cuCtxSetCurrent(void *context) {
    has_context = context == (void *)0x1234;
    return has_context ? 0 : INVALID;
}
CALL fake_cuDeviceGetAttribute(int *value, int which, int) {
    *value = which == 75 ? 8 : which == 76 ? 0 : -1;
    return 0;
}
CALL fake_cuDeviceGetName(char *name, int length, int) {
    std::strncpy(name, "a library in the driver's place", length);
    return 0;
}
CALL fake_cuDeviceTotalMem(size_t *bytes, int) {
    *bytes = 4ull << 30;
    return 0;
}
CALL fake_cuModuleLoadData(void **module, const void *image) {
    *module = (void *)0x77;
    return has_context && !std::memcmp(image, "\x7f" "ELF", 4) ? 0 : INVALID;
}
CALL fake_cuModuleGetFunction(void **function, void *module, const char *name) {
    *function = strdup(name);
    return module == (void *)0x77 ? 0 : INVALID;
}
CALL fake_cuFuncSetAttribute(void *function, int which, int value) {
    return !std::strcmp((char *)function, "product") && which == 8 && value > 48 << 10 ? 0 : INVALID;
}
CALL fake_cuMemAlloc(Pointer *place, size_t size) {
    *place = (Pointer)std::malloc(size);
    return has_context ? 0 : INVALID;
}
CALL fake_cuMemFree(Pointer place) {
    std::free((void *)place);
    return 0;
}
CALL fake_cuMemcpyHtoD(Pointer to, const void *from, size_t size) {
    std::memcpy((void *)to, from, size);
    return 0;
}
CALL fake_cuMemcpyDtoH(void *to, Pointer from, size_t size) {
    std::memcpy(to, (void *)from, size);
    return 0;
}
CALL fake_cuMemcpyDtoDAsync(Pointer to, Pointer from, size_t size, void *) {
    std::memcpy((void *)to, (void *)from, size);
    return 0;
}
CALL fake_cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned ty, unsigned tz,
                         unsigned shared, void *stream, void **arguments, void **extra) {
    if (z != 1 || ty != 1 || tz != 1 || stream || extra) return INVALID;
    return launch((char *)function, x, y, threads, arguments, shared) ? NOT_FOUND : 0;
}
CALL fake_cuCtxSynchronize() { return 0; }
CALL fake_cuEventCreate(void **event, unsigned) {
    *event = new std::chrono::steady_clock::time_point;
    return 0;
}
CALL fake_cuEventRecord(void *event, void *) {
    *(std::chrono::steady_clock::time_point *)event = std::chrono::steady_clock::now();
    return 0;
}
CALL fake_cuEventSynchronize(void *) { return 0; }
CALL fake_cuEventElapsedTime(float *milliseconds, void *began, void *ended) {
    typedef std::chrono::steady_clock::time_point Time;
    *milliseconds = std::chrono::duration<float, std::milli>(*(Time *)ended - *(Time *)began).count();
    return 0;
}
CALL fake_cuEventDestroy(void *event) {
    delete (std::chrono::steady_clock::time_point *)event;
    return 0;
}

// How the bindings ask for each function: by its plain name.
CALL cuGetProcAddress_v2(const char *name, void **found, int, unsigned long long, int *status) {
    Dl_info here;
    dladdr((void *)&cuGetProcAddress_v2, &here);
    static void *self = dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    *found = dlsym(self, (std::string("fake_") + name).c_str());
    if (status) *status = *found ? 0 : 1;
    return *found ? 0 : NOT_FOUND;
}
