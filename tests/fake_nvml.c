/* What of libnvidia-ml.so.1 the meter asks, as a test wants it: the real pynvml loads this and knows no difference.
 *
 * The state is a file of lines "name value" (FAKE_NVML), read anew at every call. Names with a GPU's number at their end
 * are of that GPU: energy_mj0, power_mw0, util0, mem0, temp0, clock0, reasons0. "gpus" is how many there are, "users"
 * how many processes compute (pids 1000, 1001, ...), "others" what each of them uses in per cent. "fail_NAME code" makes
 * the call that serves NAME fail with that nvmlReturn_t; a value that is missing is NVML_ERROR_NOT_SUPPORTED.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7 };

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gi, ci; } process_t;
typedef struct { unsigned int pid; unsigned long long at; unsigned int sm, mem, enc, dec; } use_t;

static int initialized = 0;

static int look(const char *name, unsigned long long *value) {
    char found[64];
    unsigned long long number;
    int there = 0;
    FILE *file = fopen(getenv("FAKE_NVML") ? getenv("FAKE_NVML") : "", "r");
    if (!file) return 0;
    while (!there && fscanf(file, "%63s %llu", found, &number) == 2)
        if (!strcmp(found, name)) { *value = number; there = 1; }
    fclose(file);
    return there;
}

static int of_gpu(const char *name, long gpu, unsigned long long *value) {
    char whole[64];
    unsigned long long code;
    snprintf(whole, sizeof whole, "fail_%s", name);
    if (look(whole, &code)) return (int)code;
    if (!initialized) return UNINITIALIZED;
    snprintf(whole, sizeof whole, "%s%ld", name, gpu - 1);
    return look(whole, value) ? OK : NOT_SUPPORTED;
}

int nvmlInitWithFlags(unsigned int flags) {
    unsigned long long code = 0;
    (void)flags;
    if (look("fail_init", &code)) return (int)code;
    initialized++;
    return OK;
}
int nvmlShutdown(void) {
    if (!initialized) return UNINITIALIZED;
    initialized--;
    return OK;
}
const char *nvmlErrorString(int code) {
    switch (code) {
        case NOT_SUPPORTED: return "Not Supported";
        case NOT_FOUND: return "Not Found";
        case 9: return "Driver Not Loaded";
        case 15: return "GPU is lost";
        default: return "Some error";
    }
}
int nvmlDeviceGetCount_v2(unsigned int *count) {
    unsigned long long n = 0;
    look("gpus", &n);
    *count = (unsigned int)n;
    return OK;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **gpu) {
    unsigned long long n = 0;
    look("gpus", &n);
    if (index >= n) return INVALID;
    *gpu = (void *)(long)(index + 1);
    return OK;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **gpu) {
    unsigned long long n = 0;
    long index;
    look("gpus", &n);
    if (sscanf(uuid, "GPU-%ld", &index) != 1 || index < 0 || index >= (long)n) return NOT_FOUND;
    *gpu = (void *)(index + 1);
    return OK;
}
int nvmlDeviceGetUUID(void *gpu, char *uuid, unsigned int length) {
    snprintf(uuid, length, "GPU-%ld", (long)gpu - 1);
    return OK;
}
int nvmlDeviceGetTotalEnergyConsumption(void *gpu, unsigned long long *mj) { return of_gpu("energy_mj", (long)gpu, mj); }
int nvmlDeviceGetPowerUsage(void *gpu, unsigned int *mw) {
    unsigned long long value;
    int code = of_gpu("power_mw", (long)gpu, &value);
    if (code == OK) *mw = (unsigned int)value;
    return code;
}
int nvmlDeviceGetTemperature(void *gpu, unsigned int sensor, unsigned int *celsius) {
    unsigned long long value;
    int code = sensor == 0 ? of_gpu("temp", (long)gpu, &value) : INVALID;
    if (code == OK) *celsius = (unsigned int)value;
    return code;
}
int nvmlDeviceGetClockInfo(void *gpu, unsigned int kind, unsigned int *mhz) {
    unsigned long long value;
    int code = kind == 1 ? of_gpu("clock", (long)gpu, &value) : INVALID; /* NVML_CLOCK_SM */
    if (code == OK) *mhz = (unsigned int)value;
    return code;
}
int nvmlDeviceGetUtilizationRates(void *gpu, utilization_t *rates) {
    unsigned long long value;
    int code = of_gpu("util", (long)gpu, &value);
    if (code == OK) rates->gpu = (unsigned int)value, rates->memory = 0;
    return code;
}
int nvmlDeviceGetMemoryInfo(void *gpu, memory_t *memory) {
    unsigned long long value;
    int code = of_gpu("mem", (long)gpu, &value);
    if (code == OK) memory->used = value, memory->total = 2 * value, memory->free = value;
    return code;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *gpu, unsigned long long *bits) {
    return of_gpu("reasons", (long)gpu, bits);
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, unsigned int *count, process_t *found) {
    unsigned long long n = 0, code;
    (void)gpu;
    if (look("fail_users", &code)) return (int)code;
    look("users", &n);
    if (*count < n) { *count = (unsigned int)n; return TOO_SMALL; }
    *count = (unsigned int)n;
    for (unsigned int i = 0; i < n; i++) memset(&found[i], 0, sizeof *found), found[i].pid = 1000 + i;
    return OK;
}
int nvmlDeviceGetProcessUtilization(void *gpu, use_t *found, unsigned int *count, unsigned long long since) {
    unsigned long long n = 0, percent = 0, code;
    (void)gpu, (void)since;
    if (look("fail_others", &code)) return (int)code;
    look("users", &n);
    look("others", &percent);
    if (!n) return NOT_FOUND;
    if (!found || *count < n) { *count = (unsigned int)n; return TOO_SMALL; }
    *count = (unsigned int)n;
    for (unsigned int i = 0; i < n; i++) {
        memset(&found[i], 0, sizeof *found);
        found[i].pid = 1000 + i, found[i].at = since + 1, found[i].sm = (unsigned int)percent;
    }
    return OK;
}
