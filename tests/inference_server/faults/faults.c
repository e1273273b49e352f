/* Errors of the system, injected where the program calls it (LD_PRELOAD).

FAULTS names a file; while it exists each of its lines is "CALL ERRNO TEXT": the call fails with that errno if the path
contains the text. Calls: rename, unlink, rmdir. SYNCED names a file to which the path of every fsync is appended. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int faulty(const char *call, const char *path) {
    const char *name = getenv("FAULTS");
    char line[512], wanted[32], text[400];
    int number, found = 0;
    FILE *file = name ? fopen(name, "r") : NULL;
    if (!file) return 0;
    while (!found && fgets(line, sizeof line, file))
        if (sscanf(line, "%31s %d %399s", wanted, &number, text) == 3 && !strcmp(wanted, call) && strstr(path, text))
            found = number;
    fclose(file);
    return found;
}

#define CHECK(call, path) do { int n = faulty(call, path); if (n) { errno = n; return -1; } } while (0)
#define NEXT(name, ...) ((int (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

int rename(const char *a, const char *b) {
    CHECK("rename", a);
    return NEXT("rename", const char *, const char *)(a, b);
}

int unlink(const char *a) {
    CHECK("unlink", a);
    return NEXT("unlink", const char *)(a);
}

int unlinkat(int folder, const char *a, int flags) {
    CHECK(flags & AT_REMOVEDIR ? "rmdir" : "unlink", a);
    return NEXT("unlinkat", int, const char *, int)(folder, a, flags);
}

int symlink(const char *a, const char *b) {
    CHECK("symlink", a);
    return NEXT("symlink", const char *, const char *)(a, b);
}

int link(const char *a, const char *b) {
    CHECK("link", a);
    return NEXT("link", const char *, const char *)(a, b);
}

int fsync(int handle) {
    const char *name = getenv("SYNCED");
    char place[64], path[4096];
    ssize_t size;
    snprintf(place, sizeof place, "/proc/self/fd/%d", handle);
    if (name && (size = readlink(place, path, sizeof path - 2)) > 0) {
        int log = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        path[size] = '\n';
        if (log >= 0 && write(log, path, size + 1) >= 0) close(log);
    }
    return NEXT("fsync", int)(handle);
}
