/*
 * rpc_server.c - llama.cpp's RPC server on one port of 127.0.0.1, for test_llama_rpc.py:
 *
 *     rpc-server-for-tests MODULES CPU-MODULE PORT
 */
#include <ggml-backend.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

typedef void start_server_fn(const char *endpoint, const char *cache, size_t threads, size_t n,
                             ggml_backend_dev_t *devices);

static ggml_backend_reg_t load(const char *directory, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return ggml_backend_load(path);
}

int main(int argc, char **argv)
{
    char endpoint[32];
    if (argc != 4)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    ggml_backend_reg_t cpu = load(argv[1], argv[2]), rpc = load(argv[1], "libggml-rpc.so");
    if (!cpu || !rpc)
        return 1;
    ggml_backend_dev_t device = ggml_backend_reg_dev_get(cpu, 0);
    start_server_fn *start =
        (start_server_fn *)ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_start_server");
    if (!start)
        return 1;
    snprintf(endpoint, sizeof endpoint, "127.0.0.1:%s", argv[3]);
    start(endpoint, NULL, 1, 1, &device);
    return 0;
}
